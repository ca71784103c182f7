"""status: how much of the quotas is used."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from ledger.book.read import Reader
from schemas.quota_status import LedgerStatus, QuotaStatus, apart_from_freshness
from streams.api.answers import ledger_status, quota_of
from streams.cli.ledger_here import ask, now, settings_here
from streams.cli.tables import a_console, ledger_sheet, quota_sheet, show, show_json

WATCH_EVERY_S = 1.0

_Look = Callable[[], Awaitable[LedgerStatus | QuotaStatus]]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    country: Annotated[str | None, typer.Argument(help="ISO 3166-1 alpha-2; all countries if absent.")] = None,
    period: Annotated[str | None, typer.Option(help="Such as 2026; the current one if absent.")] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and show what changes, until Ctrl-C.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One document, as over HTTP; watching, one line a change.")
    ] = False,
) -> None:
    """How much of each country's quota is used, and which events are not settled."""

    async def question(reader: Reader, _: object) -> None:
        async def look() -> LedgerStatus | QuotaStatus:
            today = now().date()
            return await (quota_of(reader, country, period, today) if country else ledger_status(reader, period, today))

        if closure := await reader.closure():
            typer.echo(closure.sentence(), err=True)
        if watch:
            await (_print_changes(look, json=json) if json or not a_console().is_terminal else _show_live(look))
        else:
            found = await look()
            show_json(found) if json else show(_sheet(found))

    with suppress(KeyboardInterrupt):
        ask(settings_here(), question)


def _sheet(found: LedgerStatus | QuotaStatus) -> RenderableType:
    return ledger_sheet(found) if isinstance(found, LedgerStatus) else quota_sheet(found)


async def _show_live(look: _Look) -> None:
    """One sheet on a terminal, which is kept as things are."""
    with Live(console=a_console(), auto_refresh=False) as live:
        while True:
            live.update(_sheet(await look()), refresh=True)
            await asyncio.sleep(WATCH_EVERY_S)


async def _print_changes(look: _Look, *, json: bool) -> None:
    """A sheet, or a line of JSON, whenever anything beside freshness is another."""
    said = ""
    while True:
        found = await look()
        if (says := apart_from_freshness(found)) != said:
            said = says
            print(found.model_dump_json(), flush=True) if json else show(_sheet(found))  # noqa: T201
        await asyncio.sleep(WATCH_EVERY_S)
