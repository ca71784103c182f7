"""adjust: a person's booking, written as an event."""

from typing import Annotated

import typer

from ledger.book.read import Reader
from streams.acts import adjustment
from streams.api.answers import policy_in_force
from streams.cli.acts import Act, Acts, carry_out, look_at
from streams.cli.ledger_here import ask, settings_here
from streams.cli.tables import decision_sheet, show, show_json


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(context_settings={"ignore_unknown_options": True})(adjust)  # a negative amount looks like an option


def adjust(
    country: Annotated[str, typer.Argument(help="ISO 3166-1 alpha-2.")],
    period: Annotated[str, typer.Argument(help="Such as 2026.")],
    tpp: Annotated[int, typer.Argument(help="More, or less if it is negative.")],
    *,
    actor: Annotated[str, typer.Option(help="Who books.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    approved_by: Annotated[str | None, typer.Option(help="Who else agreed.")] = None,
    event_id: Annotated[
        str | None,
        typer.Option("--id", help="Tells it from another that says the same; made of what it says if absent."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would come to; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One document, with the field names of HTTP.")] = False,
) -> None:
    """Book TPP on a country in a period, with who and why: a ledger.adjusted event on the topic.

    Said again with the same words, or the same --id, it is booked once.
    """
    settings = settings_here()
    event = adjustment(country, period, tpp, actor=actor, reason=reason, approved_by=approved_by, event_id=event_id)

    async def plan(reader: Reader, _: object) -> Act:
        return await look_at(reader, event, await policy_in_force(reader))

    act = ask(settings, plan)
    told = Acts(written=False, items=[act.told]) if dry_run else carry_out(settings, [act])
    show_json(told) if json else show(decision_sheet(told.items[0]))
    if act.known and not json:
        typer.echo("it was booked before; nothing is written", err=True)
