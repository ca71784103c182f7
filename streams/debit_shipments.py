"""The agent that debits: a run of raw records -> events -> what they deserve -> posted, or parked with a reason.

Only moves data: reading is `schemas`, judging is `ledger/rules`, posting is `ledger/book`.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ledger.book.judged import Judged, Unfit, kafka_time
from ledger.book.position import partition_name
from ledger.book.post import Book
from ledger.errors import PolicyChanged, WrongCall
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.judge import judge as judge_event
from schemas.cloudevents import SIZE_MAX, read_event
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.kafka.producer import Outgoing
from streams.kafka.run import Record, Run, UnreadableRecord

_MINUTE_MS = 60_000
_TRACEBACK_MAX = 2000
_DETAIL_MAX = 4000
_KEY_MAX = 1024
_OUR_HEADERS_MAX = 6


class Rules(Protocol):
    """Which policies were adopted."""

    async def rules(self) -> Rulebook:
        """The adoptions, as far as they are known here."""

    def forget_rules(self) -> None:
        """There is a newer one: read them at the next asking."""


def debit_shipments(
    book: Book,
    rules: Rules,
    *,
    send_rejects: Callable[[Sequence[Outgoing]], int],
    on_alerts: Callable[[], None],
) -> Callable[[Run], Awaitable[None]]:
    """The agent's work on one run.

    Args:
        book: where runs are posted.
        rules: the policies they are judged under.
        send_rejects: writes to the topic of rejects and returns when Kafka has acknowledged all; run in a thread.
        on_alerts: told when alerts were written, so that the relay need not wait.
    """

    async def debit(run: Run) -> None:
        async def park(unfit: Sequence[Unfit]) -> None:
            by_offset = {record.offset: record for record in run.records}
            parking = [(by_offset[item.offset], item.rejected) for item in unfit]
            try:
                await asyncio.to_thread(send_rejects, [_reject(run, *one) for one in parking])
            except WrongCall:  # larger than the topic takes
                await asyncio.to_thread(send_rejects, [_cut(_reject(run, *one)) for one in parking])

        partition = partition_name(run.topic, run.partition)
        while True:
            known = await rules.rules()
            stretches = [
                (policy, judge(replace(run, records=records), policy))
                for policy, records in known.stretches(partition, run.records)
            ]
            try:
                alert_count = await book.post(partition, run.prev, stretches, rules=known, park=park)
            except PolicyChanged:
                rules.forget_rules()
                continue
            if alert_count:
                on_alerts()
            return

    return debit


def judge(run: Run, policy: Policy) -> list[Judged | Unfit]:
    """Read and assess every record of a run; one that cannot be an event is unfit and stops nothing."""
    source = source_of_topic(run.topic)
    return [_judge_one(record, source, policy) for record in run.records]


def source_of_topic(topic: str) -> str:
    """The source of a topic's bare events that state none."""
    return f"/kafka/{topic}"


def read_record(record: Record, source: str) -> ShipmentEvent:
    """Read one record; `source` is that of a bare event without one of its own.

    Raises:
        RejectedRecord: it cannot be an event.
    """
    if isinstance(record, UnreadableRecord):
        raise RejectedRecord([FieldError("bad_value", "headers", record.why)])
    minute = kafka_time(record.timestamp // _MINUTE_MS * _MINUTE_MS)  # one answer for many records
    try:
        return read_event(record.value, record.headers, default_source=source, recorded_at=minute)
    except RejectedRecord as rejected:
        if "in_the_future" not in {error.reason for error in rejected.errors}:
            raise
    recorded_at = kafka_time(record.timestamp)
    return read_event(record.value, record.headers, default_source=source, recorded_at=recorded_at)


def _judge_one(record: Record, source: str, policy: Policy) -> Judged | Unfit:
    try:
        event = read_record(record, source)
        judged = judge_event(event, policy)
        return Judged.of(
            record.offset, record.timestamp, record.value or b"", _mode(record), event=event, judged=judged
        )
    except RejectedRecord as rejected:
        return Unfit(record.offset, record.timestamp, rejected)
    except Exception:  # noqa: BLE001  a fault of ours in pure code: the record waits in the rejects, the others go on
        advice = (
            f"a fault in the ledger, replay the record once it is mended: {traceback.format_exc()[-_TRACEBACK_MAX:]}"
        )
        return Unfit(record.offset, record.timestamp, RejectedRecord([FieldError("internal_error", "", advice)]))


def _mode(record: Record) -> tuple[tuple[str, bytes], ...]:
    """The headers that belong to the event: those of CloudEvents' binary mode, and the source of a bare event."""
    if not record.headers:
        return ()
    return tuple((name, value or b"") for name, value in record.headers if name.startswith("ce_") or name == "source")


def _reject(run: Run, record: Record, rejected: RejectedRecord) -> Outgoing:
    """The original as it came, with the reason beside it."""
    told = {
        "quota-reason": rejected.reason,
        "quota-detail": rejected.detail[:_DETAIL_MAX],
        "quota-topic": run.topic,
        "quota-partition": str(run.partition),
        "quota-offset": str(record.offset),
    }
    if rejected.event_key is not None:
        told["quota-event-key"] = rejected.event_key
    value = b"" if record.key is None and record.value is None else record.value  # a producer writes one of the two
    headers = [(name, text or b"") for name, text in record.headers]
    headers += [(name, text.encode("utf-8", "replace")) for name, text in told.items()]
    return record.key, value, headers


def _cut(reject: Outgoing) -> Outgoing:
    """A reject whose key, value and own headers are no longer than any topic takes; it says where the whole lies."""
    key, value, headers = reject
    ours = [header for header in headers if header[0].startswith("quota-")][-_OUR_HEADERS_MAX:]
    theirs = [header for header in headers if header not in ours]
    if sum(len(name) + len(text) for name, text in theirs) > SIZE_MAX:
        theirs = []
    cut_value, cut_key = value and value[:SIZE_MAX], key and key[:_KEY_MAX]
    if (cut_key, cut_value, [*theirs, *ours]) != reject:
        ours.append(("quota-cut", b"too large to be parked whole; the original lies where quota-offset says"))
    return cut_key, cut_value, [*theirs, *ours]
