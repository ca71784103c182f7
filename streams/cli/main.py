"""The command `quota-ledger`: joins the groups of commands, and says what went wrong in one line."""

import errno
import os
import sys
from contextlib import suppress
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
from streams.cli.exit_codes import FOUND_WRONG, READER_GONE, exit_code_of

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _OneLine(TyperGroup):
    """A group whose commands end in one line and an exit code, not in a traceback, where the product knows why."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return self._invoke_and_flush(ctx)
        except LedgerError as failure:
            typer.secho(f"quota-ledger: {failure}", err=True, fg=typer.colors.RED)
            raise typer.Exit(exit_code_of(failure)) from None
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(READER_GONE) from None
        except OSError as failure:
            if failure.errno not in _NO_ROOM:
                raise
            _drop_output()
            typer.secho(f"quota-ledger: cannot write: {failure.strerror}", err=True, fg=typer.colors.RED)
            raise typer.Exit(FOUND_WRONG) from None

    def _invoke_and_flush(self, ctx: Any) -> Any:
        """Flushed here, and not by an interpreter that is going, what hinders the last lines is told too."""
        try:
            return super().invoke(ctx)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()


def _drop_output() -> None:
    """Let what cannot be printed go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
