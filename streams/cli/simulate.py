"""simulate: what if another policy ruled? Files of events, or the topic, under two policies. Writes nothing."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.errors import WrongCall
from ledger.replay.projection import REFUSALS
from ledger.replay.report import report
from ledger.replay.simulate import Item, Simulation
from schemas.rejected_record import RejectedRecord
from streams.cli.ledger_here import now, settings_here
from streams.cli.policy_here import IN_FORCE, named_policy, settings_for
from streams.cli.simulation_tables import show_csv, simulation_tables
from streams.cli.tables import show, show_json
from streams.debit_shipments import read_record, source_of_topic
from streams.kafka.read_log import Log
from streams.readers.read_file import count_lines, read_file
from streams.readers.records import BadRecord, GoodRecord
from streams.settings import Settings

REFUSALS_SHOWN_MAX = 20
"""Lines of files that cannot be events and are named; the others are counted."""

_PROGRESS_EVERY = 1_000

Step = TypeVar("Step")

_console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


class Format(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="CSV, JSON lines, or - for standard input.")
    ] = None,
    *,
    policy: Annotated[str, typer.Option(metavar="A", help=f"A shipped id, a file, or {IN_FORCE}.")],
    against: Annotated[str, typer.Option(metavar="B", help="The same of the policy it is compared with.")],
    from_topic: Annotated[
        bool, typer.Option("--from-topic", help="First all that lies on the shipments topic now; then the files.")
    ] = False,
    output: Annotated[
        Format, typer.Option("--format", help="csv holds the balances alone.", show_default=False)
    ] = Format.TABLE,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """What if? The same events under two policies: both balances, and the alerts that only one of them tells.

    If a line of the files cannot be an event, the exit code is 1; of the topic such records are only counted.
    """
    if not files and not from_topic:
        raise WrongCall("name a file, pipe JSON lines into -, or read the topic with --from-topic")
    settings = settings_here() if from_topic else settings_for(policy, against)
    simulation = Simulation(named_policy(policy, settings), named_policy(against, settings))
    if from_topic:
        _take_topic(simulation, settings)
    refused = _take_files(simulation, files) if files else 0
    found = report(simulation)
    if json or output is Format.JSON:
        show_json(found)
    elif output is Format.CSV:
        show_csv(found)
    else:
        show(simulation_tables(found), unbroken=True)
    if refused:
        raise typer.Exit(1)


def _take_topic(simulation: Simulation, settings: Settings) -> None:
    """Everything on the topic of shipments, as a worker reads it."""
    topic = settings.topic_shipments
    with Log(settings, topic) as log:
        if log.deleted:
            typer.echo(f"topic {topic}: {log.deleted:,} records were deleted before now, and are not counted", err=True)
        for item in _with_progress(enumerate(_read_log(log, source_of_topic(topic)), 1), log.records):
            simulation.take(item)


def _read_log(log: Log, source: str) -> Iterator[Item]:
    for record in log:
        try:
            yield read_record(record, source)
        except RejectedRecord as rejected:
            yield rejected


def _take_files(simulation: Simulation, files: list[str]) -> int:
    """Every event of the files; returns how many lines cannot be events, or contradict one before."""
    refused = 0
    for name, record in _with_progress(_read_files(files), count_lines(files)):
        item = record.rejected if isinstance(record, BadRecord) else record.event
        for notice in simulation.take(item):
            if notice.kind in REFUSALS:
                refused += 1
                if refused <= REFUSALS_SHOWN_MAX:
                    _console.print(f"{name}:{record.line}: {notice.evidence['reason']}: {notice.message}")
    if refused > REFUSALS_SHOWN_MAX:
        _console.print(f"and {refused - REFUSALS_SHOWN_MAX:,} more that cannot be counted")
    return refused


def _read_files(files: list[str]) -> Iterator[tuple[int, tuple[str, GoodRecord | BadRecord]]]:
    """Each record with its file, and how many lines were read up to it."""
    lines_before = lines_read = 0
    recorded_at = now()
    for name in files:
        for record in read_file(name, recorded_at=recorded_at):
            lines_read = max(lines_read, lines_before + record.line)
            yield lines_read, (name, record)
        lines_before = lines_read


def _with_progress(steps: Iterable[tuple[int, Step]], total: int | None) -> Iterator[Step]:
    """The same steps, and on a terminal a bar of how far they are."""
    columns = (TextColumn("simulating"), BarColumn(), TextColumn("{task.fields[read]:,} read"), TimeElapsedColumn())
    with Progress(*columns, console=_console, transient=True, disable=not _console.is_terminal) as progress:
        task = progress.add_task("simulating", total=total, read=0)
        for number, (done, step) in enumerate(steps, 1):
            yield step
            if number % _PROGRESS_EVERY == 0:
                progress.update(task, completed=done, read=number)
