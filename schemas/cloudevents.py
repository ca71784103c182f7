"""A Kafka record's value and headers -> a shipment event, or every reason why not.

CloudEvents 1.0 in structured mode (one JSON object with `specversion` and `data`), in binary mode (`ce_` headers, the
value is the data), or the bare data with its `id`. A reader knows no country and no chip: `ledger/rules` judges those.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from schemas.quick_reader import read_quickly
from schemas.rejected_record import FieldError, RejectedRecord, RejectReason
from schemas.shipment_event import (
    EVENT_TYPES,
    NAME_MAX,
    REQUIRED,
    STATES_ITEMS,
    TPP_MAX,
    EventType,
    Line,
    ShipmentData,
    ShipmentEvent,
    WireEvent,
)

SIZE_MAX = 64 * 1024
"""Bytes in the largest value that is read."""

AHEAD_MAX = timedelta(days=1)
"""How far a shipment may lie after the Kafka time of its own record."""

_YEAR_MAX = 9999
"""In the first and the last year a time may lie in no year at all once it is told in UTC."""

Headers = Iterable[tuple[str, bytes | None]]

_wire = TypeAdapter(WireEvent)
_bare = TypeAdapter(ShipmentData)
_types: frozenset[str] = frozenset(EVENT_TYPES)
_BACKSLASH, _DELETE, _C1_LEAD = ord("\\"), 0x7F, 0xC2
"""Without one of these bytes no control character stands in JSON."""

_may_hide_control_characters = re.compile(rb"\\u00|\\[bf]|\x7f|\xc2[\x80-\x9f]")
_control_character = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read_event(
    value: bytes | None,
    headers: Headers = (),
    *,
    default_source: str,
    recorded_at: datetime | None = None,
) -> ShipmentEvent:
    """Read one record.

    Args:
        value: the record's bytes, as they came.
        headers: the record's headers; `ce_id` makes it binary mode, `source` names a bare event's source.
        default_source: the source of a bare event without a header, such as `/kafka/shipments`.
        recorded_at: the record's Kafka time; None where there is no record yet (an assessment).

    Returns:
        The event, right in form.

    Raises:
        RejectedRecord: with every error found at once.
    """
    if not value:
        raise _rejected("tombstone", "", "the record has no value; write a JSON object, a cancel is an event too")
    if len(value) > SIZE_MAX:
        raise _rejected("too_large", "", f"{len(value)} bytes; write at most {SIZE_MAX}, split the shipment's lines")
    wire: Any = read_quickly(value)
    if headers:
        envelope, data = _by_headers(value, wire, dict(headers), default_source)
    else:
        if wire is None:
            wire = _read_thoroughly(value, default_source, {})
        envelope, data = _envelope_and_data(wire, default_source)
    event = _whole_shipment(envelope, data, recorded_at)
    if event is None:
        try:
            event = _assemble(envelope, data, recorded_at)
        except RejectedRecord:
            if b'"payload"' in value:
                _refuse_connect_envelope(json.loads(value))
            raise
    if _BACKSLASH in value or _DELETE in value or _C1_LEAD in value:
        _refuse_control_characters(value, event)
    return event


def _envelope_and_data(wire: Any, source: str) -> tuple[Any, Any]:
    """The event's attributes and its data: the one in the other, or both in one in a bare event."""
    if "specversion" in wire:
        return wire, wire.get("data")
    wire["source"] = source
    return wire, wire


def _by_headers(value: bytes, wire: Any, named: dict[str, bytes | None], default_source: str) -> tuple[Any, Any]:
    """The same of a record with headers: they make it binary mode, or name a bare event's source."""
    size = len(value) + sum(len(name) + len(text or b"") for name, text in named.items() if name.startswith("ce_"))
    if size > SIZE_MAX:
        raise _rejected("too_large", "", f"{size} bytes with its ce_ headers; write at most {SIZE_MAX}")
    binary = "ce_id" in named or "ce_specversion" in named
    envelope = _binary_envelope(named) if binary else {}
    if wire is None:
        source = envelope.get("source") if binary else _text(named, "source") or default_source
        wire = _read_thoroughly(value, source, envelope)
    return (envelope, wire) if binary else _envelope_and_data(wire, _text(named, "source") or default_source)


