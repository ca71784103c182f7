"""What a person does to the ledger, as events: a word on a held part, an adjustment. Sends nothing.

An act's id follows from what it says, so that a command that is repeated says the same event once more.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any

from ledger.rules.follower import EventKey
from schemas.shipment_event import Line, ShipmentData, ShipmentEvent

ACTS_SOURCE = "/cli"
"""The source of acts that are written on the command line."""


def resolution(
    original: EventKey,
    family: Iterable[ShipmentEvent],
    *,
    word: Line,
    actor: str,
    reason: str,
    approved_by: str | None = None,
) -> ShipmentEvent:
    """A word on a held part of a shipment.

    Its time is no clock's: the last word on a part stands, and the same word said twice must be the same event. So it
    is a second after all that is known of the shipment, until the ledger knows this word too.

    Args:
        original: the shipment's source and id.
        family: the events that are known of it.
        word: the part's `model`, its `vendor` where that alone is not enough, and its `tpp_each`.
        actor: who says so.
        reason: why.
        approved_by: who else agreed.
    """
    data = _stated(
        original_source=original[0],
        original_id=original[1],
        lines=[_stated(**word)],
        actor=actor,
        reason=reason,
        approved_by=approved_by,
    )
    event_id = _id_of("resolved", data)
    known = list(family)
    for event in known:
        if (event.source, event.id) == (ACTS_SOURCE, event_id):
            return event
    latest = max((moment for event in known for moment in (event.time, event.moment) if moment), default=None)
    time = latest.astimezone(UTC) + timedelta(seconds=1) if latest else None
    return ShipmentEvent(ACTS_SOURCE, event_id, "shipment.resolved", time, data)


def adjustment(
    country: str,
    period: str,
    tpp: int,
    *,
    actor: str,
    reason: str,
    approved_by: str | None = None,
    event_id: str | None = None,
) -> ShipmentEvent:
    """A booking of so much TPP, more or less, on a country in a period.

    Args:
        country: ISO 3166-1 alpha-2.
        period: such as `2026`.
        tpp: signed.
        actor: who books.
        reason: why.
        approved_by: who else agreed.
        event_id: what tells it from others that say the same; follows from what it says if None.
    """
    data = _stated(country=country, period=period, tpp=tpp, actor=actor, reason=reason, approved_by=approved_by)
    return ShipmentEvent(ACTS_SOURCE, event_id or _id_of("adjusted", data), "ledger.adjusted", None, data)


def _stated(**fields: Any) -> ShipmentData:
    stated: Any = {name: value for name, value in fields.items() if value is not None}
    data: ShipmentData = stated
    return data


def _id_of(kind: str, data: ShipmentData) -> str:
    said = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return f"{kind}-{hashlib.sha256(said.encode()).hexdigest()[:32]}"
