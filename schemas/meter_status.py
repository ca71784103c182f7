"""How much of a meter is used: an account that is no country's, under a policy that has such."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.decision import Status
from schemas.quota_status import Freshness, LevelCrossed

MeterKind = Literal["lpp", "nveu", "uveu"]


class MeterStatus(BaseModel):
    """One account of one meter in one period. Amounts are integers of TPP; null where none applies."""

    model_config = ConfigDict(frozen=True)

    account: str = Field(description="kind, holder and what it is limited to, as alerts and decisions name it")
    kind: MeterKind
    period: str = Field(description="`2026` of lpp, `2026-Q1` of nveu, `total` of uveu")
    cap_tpp: int | None = Field(
        description="null if the policy that is in force sets none; also of uveu, whose limits are shares of what each "
        "shipment states that its holder owns"
    )
    posted_tpp: int
    reserved_tpp: int
    available_tpp: int | None
    used_ratio: float | None = Field(description="of the cap, as in a quota's status")
    status: Status | None = Field(description="null of uveu, whose limit is not known between two shipments")
    thresholds: list[LevelCrossed] = Field(description="the alert levels")
    last_posted_at: AwareDatetime | None
    policy_id: str
    policy_sha256: str


class MeterList(BaseModel):
    """A page of meters, by account and period; `next` asks for more, null where there are none."""

    model_config = ConfigDict(frozen=True)

    items: list[MeterStatus]
    next: str | None
    freshness: Freshness
