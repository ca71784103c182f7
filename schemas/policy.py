"""What is shown of policies: which there are, what one says with its dates and sources, and where two differ.

Days are the first and the last on which something holds, UTC; null: since ever, or for ever.
"""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.decision import Regime, Tier


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ListedPolicy(_Answer):
    """A policy that comes with the product."""

    policy_id: str
    title: str
    extends: str | None
    policy_sha256: str = Field(description="of what is loaded: the policy, the chips and the countries")
    in_force: bool | None = Field(description="null where no ledger answers")


class PolicyList(_Answer):
    """The policies that come with the product. The one in force may be another: of another version, or one's own."""

    items: list[ListedPolicy]
    next: None = None
    in_force_id: str | None
    in_force_sha256: str | None


class Statement(_Answer):
    """One entry of a policy's file, or of what it extends."""

    place: str = Field(description="the table of the file that it stands in, such as `detection.ascend.basis`")
    valid_from: date | None
    valid_to: date | None
    says: dict[str, Any] = Field(
        description="its keys, as the file names them, and the countries of the table around it"
    )
    source: str
    evidence: str | None = Field(description="said where the entry is weaker than its source, such as `unconfirmed`")


class PolicySheet(_Answer):
    """What a policy decides; tiers, period and regime are those of the day `on`."""

    policy_id: str
    policy_sha256: str
    title: str
    levels: list[int] = Field(description="alert levels, percent of the cap")
    reserved_counts: bool = Field(description="whether what is reserved counts as used")
    on: date
    period: str | None
    counts_by: str = Field(description="what its periods are: `calendar-year`, `quarter`, or one span of years")
    regime: Regime | None
    tiers: dict[Tier, list[str]] = Field(description="the countries of each tier")
    weak_tiers: dict[str, list[str]] = Field(
        description="countries whose tier no legal text that was read decides, by evidence: `secondary`, `assumed`"
    )
    statements: list[Statement]
    sources: dict[str, str] = Field(description="what the keys of sources stand for")


class Difference(_Answer):
    """Something that two policies decide otherwise, and on which days."""

    what: str = Field(description="`tier`, `groups`, `part`, or the table of the file that it stands in")
    of: list[str] = Field(description="the countries or parts that it is so of; empty for the policy as a whole")
    valid_from: date | None
    valid_to: date | None
    policy: list[dict[str, Any]] = Field(description="what the one says; nothing, if it says nothing of it")
    against: list[dict[str, Any]] = Field(description="what the other says")


class PolicyDiff(_Answer):
    """Where two policies differ."""

    policy_id: str
    policy_sha256: str
    against_id: str
    against_sha256: str
    items: list[Difference]
    next: None = None
