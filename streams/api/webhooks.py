"""GET and POST /v1/webhooks: who is told of alerts. A subscription is a record on the settings topic."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from ledger.countries import CountryTable
from schemas.problem import ProblemError
from schemas.webhook import Webhook, WebhookCreated, WebhookRequest
from streams.api.admission import read_body
from streams.api.answers import policy_in_force
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer, documented
from streams.kafka.producer import Outgoing
from streams.webhooks.subscription import create, read_subscriptions

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_SCHEMA = {"$ref": "#/components/schemas/WebhookRequest"}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


class WebhookList(BaseModel):
    """Every subscription, oldest first."""

    items: list[Webhook]
    next: None = None


@router.get("", responses=documented())
async def list_webhooks(parts: PartsHere) -> WebhookList:
    """Every subscription; secrets are not told again."""
    subscriptions = read_subscriptions(await parts.jobs.records())
    shown = [subscription.shown() for subscription in subscriptions.values()]
    return WebhookList(items=sorted(shown, key=lambda webhook: webhook.created_at))


@router.post("", status_code=201, responses=documented(413, 422), openapi_extra=_BODY)
async def create_webhook(request: Request, parts: PartsHere) -> WebhookCreated:
    """Subscribe to alerts from now on. The answer tells the secret, this once."""
    wanted = _read_request(await read_body(request))
    if parts.secret_box is None:
        detail = "QUOTA_SECRET_KEY is not set: this endpoint cannot keep webhook secrets"
        raise ProblemAnswer(503, "unavailable", detail)
    await parts.guard.check_url(wanted.url)
    if wanted.countries is not None:
        _refuse_unknown(wanted.countries, (await policy_in_force(parts.reader)).countries)
    stored, secret = create(wanted, parts.secret_box, now=parts.clock())
    record: Outgoing = (stored.setting_key.encode(), stored.to_record(), [])
    await asyncio.to_thread(parts.producer.send_all, parts.settings.topic_settings, [record])
    return WebhookCreated(**stored.shown().model_dump(), secret=secret)


def _refuse_unknown(countries: list[str], table: CountryTable) -> None:
    """A filter on a country that is none would let nothing through."""
    errors = [
        ProblemError(reason="unknown_country", field=f"countries.{number}", advice=table.advice(country))
        for number, country in enumerate(countries)
        if country not in table
    ]
    if errors:
        raise ProblemAnswer(422, "invalid-request", "; ".join(error.advice for error in errors), errors=errors)


def _read_request(body: bytes) -> WebhookRequest:
    try:
        return WebhookRequest.model_validate_json(body)
    except ValidationError as failure:
        errors = failure.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([error | {"loc": ("body", *error["loc"])} for error in errors]) from None
