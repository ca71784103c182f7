"""The endpoint's OpenAPI document: what FastAPI knows of the routes, the models that it does not, and real answers."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from schemas.examples import examples
from schemas.problem import MEDIA_TYPE, Problem
from schemas.shipment_event import WireEvent
from schemas.webhook import WebhookChange, WebhookRequest
from streams.api.decisions import NotSeen

Document = dict[str, Any]

_REF = "#/components/schemas/{model}"


def openapi_document(app: FastAPI, *, with_keys: bool) -> Document:
    """The document of an application.

    Args:
        app: the endpoint.
        with_keys: whether it asks for keys.
    """
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document["components"]["schemas"]
    _, problems = models_json_schema(
        [
            (Problem, "serialization"),
            (NotSeen, "serialization"),
            (WebhookRequest, "validation"),
            (WebhookChange, "validation"),
        ],
        ref_template=_REF,
    )
    event = TypeAdapter(WireEvent).json_schema(ref_template=_REF)
    for name, schema in (*problems["$defs"].items(), *event.pop("$defs").items(), ("WireEvent", event)):
        components.setdefault(name, schema)
    _show_examples(document)
    if not with_keys:
        _without_keys(document)
    return document


def _show_examples(document: Document) -> None:
    """Put each example where it belongs: the body of a request, and its answer."""
    for example in examples():
        operation = document["paths"][example["path"]][example["method"].lower()]
        if "request" in example:
            operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
        content = operation["responses"][str(example["status"])]["content"]
        content[MEDIA_TYPE if MEDIA_TYPE in content else "application/json"]["example"] = example["answer"]


def _without_keys(document: Document) -> None:
    """Say nothing of keys: this endpoint asks for none."""
    document["components"].pop("securitySchemes", None)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
