"""What an event deserves under a policy. Nothing has been written yet, and no balance is known."""

from dataclasses import dataclass, field
from typing import Any

from schemas.decision import ChargeKind, ChargeState, Tier
from schemas.quota_alert import AlertKind, Severity


@dataclass(slots=True)
class AssessedLine:
    """One line as the ledger reads it. `tpp` is None while the part is unknown or carries none."""

    part: str
    tpp_each: int | None
    tpp: int | None
    eccn: str | None
    evidence: str
    booked: bool


@dataclass(slots=True)
class ChargeDue:
    """What one account is to be changed by, in TPP."""

    kind: ChargeKind
    account: str
    country: str | None
    period: str
    state: ChargeState
    tpp: int


@dataclass(slots=True)
class Notice:
    """An alert to be: what the event alone gives rise to, whatever the balances are."""

    kind: AlertKind
    severity: Severity
    message: str
    evidence: dict[str, Any]


@dataclass(slots=True)
class Assessment:
    """The whole judgement of one event under one policy.

    Attributes:
        noted: the event never debits (`compute.used`).
        rules: (rule, source) of everything that spoke.
    """

    tier: Tier
    tier_reason: str
    license_required: bool | None
    lines: list[AssessedLine]
    charges: list[ChargeDue]
    held: list[tuple[int, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    rules: list[tuple[str, str]] = field(default_factory=list)
    noted: bool = False
