"""The topics as one AsyncAPI 3.0 document: what may be produced, and what the ledger writes. `publish.py` prints it."""

from typing import Any

from schemas.examples import example_alert
from schemas.rejected_record import REJECT_REASONS

Document = dict[str, Any]

_DATA = {
    "shipped_at": "2026-03-01T22:10:00Z",
    "destination": "IN",
    "lines": [{"model": "H100 SXM", "quantity": 64}],
}
_BARE = {"id": "S-1"} | _DATA
_STRUCTURED = {
    "specversion": "1.0",
    "id": "S-1",
    "source": "/logistics/acme",
    "type": "shipment.shipped",
    "data": _DATA,
}


def asyncapi_document() -> Document:
    """The document; schemas are referred to by the names of the files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "quota-ledger",
            "version": "1",
            "description": "Quotas of AI chips by country, debited from shipments. Names of topics are the defaults.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "shipments": _channel(
                "shipments",
                "What producers write, with any key. What cannot be applied is parked on shipments.rejected.",
                ["shipmentStructured", "shipmentBinary", "shipmentBare"],
            ),
            "rejected": _channel("shipments.rejected", "What could not be applied, as it came.", ["rejected"]),
            "alerts": _channel("alerts", "Every alert, at least once, in order, keyed by account.", ["alert"]),
        },
        "operations": {
            "debitShipments": _operation("receive", "shipments", "Each valid event changes the balances exactly once."),
            "parkRejects": _operation("send", "rejected", "Before the checkpoint passes the record."),
            "tellAlerts": _operation("send", "alerts", "An alert told again has the same alert_id."),
        },
        "components": {"messages": _messages()},
    }


def _messages() -> Document:
    attributes = {name: {"type": "string"} for name in ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")}
    told = {
        "quota-reason": {"type": "string", "enum": list(REJECT_REASONS)},
        "quota-detail": {"type": "string", "description": "which field, what was found, what to write"},
        "quota-topic": {"type": "string"},
        "quota-partition": {"type": "string"},
        "quota-offset": {"type": "string"},
        "quota-event-key": {"type": "string", "description": "source#id, where the record told them"},
        "quota-cut": {"type": "string", "description": "the record was too large to be parked whole"},
    }
    return {
        "shipmentStructured": {
            "title": "A CloudEvent 1.0 in structured mode",
            "contentType": "application/cloudevents+json",
            "payload": _schema("shipment-event.structured"),
            "examples": [{"payload": _STRUCTURED}],
        },
        "shipmentBinary": {
            "title": "A CloudEvent 1.0 in binary mode: attributes are headers, the value is the data",
            "headers": {"type": "object", "properties": attributes, "required": ["ce_id", "ce_source", "ce_type"]},
            "payload": {"type": "object"},
        },
        "shipmentBare": {
            "title": "The data alone, with its id; the header source may name its source",
            "headers": {"type": "object", "properties": {"source": {"type": "string"}}},
            "payload": _schema("shipment-event.bare"),
            "examples": [{"payload": _BARE}],
        },
        "rejected": {
            "title": "A record that could not be applied: its key, value and headers, and why",
            "headers": {"type": "object", "properties": told, "required": ["quota-reason", "quota-detail"]},
            "payload": {"description": "the bytes as they came"},
        },
        "alert": {
            "title": "An alert",
            "headers": {
                "type": "object",
                "properties": {"shipment-time": {"type": "string", "description": "Kafka time of its record, in ms"}},
            },
            "payload": _schema("quota-alert"),
            "examples": [{"payload": example_alert()}],
        },
    }


def _channel(topic: str, description: str, messages: list[str]) -> Document:
    named = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    bindings = {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}}
    return {"address": topic, "description": description, "messages": named, "bindings": bindings}


def _operation(action: str, channel: str, description: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "description": description}


def _schema(name: str) -> Document:
    return {"$ref": f"./{name}.schema.json"}
