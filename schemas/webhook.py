"""A webhook: the subscription as it is asked for and as it is shown, and one attempt to deliver an alert to it."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.decision import Tier
from schemas.fields import Form
from schemas.quota_alert import AlertKind, Severity

WebhookFormat = Literal["standard", "slack", "pagerduty"]
WebhookState = Literal["active", "paused", "disabled", "exhausted"]
DeliveryOutcome = Literal["delivered", "failed", "gone", "exhausted"]

Country = Annotated[str, Form("^[A-Z]{2}$", "write a country's two capital letters, such as IN")]
Filter = Field(default=None, min_length=1, max_length=300)


class Subscription(BaseModel):
    """Which alerts go where. A filter that is absent lets everything through."""

    model_config = ConfigDict(frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=2048, description="https, or http to a network that is allowed")]
    kinds: list[AlertKind] | None = Filter
    countries: list[Country] | None = Filter
    tiers: list[Tier] | None = Filter
    severity_min: Severity | None = None
    sources: list[Annotated[str, Field(min_length=1, max_length=2048)]] | None = Filter
    format: WebhookFormat = "standard"
    description: Annotated[str, Field(max_length=1000)] = ""


class WebhookRequest(Subscription):
    """The body of `POST /v1/webhooks`. A misspelt field is refused: an unread filter lets too much out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["active", "paused"] = "active"


def _absent_stays(schema: dict[str, Any]) -> None:
    """State no defaults: a client that sent them would change what it says nothing of."""
    for field in schema["properties"].values():
        field.pop("default", None)


class WebhookChange(Subscription):
    """The body of `PATCH /v1/webhooks/{id}`: what is absent stays; null takes a filter away."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_absent_stays)

    url: Annotated[str, Field(min_length=1, max_length=2048)] = ""
    state: Literal["active", "paused"] = "active"


class Webhook(Subscription):
    """A subscription as the API shows it; its secret is never among it."""

    id: str
    state: WebhookState = Field(
        description="disabled: its receiver answered 410; exhausted: it took no delivery for days"
    )
    created_at: AwareDatetime


class WebhookCreated(Webhook):
    """The answer to creating a subscription: the one time that its secret is told."""

    secret: str = Field(description="`whsec_` and base64: what the receiver verifies signatures with")


class SecretRotated(BaseModel):
    """The answer to a rotation: messages are signed by both secrets until the old one ends."""

    id: str
    secret: str = Field(description="the new one, told this once")
    old_secret_until: AwareDatetime


class DeliveryQueued(BaseModel):
    """A delivery is on its way; what became of it stands in the webhook's deliveries."""

    delivery_id: str


class Delivery(BaseModel):
    """One attempt to deliver one alert to one webhook."""

    model_config = ConfigDict(frozen=True)

    delivery_id: str = Field(description="the same for every attempt of one alert at one webhook")
    webhook_id: str
    alert_id: str
    sequence: int = Field(description="the header quota-sequence")
    attempt: int = Field(description="from 1")
    at: AwareDatetime
    outcome: DeliveryOutcome
    status: int | None = Field(description="of HTTP; null when there was no answer")
    latency_ms: int
    answer: str = Field(description="the first bytes of the receiver's answer, as text")
    error: str | None = Field(description="why there was no answer")
    next_at: AwareDatetime | None = Field(description="when the next attempt is due; null when there is none")
