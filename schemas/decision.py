"""A decision: what the ledger makes, or would make, of one event. The API answers it and `explain` prints it."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.quota_alert import QuotaAlert

Outcome = Literal["applied", "held", "waiting", "superseded", "void", "noted"]
Status = Literal["prohibited", "unlimited", "exceeded", "exhausted", "near_cap", "open"]
ChargeKind = Literal["country", "lpp", "nveu", "uveu"]
ChargeState = Literal["posted", "reserved"]
Tier = Literal[1, 2, 3]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Regime(_Answer):
    """The rule that governs on the event's day, and whether it is enforced."""

    id: str
    status: Literal["announced", "in_force", "not_enforced", "repealed"]
    since: str | None = Field(description="the first day of this status, ISO date")
    source: str


class DecidedLine(_Answer):
    """One line of the shipment as the ledger reads it."""

    part: str = Field(description="the catalogue's name, else what the line states")
    tpp_each: int | None
    tpp: int | None = Field(description="tpp_each times quantity")
    eccn: str | None
    evidence: str = Field(description="where the figure comes from")


class Charge(_Answer):
    """A change of one account; `tpp` is after - before, negative for a return."""

    kind: ChargeKind
    account: str
    country: str | None
    period: str
    state: ChargeState
    tpp: int
    before_tpp: int
    after_tpp: int
    cap_tpp: int | None
    status: Status


class HeldLine(_Answer):
    """A line that is not booked until a person says what it is."""

    line: int = Field(description="position in the event's lines, from 0")
    reason: str


class RuleApplied(_Answer):
    """A rule that spoke, with the text it comes from."""

    rule: str
    source: str


class Decision(_Answer):
    """What the ledger makes of one event."""

    event_key: str
    outcome: Outcome | None = Field(description="null in an assessment: nothing was booked")
    policy_id: str
    policy_sha256: str
    regime: Regime | None
    tier: Tier | None
    tier_reason: str | None
    license_required: bool | None
    lines: list[DecidedLine]
    charges: list[Charge]
    held: list[HeldLine]
    alerts: list[QuotaAlert]
    fits: bool | None = Field(description="false when prohibited or past a limit, null while something is held")
    rules: list[RuleApplied]
    receipt: list[str] = Field(description="sentences a person understands")
    event_sha256: str = Field(description="of what the event says, whatever its spelling")
    recorded_at: AwareDatetime | None
