"""The calls below /v1/webhooks: who is told of alerts, and what became of it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from ledger.countries import CountryTable
from schemas.problem import ProblemError
from schemas.webhook import (
    Delivery,
    DeliveryQueued,
    SecretRotated,
    Webhook,
    WebhookChange,
    WebhookCreated,
    WebhookRequest,
)
from streams.api.admission import read_body
from streams.api.answers import policy_in_force
from streams.api.parameters import Limit, cursor_form
from streams.api.parts import Parts, PartsHere
from streams.api.problems import ProblemAnswer, documented
from streams.webhooks.desk import DELIVERY_CURSOR, WebhookDesk
from streams.webhooks.subscription import SecretBox

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_Body = TypeVar("_Body", bound=BaseModel)


class WebhookList(BaseModel):
    """Every subscription, oldest first."""

    items: list[Webhook]
    next: None = None


class DeliveryPage(BaseModel):
    """Attempts, the newest first; `next` asks for older ones, null where there are none."""

    items: list[Delivery]
    next: str | None


def _body(model: type[BaseModel]) -> Mapping[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get("", responses=documented())
async def list_webhooks(parts: PartsHere) -> WebhookList:
    """Every subscription; secrets are not told again."""
    return WebhookList(items=await _desk(parts).all())


@router.post("", status_code=201, responses=documented(413, 422), openapi_extra=dict(_body(WebhookRequest)))
async def create_webhook(request: Request, parts: PartsHere) -> WebhookCreated:
    """Subscribe to alerts from now on. The answer tells the secret, this once."""
    wanted = _read(WebhookRequest, await read_body(request))
    await _check_countries(wanted.countries, parts)
    return await _desk(parts).add(wanted, _box(parts), now=parts.clock())


@router.get("/{webhook_id}", responses=documented(404, 422))
async def webhook(webhook_id: str, parts: PartsHere) -> Webhook:
    """One subscription; its secret is not told again."""
    return await _desk(parts).find(webhook_id)


@router.patch("/{webhook_id}", responses=documented(404, 413, 422), openapi_extra=dict(_body(WebhookChange)))
async def change_webhook(webhook_id: str, request: Request, parts: PartsHere) -> Webhook:
    """Change what is stated: what is absent stays, null takes a filter away. `state` pauses it, or sets it going."""
    change = _read(WebhookChange, await read_body(request))
    await _check_countries(change.countries, parts)
    return await _desk(parts).change(webhook_id, change)


@router.delete("/{webhook_id}", status_code=204, responses=documented(404, 422))
async def remove_webhook(webhook_id: str, parts: PartsHere) -> Response:
    """End a subscription; what was not delivered yet is not any more."""
    await _desk(parts).remove(webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", responses=documented(404, 422))
async def rotate_secret(webhook_id: str, parts: PartsHere) -> SecretRotated:
    """Make a new secret, told this once. For a day messages are signed by the old one too."""
    return await _desk(parts).rotate(webhook_id, _box(parts), now=parts.clock())


@router.post("/{webhook_id}/test", status_code=202, responses=documented(404, 422))
async def test_webhook(webhook_id: str, parts: PartsHere) -> DeliveryQueued:
    """Have an alert of kind `webhook.test` delivered, once; its deliveries say what became of it."""
    policy = await policy_in_force(parts.reader)
    return await _desk(parts).test(webhook_id, policy, now=parts.clock())


@router.get("/{webhook_id}/deliveries", responses=documented(404, 422))
async def list_deliveries(
    webhook_id: str,
    parts: PartsHere,
    *,
    cursor: Annotated[str | None, cursor_form(64, DELIVERY_CURSOR)] = None,
    limit: Limit = 100,
) -> DeliveryPage:
    """The attempts made at a webhook, the newest first: about the last thousand are kept."""
    items, following = await _desk(parts).deliveries(webhook_id, cursor=cursor, count=limit)
    return DeliveryPage(items=items, next=following)


@router.post("/{webhook_id}/deliveries/{delivery_id}/resend", status_code=202, responses=documented(404, 422))
async def resend_delivery(webhook_id: str, delivery_id: str, parts: PartsHere) -> DeliveryQueued:
    """Deliver once more, under the same `webhook-id` and `quota-sequence`, whatever became of it before."""
    return await _desk(parts).resend(webhook_id, delivery_id)


def _desk(parts: Parts) -> WebhookDesk:
    async def publish(key: str, value: bytes | None) -> None:
        await asyncio.to_thread(parts.producer.send_all, parts.settings.topic_settings, [(key.encode(), value, [])])

    return WebhookDesk(parts.jobs, parts.feed, guard=parts.guard, publish=publish)


def _box(parts: Parts) -> SecretBox:
    if parts.secret_box is None:
        detail = "QUOTA_SECRET_KEY is not set: this endpoint cannot keep webhook secrets"
        raise ProblemAnswer(503, "unavailable", detail)
    return parts.secret_box


async def _check_countries(countries: list[str] | None, parts: Parts) -> None:
    if countries is not None:
        _refuse_unknown(countries, (await policy_in_force(parts.reader)).countries)


def _refuse_unknown(countries: list[str], table: CountryTable) -> None:
    """A filter on a country that is none would let nothing through."""
    errors = [
        ProblemError(reason="unknown_country", field=f"countries.{number}", advice=table.advice(country))
        for number, country in enumerate(countries)
        if country not in table
    ]
    if errors:
        raise ProblemAnswer(422, "invalid-request", "; ".join(error.advice for error in errors), errors=errors)


def _read(model: type[_Body], body: bytes) -> _Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as failure:
        found = failure.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([wrong | {"loc": ("body", *wrong["loc"])} for wrong in found]) from None
