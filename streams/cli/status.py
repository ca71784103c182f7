"""status: how much of the quotas is used."""

from typing import Annotated

import typer

from streams.api.answers import ledger_status, quota_of
from streams.cli.ledger_here import ask, now, settings_here
from streams.cli.tables import ledger_sheet, quota_sheet, show, show_json


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    country: Annotated[str | None, typer.Argument(help="ISO 3166-1 alpha-2; all countries if absent.")] = None,
    period: Annotated[str | None, typer.Option(help="Such as 2026; the current one if absent.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="One document, as over HTTP.")] = False,
) -> None:
    """How much of each country's quota is used, and which events are not settled."""
    settings = settings_here()
    today = now().date()
    if closure := ask(settings, lambda reader, _: reader.closure()):
        typer.echo(closure.sentence(), err=True)
    if country is None:
        found = ask(settings, lambda reader, _: ledger_status(reader, period, today))
        show_json(found) if json else show(ledger_sheet(found))
    else:
        quota = ask(settings, lambda reader, _: quota_of(reader, country, period, today))
        show_json(quota) if json else show(quota_sheet(quota))
