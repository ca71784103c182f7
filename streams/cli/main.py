"""The command `quota-ledger`: joins the groups of commands, and says what went wrong in one line."""

from typing import Any

import typer
from typer.core import TyperGroup

from ledger.errors import LedgerError
from streams.cli import (
    accept_gap,
    adjust,
    alerts,
    doctor,
    explain,
    keys,
    policy,
    processes,
    rejected,
    resolve,
    sample,
    send,
    simulate,
    status,
    topics,
    verify,
    webhooks,
)
from streams.cli.exit_codes import exit_code_of


class _OneLine(TyperGroup):
    """A group whose commands end in one line and an exit code, not in a traceback, where the product knows why."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LedgerError as failure:
            typer.secho(f"quota-ledger: {failure}", err=True, fg=typer.colors.RED)
            raise typer.Exit(exit_code_of(failure)) from None


app = typer.Typer(
    name="quota-ledger",
    cls=_OneLine,
    help="Quotas of AI chips by country: shipments on Kafka become debits, alerts, webhooks and a status answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
processes.add_to(app)
send.add_to(app)
sample.add_to(app)
status.add_to(app)
alerts.add_to(app)
explain.add_to(app)
resolve.add_to(app)
adjust.add_to(app)
topics.add_to(app)
keys.add_to(app)
webhooks.add_to(app)
policy.add_to(app)
simulate.add_to(app)
verify.add_to(app)
doctor.add_to(app)
rejected.add_to(app)
accept_gap.add_to(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
