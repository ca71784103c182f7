"""An alert: the same object on the topic `alerts`, in the API and in a webhook's body."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from schemas.plain_text import in_one_line

AlertKind = Literal[
    "quota.near_cap",
    "quota.exceeded",
    "quota.recovered",
    "tier3.shipment",
    "hq.tier3",
    "ascend.detected",
    "prc_model.end_use",
    "weights.controlled",
    "part.unknown",
    "tpp.mismatch",
    "lpp.notice",
    "lpp.near_limit",
    "lpp.exceeded",
    "nveu.exceeded",
    "uveu.exceeded",
    "redflag.rf05",
    "redflag.rf07",
    "redflag.rf08",
    "redflag.rf25",
    "redflag.rf29",
    "redflag.rf31",
    "redflag.rf33",
    "redflag.prc_chip",
    "event.rejected",
    "event.conflict",
    "policy.adopted",
    "reservation.expired",
    "webhook.exhausted",
    "webhook.test",
]
Severity = Literal["info", "warning", "critical"]


class QuotaAlert(BaseModel):
    """What is told once when a limit comes near, is passed, or when a rule is touched.

    Amounts are integers of TPP. A field that does not apply to the kind is null, never zero.
    """

    model_config = ConfigDict(frozen=True)

    alert_id: str = Field(description="deterministic: the same alert told again has the same id")
    kind: AlertKind
    severity: Severity
    country: str | None = None
    tier: Literal[1, 2, 3] | None = None
    account: str | None = None
    period: str | None = None
    level: int | None = Field(default=None, description="percent of the cap")
    used_tpp: int | None = None
    cap_tpp: int | None = None
    used_ratio: float | None = None
    event_key: str | None = None
    shipment_id: str | None = None
    occurred_at: AwareDatetime
    recorded_at: AwareDatetime
    policy_id: str
    policy_sha256: str
    incident_key: str = Field(description="shared by all alerts of one account, period and rule, whatever the level")
    message: Annotated[str, AfterValidator(in_one_line)] = Field(description="one sentence a person understands")
    evidence: dict[str, Any] = Field(default_factory=dict, description="what matched")
    url: str | None = None
