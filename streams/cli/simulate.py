"""simulate: what if another policy ruled? Files of events, or the topic, under two policies. Writes nothing."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO, TypeVar

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.errors import WrongCall
from ledger.replay.named import may_name_another, named_by
from ledger.replay.projection import REFUSALS
from ledger.replay.report import report
from ledger.replay.simulate import Item, Simulation
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import now, settings_here
from streams.cli.policy_here import IN_FORCE, named_policy, settings_for
from streams.cli.simulation_tables import show_csv, simulation_tables
from streams.cli.tables import show, show_json
from streams.cli.terminal import Terminal
from streams.debit_shipments import read_record, source_of_topic
from streams.kafka.read_log import Log
from streams.readers.read_file import STDIN, count_lines, read_file, standard_input
from streams.readers.records import BadRecord, GoodRecord

REFUSALS_SHOWN_MAX = 20
"""Lines of files that cannot be events and are named; the others are counted."""

_PROGRESS_EVERY = 1_000

Step = TypeVar("Step")
Wanted = Callable[[bytes], bool]

_console = Terminal(stderr=True, soft_wrap=True)


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
    one, other = named_policy(policy, settings), named_policy(against, settings)
    with ExitStack() as opened:
        log = opened.enter_context(Log(settings, settings.topic_shipments)) if from_topic else None
        stdin = opened.enter_context(TemporaryFile()) if STDIN in (files or ()) else None
        if stdin is not None:
            shutil.copyfileobj(standard_input(), stdin)
        if log is not None and log.deleted:
            _console.print(f"topic {log.topic}: {log.deleted:,} records were deleted before now, and are not counted")
        stream = _Stream(log, files or [], stdin)
        at = now()
        simulation = Simulation(one, other, stream.named(), today=at.date())
        refused = stream.put_through(simulation)
    simulation.let_time_pass(at)
    found = report(simulation)
    if json or output is Format.JSON:
        show_json(found)
    elif output is Format.CSV:
        show_csv(found)
    else:
        show(simulation_tables(found), unbroken=True)
    if refused:
        raise typer.Exit(FOUND_WRONG)


class _Stream:
    """The topic as it is now, then the files. It is looked through twice: what is named by others shows only then."""

    def __init__(self, log: Log | None, files: list[str], stdin: BinaryIO | None) -> None:
        self._log = log
        self._files = files
        self._stdin = stdin
        self._recorded_at = now()

    def named(self) -> set[bytes]:
        """The digests of the keys that events of the stream name."""
        with _console.status("looking for events that others name"):
            named = named_by(item for item in self._read_log(may_name_another) if isinstance(item, ShipmentEvent))
            files = (record for _, (_, record) in self._read_files(may_name_another))
            return named | named_by(record.event for record in files if isinstance(record, GoodRecord))

    def put_through(self, simulation: Simulation) -> int:
        """Simulate it; returns how many lines of the files cannot be events, or contradict one before."""
        if self._log is not None:
            for item in _with_progress(enumerate(self._read_log(), 1), self._log.records):
                simulation.take(item)
        refused = 0
        for name, record in _with_progress(self._read_files(), count_lines(self._files)):
            item = record.rejected if isinstance(record, BadRecord) else record.event
            for notice in simulation.take(item):
                if notice.kind in REFUSALS:
                    refused += 1
                    if refused <= REFUSALS_SHOWN_MAX:
                        _console.print(f"{name}:{record.line}: {notice.evidence['reason']}: {notice.message}")
        if refused > REFUSALS_SHOWN_MAX:
            _console.print(f"and {refused - REFUSALS_SHOWN_MAX:,} more that cannot be counted")
        return refused

    def _read_log(self, wanted: Wanted | None = None) -> Iterator[Item]:
        """Every record of the topic as a worker reads it, or those whose bytes are wanted."""
        if self._log is None:
            return
        source = source_of_topic(self._log.topic)
        for record in self._log:
            if wanted is None or (record.value is not None and wanted(record.value)):
                try:
                    yield read_record(record, source)
                except RejectedRecord as rejected:
                    yield rejected

    def _read_files(self, wanted: Wanted | None = None) -> Iterator[tuple[int, tuple[str, GoodRecord | BadRecord]]]:
        """Each record with its file, and how many lines were read up to it."""
        lines_before = lines_read = 0
        if self._stdin is not None:
            self._stdin.seek(0)
        for name in self._files:
            for record in read_file(name, recorded_at=self._recorded_at, wanted=wanted, stdin=self._stdin):
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
