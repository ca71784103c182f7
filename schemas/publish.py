"""Prints the documents for other languages: `python -m schemas.publish` writes them into `schemas/published/`.

JSON Schemas, and the topics as AsyncAPI. A test fails where a published file differs from what the code says. The
OpenAPI document is the endpoint's: it answers at `/openapi.json`.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from schemas.asyncapi import asyncapi_document
from schemas.decision import Decision
from schemas.entry import Entry
from schemas.meter_status import MeterStatus
from schemas.problem import Problem
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import QuotaStatus
from schemas.shipment_event import EVENT_TYPES, REQUIRED, STATES_ITEMS, EventType, ShipmentData
from schemas.webhook import Delivery, Webhook, WebhookRequest

FOLDER = Path(__file__).parent / "published"

Schema = dict[str, Any]

_ANSWERS: dict[str, type[BaseModel]] = {
    "decision": Decision,
    "quota-alert": QuotaAlert,
    "quota-status": QuotaStatus,
    "meter-status": MeterStatus,
    "entry": Entry,
    "problem": Problem,
    "webhook": Webhook,
    "webhook-delivery": Delivery,
}


class _Plain(GenerateJsonSchema):
    """JSON Schema without a title on every field: the field's name says it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def published_schemas() -> dict[str, str]:
    """Every published schema: file name -> text."""
    schemas = {
        "shipment-event.structured": event_schema(structured=True),
        "shipment-event.bare": event_schema(structured=False),
        "webhook-request": WebhookRequest.model_json_schema(mode="validation", schema_generator=_Plain),
    }
    for name, model in _ANSWERS.items():
        schemas[name] = model.model_json_schema(mode="serialization", schema_generator=_Plain)
    return {f"{name}.schema.json": _document(name, schema) for name, schema in schemas.items()}


def published() -> dict[str, str]:
    """Every published file: name -> text."""
    topics = json.dumps(asyncapi_document(), indent=2, ensure_ascii=False) + "\n"
    return published_schemas() | {"asyncapi.json": topics}


def event_schema(*, structured: bool) -> Schema:
    """What a producer writes: one structured CloudEvent, or the bare data with its id.

    It says all that a schema can say of `cloudevents.read_event`; sizes, depth and the record's time are not in it.
    """
    data = TypeAdapter(ShipmentData).json_schema(schema_generator=_Plain)
    definitions = data.pop("$defs") | {"Time": {"type": "string", "format": "date-time"}}
    word = {"type": "string", "minLength": 1}
    time = {"anyOf": [{"$ref": "#/$defs/Time"}, {"type": "null"}]}
    kinds: Schema = {"enum": list(EVENT_TYPES) if structured else [*EVENT_TYPES, None]}
    schema: Schema = {"type": "object"}
    if structured:
        definitions["ShipmentData"] = data
        schema |= {
            "title": "ShipmentEvent, structured",
            "description": "A CloudEvent 1.0 in structured mode. Unknown fields are allowed.",
            "properties": {
                "specversion": {"const": "1.0"},
                "id": word,
                "source": word,
                "type": kinds,
                "time": time,
                "datacontenttype": {"type": "string"},
                "data": {"$ref": "#/$defs/ShipmentData"},
            },
            "required": ["specversion", "id", "source", "type", "data"],
        }
    else:
        schema |= {
            "title": "ShipmentEvent, bare",
            "description": "The data alone with its id; the record's header `source` may name its source.",
            "properties": data["properties"] | {"id": word, "type": kinds, "time": time},
            "required": ["id"],
            "not": {"required": ["specversion"]},
        }
    schema["allOf"] = [_if_type(kind, structured=structured) for kind in EVENT_TYPES]
    return schema | {"$defs": definitions}


def _if_type(kind: EventType, *, structured: bool) -> Schema:
    """What an event of this type needs beside what every event needs."""
    same: Schema = {"properties": {"type": {"const": kind}}, "required": ["type"]}
    if kind == "shipment.shipped" and not structured:
        same = {"properties": {"type": {"enum": [kind, None]}}}
    within = [field for field in REQUIRED[kind] if field not in ("time", "shipped_at")]
    data = _stated(*within)
    if kind in STATES_ITEMS or kind == "shipment.resolved":
        listed = "array" if "lines" in within else ["array", "null"]
        data["properties"]["lines"] = {"type": listed, "items": _line_of(kind)}
    rules = [_inside(data, structured=structured)]
    if "time" in REQUIRED[kind]:
        rules.append(_stated("time"))
    if "shipped_at" in REQUIRED[kind]:
        rules.append({"anyOf": [_inside(_stated("shipped_at"), structured=structured), _stated("time")]})
    return {"if": same, "then": {"allOf": rules}}


def _line_of(kind: EventType) -> Schema:
    if kind not in STATES_ITEMS:
        return _stated("model", "tpp_each")
    weights = _stated("eccn") | {"properties": {"eccn": {"type": "string", "pattern": r"^\s*4[Ee]091"}}}
    return {"allOf": [_stated("quantity"), {"anyOf": [_stated("model"), _stated("tpp_each"), weights]}]}


def _stated(*fields: str) -> Schema:
    """The fields are there, and not null: an absent field and a null one say the same."""
    return {"required": list(fields), "properties": {field: {"not": {"type": "null"}} for field in fields}}


def _inside(schema: Schema, *, structured: bool) -> Schema:
    return {"properties": {"data": schema}} if structured else schema


def _document(name: str, schema: Schema) -> str:
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:quota-ledger:schema:{name}"}
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every document into `FOLDER`."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in published().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
