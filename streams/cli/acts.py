"""Carrying out a person's acts: each is looked at by the ledger, goes onto the topic, and is waited for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from ledger.book.read import Reader
from ledger.errors import LedgerUnavailable, WrongCall
from ledger.policy import Policy
from schemas.cloudevents import read_event, to_structured
from schemas.decision import Decision
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.api.answers import assessment_of
from streams.cli.ledger_here import ask, now
from streams.kafka.producer import LazyProducer
from streams.readers.records import outgoing
from streams.settings import Settings

SETTLED_MAX_S = 10.0
"""How long a command waits for a worker."""

_ASK_EVERY_S = 0.1


class Acts(BaseModel):
    """What acts come to: as they are settled, or as they would be."""

    written: bool = Field(description="whether events were written by this call")
    items: list[Decision]


@dataclass(frozen=True, slots=True)
class Act:
    """One act.

    Attributes:
        told: what it would come to; what it came to if the ledger knows it already.
        known: whether it does.
    """

    event: ShipmentEvent
    told: Decision
    known: bool


async def look_at(reader: Reader, event: ShipmentEvent, policy: Policy) -> Act:
    """What an act would come to, checked as any event is that comes over HTTP.

    Raises:
        WrongCall: it is no event, or its id is known with another content.
    """
    known = await reader.decision(event.source, event.id)
    if known is not None:
        if known.event_sha256 != event.content_sha256():
            raise WrongCall(f"{event.key} is known and says something else; give this one an id of its own")
        return Act(event, known, known=True)
    try:
        checked = read_event(to_structured(event), default_source=event.source, recorded_at=now())
        return Act(checked, await assessment_of(reader, checked, policy, now()), known=False)
    except RejectedRecord as rejected:
        raise WrongCall(rejected.detail) from None


def carry_out(settings: Settings, acts: Sequence[Act]) -> Acts:
    """Write what the ledger does not know yet onto the topic, and wait until it is settled.

    Raises:
        LedgerUnavailable: Kafka is away, or no worker settled all of it within SETTLED_MAX_S.
    """
    fresh = [act.event for act in acts if not act.known]
    if fresh:
        producer = LazyProducer(settings)
        try:
            records = [outgoing(event, to_structured(event)) for event in fresh]
            producer.send_all(settings.topic_shipments, records)
        finally:
            producer.close()
    try:
        settled = ask(settings, lambda reader, _: _settled(reader, [act.event for act in acts]))
    except LedgerUnavailable as failure:
        raise _not_seen(settings, fresh, str(failure)) from None
    if settled is None:
        raise _not_seen(settings, fresh, f"no worker settled it within {SETTLED_MAX_S:g} s")
    return Acts(written=bool(fresh), items=settled)


async def _settled(reader: Reader, events: Sequence[ShipmentEvent]) -> list[Decision] | None:
    """What each came to, as soon as all are settled; None if they are not in time."""
    clock = asyncio.get_running_loop().time
    until = clock() + SETTLED_MAX_S
    settled: list[Decision] = []
    while len(settled) < len(events):
        event = events[len(settled)]
        decision = await reader.decision(event.source, event.id)
        if decision is not None:
            settled.append(decision)
        elif clock() > until:
            return None
        else:
            await asyncio.sleep(_ASK_EVERY_S)
    return settled


def _not_seen(settings: Settings, written: Sequence[ShipmentEvent], why: str) -> LedgerUnavailable:
    named = ", ".join(event.key for event in written)
    return LedgerUnavailable(
        f"{named} is written on {settings.topic_shipments}, but {why}. It need not be written again; "
        "`quota-ledger explain` tells what became of it"
    )
