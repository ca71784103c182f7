"""A shipment event: the fields a producer writes and their types. Reading bytes is `cloudevents.py`.

On the hot path an event is a dict checked by one pydantic core schema (TypedDict), which costs half of what nested
models cost. Unknown fields are left out here and kept in the record's own bytes.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

from msgspec import Struct, json
from pydantic import AwareDatetime, ConfigDict, Field, with_config
from typing_extensions import TypedDict

EventType = Literal[
    "shipment.reserved",
    "shipment.shipped",
    "shipment.returned",
    "shipment.cancelled",
    "shipment.corrected",
    "shipment.resolved",
    "ledger.adjusted",
    "compute.used",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

TPP_MAX = 2**50
"""The largest amount one event may state or sum up to: sums stay far below 2^53, where Lua stops being exact."""

Count = Annotated[int, Field(ge=1, le=TPP_MAX)]
SignedTpp = Annotated[int, Field(ge=-TPP_MAX, le=TPP_MAX)]
NAME_MAX = 1024
"""Characters in the longest id or source."""

Word = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Time = AwareDatetime

_tolerant = with_config(ConfigDict(strict=True, extra="ignore", title=None))


@_tolerant
class Line(TypedDict, total=False):
    """One kind of item in a shipment."""

    vendor: str | None
    model: Word | None
    quantity: Count | None
    description: str | None
    part_number: str | None
    sku: str | None
    declared_as: str | None
    eccn: str | None
    tpp_each: Count | None


@_tolerant
class Parent(TypedDict, total=False):
    """The company that owns the consignee in the end."""

    name: str | None
    country: str | None
    id: str | None


@_tolerant
class Consignee(TypedDict, total=False):
    """Who receives the items."""

    name: str | None
    country: str | None
    headquarters: str | None
    id: str | None
    role: str | None
    ultimate_parent: Parent | None


@_tolerant
class Party(TypedDict, total=False):
    """Who sends the items, or pays for them."""

    name: str | None
    country: str | None


@_tolerant
class Authorization(TypedDict, total=False):
    """Under which channel the items move."""

    kind: Literal["license", "lpp", "nveu", "uveu", "aia", "acm", "nac", "aca", "none"] | None
    number: str | None
    holdings_tpp: Annotated[int, Field(ge=0, le=TPP_MAX)] | None


@_tolerant
class EndUse(TypedDict, total=False):
    """What the items will do."""

    purpose: str | None
    model: str | None
    model_developer_country: str | None
    site: str | None


@_tolerant
class ShipmentData(TypedDict, total=False):
    """The `data` of an event, of any type; which fields a type needs is in `REQUIRED`."""

    shipment_id: str | None
    shipped_at: Time | None
    expires_at: Time | None
    original_id: Name | None
    original_source: Name | None
    origin: str | None
    destination: str | None
    exporter: Party | None
    consignee: Consignee | None
    bill_to: Party | None
    authorization: Authorization | None
    lines: Annotated[list[Line], Field(min_length=1)] | None
    end_use: EndUse | None
    country: str | None
    period: Word | None
    tpp: SignedTpp | None
    actor: Word | None
    reason: Word | None
    approved_by: str | None


@_tolerant
class WireEvent(ShipmentData, total=False):
    """What one JSON object may hold: a structured CloudEvent (with `specversion` and `data`), or the bare data."""

    specversion: Literal["1.0"]
    id: Name | None
    source: Name | None
    type: str | None
    time: Time | None
    data: ShipmentData


REQUIRED: dict[str, tuple[str, ...]] = {
    "shipment.reserved": ("shipped_at", "destination", "lines"),
    "shipment.shipped": ("shipped_at", "destination", "lines"),
    "shipment.corrected": ("original_id", "time", "shipped_at", "destination", "lines"),
    "compute.used": ("shipped_at", "destination", "lines"),
    "shipment.returned": ("original_id",),
    "shipment.cancelled": ("original_id",),
    "shipment.resolved": ("original_id", "lines", "actor", "reason"),
    "ledger.adjusted": ("country", "period", "tpp", "actor", "reason"),
}
"""The fields that an event of each type needs; `shipped_at` may be given as the envelope's `time`."""

_DATA_FIELDS = frozenset(ShipmentData.__annotations__)

STATES_ITEMS = frozenset(
    {"shipment.reserved", "shipment.shipped", "shipment.corrected", "shipment.returned", "compute.used"}
)
"""Types whose lines each need a quantity, and a model or an amount. A return may have none."""

ORDERED_BY_TIME = frozenset({"shipment.corrected", "shipment.resolved"})
"""Types of which the latest stands, by the envelope's `time`."""


class ShipmentEvent(Struct):
    """One event as it was read: checked in form, not yet judged by any policy.

    Attributes:
        source: who names the event (CloudEvents `source`).
        id: the event's name under that source.
        type: one of `EVENT_TYPES`.
        time: when the event was made, if it was told.
        data: its known fields.
    """

    source: str
    id: str
    type: EventType
    time: datetime | None
    data: ShipmentData

    @property
    def key(self) -> str:
        """The event key as it is printed: `source#id`."""
        return f"{self.source}#{self.id}"

    @property
    def shipped_at(self) -> datetime:
        """When the goods left, UTC: the data's `shipped_at`, else the envelope's `time`.

        Raises:
            LookupError: the event tells no time (returns, cancels and a person's acts need none).
        """
        moment = self.moment
        if moment is None:
            raise LookupError(f"{self.key} tells neither shipped_at nor time")
        return moment

    @property
    def moment(self) -> datetime | None:
        """When what it tells of happened, UTC, as `shipped_at`; None if it tells no time."""
        stated = self.data.get("shipped_at") or self.time
        return stated if stated is None or stated.tzinfo is UTC else stated.astimezone(UTC)

    @property
    def data_prefix(self) -> str:
        """Where the data lies in the record: a bare event's data is the record, and holds its id."""
        return "" if "id" in self.data else "data."

    def known_data(self) -> dict[str, Any]:
        """The data's own fields: a bare event's dict holds its envelope too."""
        return {name: value for name, value in self.data.items() if name in _DATA_FIELDS}

    def content(self) -> bytes:
        """What the event says, in one spelling: not its bytes, mode, key order, unknown or absent fields.

        Two records with one key and one content are the same event; with another content they contradict. The
        envelope's `time` says something where it rules: as the missing `shipped_at`, and to order some types.
        """
        said: dict[str, Any] = {
            name: value.astimezone(UTC) if type(value) is datetime else value
            for name, value in self.data.items()
            if value is not None and name in _DATA_FIELDS
        }
        if self.time is not None:
            time = self.time.astimezone(UTC)
            said.setdefault("shipped_at", time)
            if self.type in ORDERED_BY_TIME:
                said["time"] = time
        text = _in_order((self.type, said))
        return _in_order((self.type, _stated(said))) if b"null" in text else text

    def content_sha256(self) -> str:
        """SHA-256 of `content()`, in hex."""
        return hashlib.sha256(self.content()).hexdigest()


_in_order = json.Encoder(order="sorted").encode


_PLAIN = frozenset({str, int, datetime})


def _stated(value: Any) -> Any:
    """A table, or a list of them, without the fields that say null."""
    if isinstance(value, list):
        return [_stated(inner) for inner in value]
    return {
        name: inner if type(inner) in _PLAIN else _stated(inner) for name, inner in value.items() if inner is not None
    }
