"""doctor: what is wrong with Kafka, Redis and the ledger, and what to do."""

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from schemas.checkup import Checkup
from streams.cli.exit_codes import AWAY, FOUND_WRONG
from streams.cli.ledger_here import ask_redis, now, settings_here
from streams.cli.tables import show, show_json
from streams.doctor import examine

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "bold red", "away": "bold red", "unknown": "magenta"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(*, json: Annotated[bool, typer.Option("--json", help="One document.")] = False) -> None:
    """Look at Redis, Kafka, topics, retention, policy, versions and clocks: what is wrong, and what to do.

    Writes nothing. Exit code 1 if something is wrong, 69 if Redis or Kafka is away.
    """
    settings = settings_here()
    found = ask_redis(settings, lambda redis: examine(settings, redis, now=now))
    show_json(found) if json else show(_sheet(found), unbroken=True)
    if not found.right:
        raise typer.Exit(AWAY if any(one.state == "away" for one in found.items) else FOUND_WRONG)


def _sheet(found: Checkup) -> RenderableType:
    """What was looked at, a line each, with what to do below it."""
    lines: list[RenderableType] = []
    for one in found.items:
        lines.append(Text.assemble((f"{one.state:8} ", _COLOURS[one.state]), (f"{one.part:7} ", "bold"), one.told))
        if one.advice:
            lines.append(Text(f"{'':17}-> {one.advice}"))
    versions = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    return Group(*lines, Text(versions, "dim"))