def to_structured(event: ShipmentEvent) -> bytes:
    """An event as one structured CloudEvent in JSON, UTF-8."""
    envelope: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    if event.time is not None:
        envelope["time"] = event.time
    envelope["datacontenttype"] = "application/json"
    envelope["data"] = event.known_data()
    return json.dumps(envelope, ensure_ascii=False, default=_rfc3339).encode()


def _whole_shipment(envelope: Any, data: Any, recorded_at: datetime | None) -> ShipmentEvent | None:
    """The event, if it is a shipment that lacks nothing; None if it must be looked at closely.

    Nearly every record is one. `_assemble` would find the same, at four times the price.
    """
    if data is None or envelope.get("type", "shipment.shipped" if data is envelope else None) != "shipment.shipped":
        return None
    event_id, source, time = envelope.get("id"), envelope.get("source"), envelope.get("time")
    shipped_at, lines = data.get("shipped_at") or time, data.get("lines")
    if not event_id or not source or not lines or shipped_at is None or data.get("destination") is None:
        return None
    for line in lines:
        if line.get("quantity") is None or line.get("model") is None:
            return None
    if not 1 < shipped_at.year < _YEAR_MAX or (recorded_at is not None and shipped_at > recorded_at + AHEAD_MAX):
        return None
    if (time is not None and not 1 < time.year < _YEAR_MAX) or data.get("expires_at") is not None:
        return None
    return ShipmentEvent(source, event_id, "shipment.shipped", time, data)


def _assemble(envelope: Any, data: Any, recorded_at: datetime | None) -> ShipmentEvent:
    kind = envelope.get("type")
    if kind is None and "specversion" not in envelope:
        kind = "shipment.shipped"
    event_id, source, time = envelope.get("id"), envelope.get("source"), envelope.get("time")
    prefix = "data." if "specversion" in envelope else ""
    errors: list[FieldError] = []
    if not event_id:
        errors.append(FieldError("missing_field", "id", "every event needs an id of its own under its source"))
    if not source:
        errors.append(FieldError("missing_field", "source", "a CloudEvent needs its source, such as /logistics/acme"))
    if kind is None:
        errors.append(FieldError("missing_field", "type", f"write one of {', '.join(EVENT_TYPES)}"))
    elif kind not in _types:
        advice = f"found {_short(kind)}; write one of {', '.join(EVENT_TYPES)}"
        errors.append(FieldError("unknown_type", "type", advice))
    if data is None:
        errors.append(FieldError("missing_field", "data", "write the shipment there, as a JSON object"))
    elif kind in _types:
        _check_needed_fields(kind, time, data, prefix, errors)
        _check_time(data, time, recorded_at, prefix, errors)
    if errors:
        raise RejectedRecord(errors, _key(envelope))
    return ShipmentEvent(source, event_id, kind, time, data)


def _check_needed_fields(kind: EventType, time: Any, data: Any, prefix: str, errors: list[FieldError]) -> None:
    for field in REQUIRED[kind]:
        given = data.get(field)
        if field == "time":
            if time is None:
                errors.append(FieldError("missing_field", "time", f"a {kind} needs time: the latest correction stands"))
        elif given is None and not (field == "shipped_at" and time is not None):
            errors.append(FieldError("missing_field", prefix + field, f"a {kind} needs {field}"))
        elif field in ("actor", "reason") and not str(given).strip():
            errors.append(FieldError("bad_value", prefix + field, f"is blank; a {kind} says who decided it, and why"))
    if kind in STATES_ITEMS:
        needed = _missing_of_items
    elif kind == "shipment.resolved":
        needed = _missing_of_resolved
    else:
        return
    for number, line in enumerate(data.get("lines") or ()):
        for field, advice in needed(line):
            errors.append(FieldError("missing_field", f"{prefix}lines.{number}.{field}", advice))


def _missing_of_items(line: Line) -> Iterable[tuple[str, str]]:
    if line.get("quantity") is None:
        yield "quantity", "state how many items, a whole number from 1"
    if line.get("model") is None and line.get("tpp_each") is None and not _is_weights(line):
        yield "model", "state the model, or tpp_each if it has no name"


