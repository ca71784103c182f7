"""send: files of events -> the topic. What cannot be an event is named with its line, and not sent."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.policy import Policy
from ledger.rules.assessment import Assessment
from ledger.rules.follower import Following, original_of
from ledger.rules.judge import judge
from schemas.plain_text import in_one_line
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import now, settings_here
from streams.cli.policy_here import policy_here
from streams.cli.terminal import Terminal
from streams.kafka.producer import close_producer, make_producer, send_all
from streams.readers.read_file import count_lines, read_file
from streams.readers.records import BadRecord, GoodRecord
from streams.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


def send(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="CSV, JSON lines, or - for standard input.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what each would be charged; send nothing.")] = False,
) -> None:
    """Send shipments from files to the topic.

    A line that cannot be an event is named and not sent; the others are. Then the exit code is 1.
    """
    settings = settings_here()
    reading = _Reading(files, policy_here(settings))
    if dry_run:
        _tell_all(reading)
    else:
        _send_all(reading, settings)
    if reading.bad:
        raise typer.Exit(FOUND_WRONG)


class _Reading:
    """The files on their way: good records come out, bad ones are told on stderr and counted.

    Whether they are sent or only told of, they are judged here, under the policy that the worker will judge them by.
    """

    def __init__(self, files: list[str], policy: Policy) -> None:
        self.files = files
        self._policy = policy
        self.good = 0
        self.bad = 0
        self.lines_read = 0
        self.console = Terminal(stderr=True, soft_wrap=True)

    def records(self) -> Iterator[tuple[str, GoodRecord, Assessment | Following]]:
        """Each good record with its place, `file:line`, and what it is by itself."""
        for name in self.files:
            lines_before = self.lines_read
            for record in read_file(name, recorded_at=now()):
                self.lines_read = max(self.lines_read, lines_before + record.line)
                place = f"{name}:{record.line}"
                if isinstance(record, BadRecord):
                    self._refuse(place, record.rejected)
                    continue
                try:
                    judged = judge(record.event, self._policy)
                except RejectedRecord as rejected:
                    self._refuse(place, rejected)
                else:
                    self.good += 1
                    yield place, record, judged

    def _refuse(self, place: str, rejected: RejectedRecord) -> None:
        """Tell every reason why what stands there is not taken."""
        self.bad += 1
        for error in rejected.errors:
            self.console.print(f"{place}: {error.reason}: {error}")


def _send_all(reading: _Reading, settings: Settings) -> None:
    columns = (TextColumn("sending"), BarColumn(), TextColumn("{task.fields[sent]:,} sent"), TimeElapsedColumn())
    producer = make_producer(settings)
    try:
        with Progress(*columns, console=reading.console) as progress:
            task = progress.add_task("sending", total=count_lines(reading.files), sent=0)

            def on_sent(sent: int) -> None:
                progress.update(task, completed=reading.lines_read, sent=sent)

            outgoing = (record.outgoing() for _, record, _ in reading.records())
            sent = send_all(producer, settings.topic_shipments, outgoing, on_sent)
            progress.update(task, total=max(1, reading.lines_read), completed=max(1, reading.lines_read))
    finally:
        close_producer(producer)
    reading.console.print(f"{sent:,} events are on {settings.topic_shipments}; {reading.bad:,} bad ones were not sent")


def _tell_all(reading: _Reading) -> None:
    """Say what each event would be charged, balances left aside."""
    for place, record, judged in reading.records():
        typer.echo(in_one_line(f"{place}: {record.event.key}: {_in_short(record.event, judged)}"))
    reading.console.print(f"{reading.good:,} events would be sent; {reading.bad:,} bad ones would not")


def _in_short(event: ShipmentEvent, judged: Assessment | Following) -> str:
    """What an event is by itself: tier, charges, and what a person would be told."""
    original = original_of(event)
    named = f"{event.type.partition('.')[2]}: {original[0]}#{original[1]}" if original is not None else ""
    if isinstance(judged, Following):
        return f"{named}; what it changes follows from that"
    parts = [named] if named else []
    parts.append(f"tier {judged.tier}")
    parts += [
        f"{charge.tpp:+,} TPP{' reserved' if charge.state == 'reserved' else ''} on {charge.account} in {charge.period}"
        for charge in judged.charges
        if not charge.carried
    ]
    parts += [] if judged.charges else ["nothing is charged"]
    parts += [f"line {line + 1} is held: {reason}" for line, reason in judged.held]
    parts += [f"{notice.kind}: {notice.message}" for notice in judged.notices]
    return "; ".join(parts)
