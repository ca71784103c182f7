"""policy: the policies that a ledger may go by, and the one it goes by."""

import typer

from streams.cli.adopt import adopt


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Policies, and which of them rules.", no_args_is_help=True)
    group.callback()(_group)
    group.command()(adopt)
    app.add_typer(group, name="policy")


def _group() -> None:
    """Policies, and which of them rules."""
