"""explain: what became of one event, and why."""

from typing import Annotated

import typer

from ledger.book.read import Reader
from schemas.decision import Decision
from schemas.quota_status import Freshness
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import ask, settings_here
from streams.cli.tables import decision_sheet, freshness_line, show, show_json


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    source: Annotated[str, typer.Argument(help="The event's source, such as /file/shipments.csv.")],
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Its id under that source.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="One document, as over HTTP.")] = False,
) -> None:
    """What became of an event: tier, charges, alerts, each with its rule and source."""

    async def question(reader: Reader, _: object) -> tuple[Decision | None, Freshness]:
        freshness = await reader.freshness()
        return await reader.decision(source, event_id), freshness

    decision, freshness = ask(settings_here(), question)
    if decision is None:
        reasons = "not sent, not read yet, or parked in the rejects"
        typer.echo(f"{source}#{event_id} is not in the ledger: {reasons}. {freshness_line(freshness)}", err=True)
        raise typer.Exit(FOUND_WRONG)
    show_json(decision) if json else show(decision_sheet(decision))
