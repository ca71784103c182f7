"""How much of a country's quota is used, and how fresh that answer is."""

from datetime import date

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.decision import Regime, Status, Tier
from schemas.unsettled import EventName

_LAG_S = "0 with no lag, else the seconds since the last posting, or since a worker last looked if that was long ago"

_NOW_ONLY = "null where a past moment is asked for, of which it is not kept"


class Freshness(BaseModel):
    """How far the ledger has read: every answer about balances carries it."""

    model_config = ConfigDict(frozen=True)

    applied_at: AwareDatetime | None = Field(
        description="when the last run of records was posted; null before the first"
    )
    lag_records: int | None = Field(description="records on the topic that are not settled yet, as last seen")
    lag_s: float | None = Field(description=_LAG_S)


def apart_from_freshness(answer: BaseModel) -> str:
    """An answer in JSON without how fresh it is: two that say the same of balances are alike."""
    several = "items" in type(answer).model_fields
    return answer.model_dump_json(
        exclude={"freshness": True, "items": {"__all__": {"freshness"}}} if several else {"freshness"}
    )


class LevelCrossed(BaseModel):
    """One alert level and when it was last crossed."""

    model_config = ConfigDict(frozen=True)

    level: int
    crossed_at: AwareDatetime | None


class Forecast(BaseModel):
    """When a quota will be used up if the recent weeks go on. Days are UTC; null: not before the period ends."""

    model_config = ConfigDict(frozen=True)

    exhausted_on: date | None = Field(description="the day on which the use reaches the cap at the mean pace")
    earliest_on: date | None = Field(description="one in ten futures is there sooner")
    latest_on: date | None = Field(description="one in ten futures is not there yet")
    pace_tpp_per_week: int = Field(description="the mean of the weeks; what was given back counts against it")
    weeks: int = Field(description="whole weeks before today that were looked at")
    method: str = Field(description="how it is made, in one sentence")


class QuotaStatus(BaseModel):
    """One country's account in one period. Amounts are integers of TPP; null where none applies.

    With `as_of` or `known_at` it is the account as it was: tier, cap and regime are those of that day, the policy is
    the one that was in force when it was known.
    """

    model_config = ConfigDict(frozen=True)

    country: str
    name: str
    tier: Tier
    period: str
    cap_tpp: int | None
    posted_tpp: int
    reserved_tpp: int
    available_tpp: int | None
    used_ratio: float | None = Field(
        description="of the cap: what is posted, and what is reserved if the policy counts it"
    )
    h100_equivalents: float
    status: Status
    thresholds: list[LevelCrossed] | None = Field(description=f"the alert levels; {_NOW_ONLY}")
    held_lines: int | None = Field(description=f"lines that wait for a person; {_NOW_ONLY}")
    last_posted_at: AwareDatetime | None = Field(description=f"null if nothing was posted; {_NOW_ONLY}")
    period_end: AwareDatetime | None
    forecast: Forecast | None = Field(
        default=None,
        description="null if there is no cap, none of it is left, too few weeks saw bookings, or the period is not "
        f"today's; {_NOW_ONLY}",
    )
    regime: Regime | None
    policy_id: str
    policy_sha256: str
    as_of: AwareDatetime | None = Field(default=None, description="counts what occurred up to then; null: everything")
    known_at: AwareDatetime | None = Field(default=None, description="counts what was posted up to then; null: now")
    freshness: Freshness


class QuotaList(BaseModel):
    """Every country's balance in one period."""

    model_config = ConfigDict(frozen=True)

    items: list[QuotaStatus]
    next: None = None
    freshness: Freshness


class LedgerStatus(QuotaList):
    """The balances, and the events that are not settled: what `quota-ledger status --json` prints."""

    waiting: list[EventName] = Field(description="events that name another which is not known yet, by source and id")
    held: list[EventName] = Field(description="events with lines that wait for a person's word, by source and id")
