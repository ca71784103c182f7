"""The published documents are what the code says, and agree with the reader on good and bad events."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator

from schemas.asyncapi import asyncapi_document
from schemas.cloudevents import read_event
from schemas.examples import examples
from schemas.publish import FOLDER, event_schema, published, published_schemas
from schemas.rejected_record import RejectedRecord
from streams.api.publish import FILE, published_openapi
from streams.settings import Settings

LINE = {"model": "H100 SXM", "quantity": 8}
BARE = {"id": "e1", "shipped_at": "2026-03-01T22:10:00Z", "destination": "IN", "lines": [LINE]}
PERSON = {"actor": "a person", "reason": "a reason"}


def test_the_published_documents_are_fresh():
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}

    assert found.pop(FILE.name) == published_openapi(), "run `python -m streams.api.publish`"
    assert found == published(), "run `python -m schemas.publish`"


def test_the_asyncapi_document_names_the_topics_and_its_examples_are_events():
    document = asyncapi_document()
    messages = document["components"]["messages"]
    referred = {message["payload"]["$ref"][2:] for message in messages.values() if "$ref" in message["payload"]}
    [alert] = [example["payload"] for example in messages["alert"]["examples"]]
    shipments = [messages[name]["examples"][0]["payload"] for name in ("shipmentStructured", "shipmentBare")]
    defaults = {Settings.model_fields[f"topic_{name}"].default for name in ("shipments", "rejected", "alerts")}

    assert {channel["address"] for channel in document["channels"].values()} == defaults
    assert referred <= published().keys()
    assert len({read_event(json.dumps(example).encode(), default_source="/test").id for example in shipments}) == 1
    Draft202012Validator(json.loads(published()["quota-alert.schema.json"])).validate(alert)
    assert {name for channel in document["channels"].values() for name in channel["messages"]} == set(messages)


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example['method']} {example['path']}")
def test_an_example_of_a_call_keeps_to_the_openapi_document(example):
    document = json.loads(published_openapi())
    operation = document["paths"][example["path"]][example["method"].lower()]
    content = operation["responses"][str(example["status"])]["content"]
    [told] = [found for media_type, found in content.items() if media_type.endswith("json")]
    pairs = [(told["schema"], example["answer"])]
    if "request" in example:
        pairs.append((operation["requestBody"]["content"]["application/json"]["schema"], example["request"]))

    for schema, value in pairs:
        Draft202012Validator(schema | {"components": document["components"]}).validate(value)
    assert told["example"] == example["answer"]


def schemas_within(value):
    """Every object of a document, itself among them: those that are schemas may state a default."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from schemas_within(inner)


def test_a_default_of_the_openapi_document_is_a_value_that_it_allows():
    document = json.loads(published_openapi())
    stated = [schema for schema in schemas_within(document) if "default" in schema]

    assert stated
    for schema in stated:
        Draft202012Validator(schema | {"components": document["components"]}).validate(schema["default"])


def test_a_change_of_a_webhook_has_no_defaults_for_what_is_absent_stays():
    change = json.loads(published_openapi())["components"]["schemas"]["WebhookChange"]

    assert "required" not in change
    assert [name for name, schema in change["properties"].items() if "default" in schema] == []


@pytest.mark.parametrize("name", sorted(published_schemas()))
def test_a_published_schema_is_one_and_names_itself(name):
    schema = json.loads(published_schemas()[name])
    Draft202012Validator.check_schema(schema)

    assert schema["$id"] == f"urn:quota-ledger:schema:{name.removesuffix('.schema.json')}"
    assert schema["title"]
    assert schema["description"]


def structured(bare):
    data = {name: value for name, value in bare.items() if name not in ("id", "type", "time")}
    kind = bare.get("type") or "shipment.shipped"
    event = {"specversion": "1.0", "id": bare.get("id"), "source": "/test", "type": kind, "data": data}
    event = {name: value for name, value in event.items() if value is not None}
    return event | ({"time": bare["time"]} if "time" in bare else {})


def without(field):
    return {name: value for name, value in BARE.items() if name != field}


EVENTS = {
    "good": BARE,
    "unknown field": BARE | {"colour": "red"},
    "time for shipped_at": without("shipped_at") | {"time": "2026-03-01T22:10:00Z"},
    "null parent": BARE | {"consignee": {"name": "C", "ultimate_parent": None}},
    "tpp for model": BARE | {"lines": [{"tpp_each": 4800, "quantity": 1}]},
    "weights": BARE | {"lines": [{"eccn": "4E091", "quantity": 1}]},
    "return": {"id": "r1", "type": "shipment.returned", "original_id": "e1"},
    "return of null lines": {"id": "r1", "type": "shipment.returned", "original_id": "e1", "lines": None},
    "return of lines": {"id": "r1", "type": "shipment.returned", "original_id": "e1", "lines": [LINE]},
    "return of lines without quantity": {
        "id": "r1",
        "type": "shipment.returned",
        "original_id": "e1",
        "lines": [{"model": "X"}],
    },
    "cancel of lines without quantity": {
        "id": "x1",
        "type": "shipment.cancelled",
        "original_id": "e1",
        "lines": [{"model": "X"}],
    },
    "adjusted": {"id": "a1", "type": "ledger.adjusted", "country": "IN", "period": "2026", "tpp": -5} | PERSON,
    "resolved": {"id": "v1", "type": "shipment.resolved", "original_id": "e1", "lines": [{"model": "X", "tpp_each": 9}]}
    | PERSON,
    "no id": without("id"),
    "no destination": without("destination"),
    "no time at all": without("shipped_at"),
    "null destination": BARE | {"destination": None},
    "no lines": BARE | {"lines": []},
    "no quantity": BARE | {"lines": [{"model": "H100 SXM"}]},
    "no model": BARE | {"lines": [{"quantity": 8}]},
    "quantity of nought": BARE | {"lines": [LINE | {"quantity": 0}]},
    "quantity in words": BARE | {"lines": [LINE | {"quantity": "8"}]},
    "unknown type": BARE | {"type": "shipment.lost"},
    "correction without time": BARE | {"type": "shipment.corrected", "original_id": "e0"},
    "return of nothing": {"id": "r1", "type": "shipment.returned"},
    "resolved without model": {"id": "v1", "type": "shipment.resolved", "original_id": "e1", "lines": [{"tpp_each": 9}]}
    | PERSON,
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("form", ["bare", "structured"])
def test_the_schema_accepts_what_the_reader_accepts(name, form):
    event = copy.deepcopy(EVENTS[name]) if form == "bare" else structured(EVENTS[name])
    accepted = Draft202012Validator(event_schema(structured=form == "structured")).is_valid(event)
    try:
        read_event(json.dumps(event).encode(), default_source="/test")
        read = True
    except RejectedRecord:
        read = False

    assert accepted == read