def _missing_of_resolved(line: Line) -> Iterable[tuple[str, str]]:
    if line.get("model") is None:
        yield "model", "name the held model"
    if line.get("tpp_each") is None:
        yield "tpp_each", "state the TPP of one item"


def _check_time(data: Any, time: Any, recorded_at: datetime | None, prefix: str, errors: list[FieldError]) -> None:
    shipped_at, expires_at = data.get("shipped_at"), data.get("expires_at")
    for field, moment in ((prefix + "shipped_at", shipped_at), ("time", time), (prefix + "expires_at", expires_at)):
        if moment is not None and not 1 < moment.year < _YEAR_MAX:
            errors.append(FieldError("bad_time", field, f"found the year {moment.year}; {_TIME_ADVICE}"))
            return
    if recorded_at is None:
        return
    shipped_at = shipped_at or time
    if shipped_at is not None and shipped_at > recorded_at + AHEAD_MAX:
        advice = f"{shipped_at.isoformat()} is more than a day after the record's Kafka time {recorded_at.isoformat()}"
        errors.append(FieldError("in_the_future", prefix + "shipped_at", advice))


def _is_weights(line: Line) -> bool:
    return str(line.get("eccn") or "").strip().upper().startswith("4E091")


def _binary_envelope(named: dict[str, bytes | None]) -> dict[str, Any]:
    envelope: dict[str, Any] = {name: _text(named, f"ce_{name}") for name in ("specversion", "id", "source", "type")}
    key = _key(envelope)
    if envelope["specversion"] not in (None, "1.0"):
        advice = f"found {_short(envelope['specversion'])}; CloudEvents 1.0 is read"
        raise RejectedRecord([FieldError("bad_value", "ce_specversion", advice)], key)
    if stated := _text(named, "ce_time"):
        try:
            envelope["time"] = _bare.validate_python({"shipped_at": stated}, strict=False).get("shipped_at")
        except ValidationError:
            raise RejectedRecord(
                [FieldError("bad_time", "ce_time", f"found {_short(stated)}; {_TIME_ADVICE}")], key
            ) from None
    return envelope


def _text(named: dict[str, bytes | None], name: str) -> str | None:
    """A header that names something, held to the same rules as its twin in JSON."""
    header = named.get(name)
    if header is None:
        return None
    try:
        text = header.decode()
    except UnicodeDecodeError:
        raise _rejected("bad_value", name, "is not UTF-8; write it in UTF-8") from None
    if len(text) > NAME_MAX:
        raise _rejected("bad_value", name, f"has {len(text)} characters; write at most {NAME_MAX}")
    if found := _control_character.search(text):
        raise _rejected("bad_value", name, f"holds the control character U+{ord(found[0]):04X}; leave it out")
    return text


def _key(envelope: Any) -> str | None:
    source, event_id = envelope.get("source"), envelope.get("id")
    if not all(isinstance(name, str) and 1 <= len(name) <= NAME_MAX for name in (source, event_id)):
        return None
    return f"{source}#{event_id}"


# ---------------------------------------------------------------------------------------------------------------------
# What went wrong: off the hot path, so that it may be thorough.

_TIME_ADVICE = "write an RFC 3339 time with its offset, such as 2026-03-01T22:10:00Z"
_COUNT_ERRORS = {"greater_than_equal", "less_than_equal", "int_parsing_size"}


def _refuse_connect_envelope(raw: Any) -> None:
    if set(raw) == {"schema", "payload"}:
        advice = "a Kafka Connect envelope; set value.converter.schemas.enable=false"
        raise _rejected("connect_envelope", "", advice) from None


