"""sample: events to try the ledger with, as JSON lines."""

import json
from typing import Annotated

import typer

from streams.cli.ledger_here import now


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sample)


def sample(
    count: Annotated[int, typer.Option(min=0, help="Invented shipments of this year to add.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed invents the same shipments.")] = 0,
) -> None:
    """Print the sample's shipments, reported ones with their sources and invented ones, ready for `send -`."""
    from streams.cli.sample_traffic import sample_events, traffic  # noqa: PLC0415

    today = now().date()
    for event in sample_events(today=today):
        typer.echo(json.dumps(event, ensure_ascii=False))
    for event in traffic(count, seed, today):
        typer.echo(json.dumps(event, ensure_ascii=False))
