"""topics create: the topics that a ledger needs."""

import typer

from streams.cli.ledger_here import settings_here
from streams.kafka.topics import ensure_topics, planned_topics


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The topics on Kafka.", no_args_is_help=True)
    group.command()(create)
    group.callback()(_group)
    app.add_typer(group, name="topics")


def _group() -> None:
    """The topics on Kafka."""


def create() -> None:
    """Make the topics that are missing; leave the others as they are."""
    settings = settings_here()
    made = ensure_topics(settings)
    for plan in planned_topics(settings):
        configs = ", ".join(f"{name}={value}" for name, value in plan.configs.items())
        did = f"made: partitions={plan.partitions}, {configs}" if plan.name in made else "exists, left as it is"
        typer.echo(f"{plan.name}: {did}")
