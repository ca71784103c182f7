"""verify: whether Redis holds what follows from the topics."""

from contextlib import closing
from typing import Annotated

import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ledger.book.adopted import Adopted
from ledger.book.audit import Audit
from ledger.book.position import Position
from ledger.errors import LedgerUnavailable
from schemas.verification import Verification
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import ask_redis, settings_here
from streams.cli.tables import show, show_json
from streams.cli.verification_tables import verification_sheet
from streams.kafka.identity import LogIdentity
from streams.settings import Settings
from streams.verify import Verifier


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(*, json: Annotated[bool, typer.Option("--json", help="One document.")] = False) -> None:
    """Recompute the ledger from its topics, and compare balances, events, rejects and alerts with Redis.

    Workers may run. Exit code 1 if anything differs.
    """
    settings = settings_here()
    found = ask_redis(settings, lambda redis: _verify(settings, redis))
    show_json(found) if json else show(verification_sheet(found))
    if not found.right:
        raise typer.Exit(FOUND_WRONG)


async def _verify(settings: Settings, redis: Redis) -> Verification:
    with closing(LogIdentity(settings)) as identity:
        await Position(redis, settings.ledger).check_log(identity.read())
    rules = await Adopted(redis, settings.ledger).rules()
    if rules is None:
        raise LedgerUnavailable("no policy is adopted: the first worker of a ledger adopts one when it starts")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        return await Verifier(settings, Audit(redis, settings.ledger), rules, progress).verify()
