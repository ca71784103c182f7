"""What a simulation answers: two policies over the same events, side by side.

Of the two, `policy` is the one that was asked about and `against` the one it is compared with. Amounts are integers of
TPP; null where none applies.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.decision import Outcome, Status, Tier
from schemas.quota_alert import AlertKind, Severity
from schemas.quota_status import LevelCrossed


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class SimulatedPolicy(_Answer):
    """One of the two policies, and what became of the events under it."""

    policy_id: str
    policy_sha256: str
    title: str
    levels: list[int] = Field(description="alert levels, percent of the cap")
    outcomes: dict[Outcome, int] = Field(description="how many events came to what")
    repeated: int = Field(description="the same event once more: counted once")
    rejected: dict[str, int] = Field(description="records that cannot be booked, by reason")
    accounts: dict[str, int] = Field(description="accounts that were charged or hold lines, by kind")


class SimulatedQuota(_Answer):
    """A country's account in a period under one policy; tier, cap and status are those of today, as the levels are.

    Of a past period they are those of its last day, of one to come those of its first.
    """

    tier: Tier
    cap_tpp: int | None
    posted_tpp: int
    reserved_tpp: int
    used_ratio: float | None = Field(description="of the cap; what is reserved counts where the policy says so")
    status: Status
    thresholds: list[LevelCrossed] = Field(description="when the goods left whose charge first crossed each level")
    exceeded_at: AwareDatetime | None = Field(description="the same of the cap itself")
    held_lines: int


class SimulatedCountry(_Answer):
    """A country and a period in which anything is booked or held; null under a policy that knows no such period."""

    country: str
    name: str
    period: str
    policy: SimulatedQuota | None
    against: SimulatedQuota | None


class AlertCount(_Answer):
    """How many alerts of a kind are told of a country: under both policies the same alert, or under one alone."""

    kind: AlertKind
    country: str | None
    both: int
    only_policy: int
    only_against: int


class SimulatedCrossing(_Answer):
    """An alert about an account that reached a level, passed its cap, or came back."""

    kind: AlertKind
    country: str | None
    account: str
    period: str
    level: int
    used_tpp: int
    cap_tpp: int
    event_key: str
    occurred_at: AwareDatetime


class SimulatedNotice(_Answer):
    """An alert that an event alone gives rise to."""

    kind: AlertKind
    severity: Severity
    country: str | None
    event_key: str | None
    occurred_at: AwareDatetime | None
    message: str


class OnlyUnder(_Answer):
    """The alerts that one policy tells and the other does not."""

    crossings: list[SimulatedCrossing]
    notices: int = Field(description="alerts about single events, how many there are in all")
    examples: list[SimulatedNotice] = Field(description="the first of them")


class SimulationReport(_Answer):
    """Both policies, their balances by country, and the alerts that only one of them tells."""

    records_read: int
    policy: SimulatedPolicy
    against: SimulatedPolicy
    items: list[SimulatedCountry]
    next: None = None
    alerts: list[AlertCount]
    only_policy: OnlyUnder
    only_against: OnlyUnder
