"""POST /v1/shipments: events onto the topic, all of a call or none."""

import asyncio
import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from pydantic_core import from_json

from ledger.policy import Policy
from ledger.rules.door import with_countries
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.problem import ProblemError
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.api.admission import ScopesHere, lacking, read_body
from streams.api.answers import policy_in_force
from streams.api.keys import SHIPMENTS_WRITE, may_send
from streams.api.parts import Parts, PartsHere
from streams.api.problems import ProblemAnswer, documented, rejected_event
from streams.kafka.producer import Outgoing
from streams.readers.records import outgoing

router = APIRouter(prefix="/v1", tags=["shipments"])

HTTP_SOURCE = "/http"
"""The source of a bare event that came over HTTP."""

Attributes = list[tuple[str, bytes]]
"""A CloudEvent's attributes beside its data, as headers."""

EVENTS_MAX = 1_000
_LIST_MAX_BYTES = 16 * 1024 * 1024


class Accepted(BaseModel):
    """Events that lie on the topic now. The ledger reads them from there; ask /v1/decisions what it made of them."""

    accepted: int
    event_keys: list[str] = Field(description="`source#id` of each, in the request's order")


def event_body(*, several: bool) -> dict[str, Any]:
    """The request body of a call that takes an event, for its OpenAPI entry."""
    event = {"$ref": "#/components/schemas/WireEvent"}
    schema = {"oneOf": [event, {"type": "array", "items": event, "maxItems": EVENTS_MAX}]} if several else event
    media = {"application/json": {"schema": schema}, "application/cloudevents+json": {"schema": event}}
    if several:
        media["application/cloudevents-batch+json"] = {"schema": {"type": "array", "items": event}}
    return {"requestBody": {"required": True, "content": media}}


@router.post(
    "/shipments",
    status_code=202,
    responses=documented(413, 422),
    openapi_extra=event_body(several=True),
)
async def send_shipments(request: Request, parts: PartsHere, scopes: ScopesHere) -> Accepted:
    """Put one event or a list of events onto the topic; answers when Kafka has acknowledged all of them.

    Each is checked first: if one is bad, all errors are named and nothing is sent. After a 503 some may have been
    sent: send the same again, a repeated event is never booked twice.
    """
    attributes = binary_attributes(request)
    body = await read_body(request, _LIST_MAX_BYTES)
    values = [body] if attributes else await asyncio.to_thread(_values, body)
    policy = await policy_in_force(parts.reader)
    events = await asyncio.to_thread(_read_all, values, attributes, policy, parts, scopes)
    records = [_record(event, value, attributes) for event, value in zip(events, values, strict=True)]
    await asyncio.to_thread(parts.producer.send_all, parts.settings.topic_shipments, records)
    return Accepted(accepted=len(events), event_keys=[event.key for event in events])


def binary_attributes(request: Request) -> Attributes:
    """The attributes of a CloudEvent in binary mode, from its `ce-` headers, as Kafka's headers name them.

    None where the body holds the whole event.

    Raises:
        RejectedRecord: there are some, and no id among them.
    """
    if request.headers.get("content-type", "").startswith("application/cloudevents"):
        return []
    attributes = [
        (name.replace("-", "_", 1), unquote(value).encode())
        for name, value in request.headers.items()
        if name.startswith("ce-")
    ]
    if attributes and "ce_id" not in dict(attributes):
        advice = "the headers ce-… make this a CloudEvent in binary mode, which needs its id in ce-id"
        raise RejectedRecord([FieldError("missing_field", "ce-id", advice)])
    return attributes


def read_one(
    value: bytes, attributes: Attributes, policy: Policy, *, recorded_at: datetime | None = None
) -> ShipmentEvent:
    """An event as HTTP brought it.

    Args:
        value: the body, or one of a list.
        attributes: of a CloudEvent in binary mode.
        policy: whose table of countries is asked where the event is refused.
        recorded_at: when it came; None if it may be planned for whatever day.

    Raises:
        RejectedRecord: with every error that can be found without judging it.
    """
    try:
        return read_event(value, attributes, default_source=HTTP_SOURCE, recorded_at=recorded_at)
    except RejectedRecord as failure:
        raise with_countries(failure, value, policy, binary=bool(attributes)) from None


def _record(event: ShipmentEvent, value: bytes, attributes: Attributes) -> Outgoing:
    key, _, headers = outgoing(event, value)
    return key, value, attributes or headers


def _values(body: bytes) -> list[bytes]:
    """Each event's own bytes. A body that is no list is one event, whatever it is: its reader says what is wrong."""
    if not body.lstrip().startswith(b"["):
        return [body]
    try:
        events = from_json(body, allow_inf_nan=False)
    except ValueError as failure:
        raise RejectedRecord([FieldError("not_json", "", f"the body is not JSON: {failure}")]) from None
    if not 0 < len(events) <= EVENTS_MAX:
        detail = f"the list holds {len(events)} events; send 1 to {EVENTS_MAX:,} a call"
        raise ProblemAnswer(422, "invalid-request", detail)
    return [json.dumps(event, ensure_ascii=False).encode() for event in events]


def _read_all(
    values: list[bytes], attributes: Attributes, policy: Policy, parts: Parts, scopes: frozenset[str]
) -> list[ShipmentEvent]:
    """Every event of a call, or every error in them."""
    now = parts.clock()
    events: list[ShipmentEvent] = []
    errors: list[ProblemError] = []
    said: dict[str, bytes] = {}
    for number, value in enumerate(values):
        try:
            event = read_one(value, attributes, policy, recorded_at=now)
            _refuse_foreign(event, scopes)
            judge(event, policy)
            _refuse_contradiction(event, said)
        except RejectedRecord as failure:
            errors += rejected_event(failure, f"[{number}]" if len(values) > 1 else "")
        else:
            events.append(event)
    if errors:
        wrong = len(values) - len(events)
        detail = f"{wrong} of {len(values)} events cannot be booked; nothing was sent"
        raise ProblemAnswer(422, "invalid-event", detail, errors=errors)
    return events


def _refuse_foreign(event: ShipmentEvent, scopes: frozenset[str]) -> None:
    """A key that is bound to a source neither sends events of another, nor touches what another has sent."""
    for source in (event.source, event.data.get("original_source") or event.source):
        if not may_send(scopes, source):
            raise lacking(f"{SHIPMENTS_WRITE}:{source}")


def _refuse_contradiction(event: ShipmentEvent, said: dict[str, bytes]) -> None:
    """Of two events with one key and different contents the ledger would park the second."""
    content = event.content()
    if said.setdefault(event.key, content) != content:
        advice = f"{event.key} stands here twice with different contents; give each event an id of its own"
        raise RejectedRecord([FieldError("conflict", "id", advice)], event.key)