def _read_thoroughly(value: bytes, source: str | None, envelope: dict[str, Any]) -> Any:
    """Read what the quick reader would not: name every error, or find that only unknown fields were in the way.

    `envelope` holds the attributes in binary mode and is empty else; `source` names the event if it is bare or binary.
    """
    try:
        return _wire.validate_json(value)
    except ValidationError as refused:
        failure = refused
    first = failure.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        raise _unreadable(value, first) from None
    try:
        raw = json.loads(value)
    except (ValueError, RecursionError):
        raise _unreadable(value, first) from None
    if not isinstance(raw, dict):
        advice = f"the value is {_JSON_KINDS[type(raw)]}; write one JSON object an event"
        raise _rejected("not_an_object", "", advice) from None
    _refuse_connect_envelope(raw)
    structured = not envelope and "specversion" in raw
    if not structured:
        fields = () if envelope else ("id", "type", "time")
        raw = {name: raw[name] for name in raw if name in ShipmentData.__annotations__ or name in fields}
        try:
            return _wire.validate_json(json.dumps(raw))
        except ValidationError as still:
            failure = still
    prefix = "data." if envelope else ""
    errors = [_field_error(found, prefix) for found in failure.errors(include_url=False)]
    attributes = envelope or (raw if structured else {"type": "shipment.shipped", **raw, "source": source})
    errors += _also_missing(attributes, raw.get("data") if structured else raw, {error.field for error in errors})
    raise RejectedRecord(errors, _key(attributes)) from None


def _also_missing(attributes: dict[str, Any], data: Any, named: set[str]) -> list[FieldError]:
    """What is absent beside what is wrong, so that a producer sees every error at once."""
    lines = data.get("lines") if isinstance(data, dict) else None
    readable = isinstance(data, dict) and (lines is None or isinstance(lines, list))
    kind = attributes.get("type")
    if kind not in EVENT_TYPES or not readable or not all(isinstance(line, dict) for line in lines or ()):
        return []
    missing: list[FieldError] = []
    prefix = "data." if "specversion" in attributes else ""
    _check_needed_fields(cast("EventType", kind), attributes.get("time"), data, prefix, missing)
    return [error for error in missing if error.field not in named]


def _unreadable(value: bytes, first: ErrorDetails) -> RejectedRecord:
    if value[0] == 0:
        advice = "the value starts with a zero byte, as Confluent's serialisers write; produce plain JSON"
        return _rejected("confluent_framing", "", advice)
    if "number out of range" in first["msg"]:
        return _rejected("number_out_of_range", "", f"a number has too many digits; amounts go up to {TPP_MAX}")
    if "recursion" in first["msg"]:
        return _rejected("too_deep", "", "objects and lists are nested too deep; an event needs five levels")
    return _rejected("not_json", "", first["msg"].removeprefix("Invalid JSON: ") + "; write one JSON object in UTF-8")


def _field_error(found: ErrorDetails, prefix: str) -> FieldError:
    field = prefix + ".".join(str(step) for step in found["loc"])
    kind, given = found["type"], found["input"]
    shown = f"found {_short(given)}; "
    reason: RejectReason = "bad_value"
    advice = found["msg"]
    if kind == "missing":
        reason, shown = "missing_field", ""
    elif kind.startswith(("datetime", "timezone", "date_")):
        reason, advice = "bad_time", _TIME_ADVICE
    elif kind in _COUNT_ERRORS or (kind == "int_type" and isinstance(given, int) and not isinstance(given, bool)):
        reason = "number_out_of_range"
    return FieldError(reason, field, shown + advice)


_JSON_KINDS = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}
_JSON_KINDS[type(None)] = "null"


def _short(given: Any) -> str:
    """What was found, as JSON writes it."""
    text = json.dumps(given, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004  a line's worth


def _refuse_control_characters(value: bytes, event: ShipmentEvent) -> None:
    if _may_hide_control_characters.search(value) and (errors := list(_control_characters(event))):
        raise RejectedRecord(errors, event.key)


def _control_characters(event: ShipmentEvent) -> Iterable[FieldError]:
    """Line breaks and tabs may stand in free text; other control characters hide things from a reader."""
    data = (event.data_prefix.rstrip("."), event.known_data())
    pending: list[tuple[str, Any]] = [("id", event.id), ("source", event.source), data]
    while pending:
        where, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{where}.{name}".lstrip("."), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            pending += [(f"{where}.{number}", inner) for number, inner in enumerate(value)]
        elif isinstance(value, str) and (found := _control_character.search(value)):
            yield FieldError("bad_value", where, f"holds the control character U+{ord(found[0]):04X}; leave it out")


def _rejected(reason: RejectReason, field: str, advice: str) -> RejectedRecord:
    return RejectedRecord([FieldError(reason, field, advice)])


def _rfc3339(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in an event")
