"""What an event deserves under a policy. Nothing has been written yet, and no balance is known."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.policy_document import DEFAULT_CHANNEL
from schemas.decision import ChargeKind, ChargeState, Tier
from schemas.quota_alert import AlertKind, Severity


@dataclass(slots=True)
class AssessedLine:
    """One line as the ledger reads it. `tpp` is None while the part is unknown or carries none.

    `booked` tells whether items of this class are charged to a quota, where the channel charges one.
    """

    part: str
    tpp_each: int | None
    tpp: int | None
    eccn: str | None
    evidence: str
    booked: bool
    prc_made: bool = False

    @property
    def meets_3a090(self) -> bool:
        """Whether the formula puts it at level .a or .b."""
        return self.eccn is not None and self.eccn.endswith((".a", ".b"))


@dataclass(slots=True)
class ChargeDue:
    """What one account is to be changed by, in TPP.

    Attributes:
        cap_tpp: the account's limit where it comes with the event (a share of holdings); None elsewhere.
        carried: the amount counts here because an earlier period's does (`nveu` is cumulative); nothing was shipped
            in this period, so nobody is told of a level until something is.
    """

    kind: ChargeKind
    account: str
    country: str | None
    period: str
    state: ChargeState
    tpp: int
    cap_tpp: int | None = None
    carried: bool = False


@dataclass(slots=True)
class Notice:
    """An alert to be: what the event alone gives rise to, whatever the balances are."""

    kind: AlertKind
    severity: Severity
    message: str
    evidence: dict[str, Any]


class Told:
    """What an event gives rise to, as the rules speak one after the other."""

    __slots__ = ("notices", "rules")

    def __init__(self, rules: Iterable[tuple[str, str]]) -> None:
        self.notices: list[Notice] = []
        self.rules = list(rules)

    def of(self, rule: str, found: tuple[Notice, str] | None) -> None:
        """Keep what a rule found: a notice and the rule's source."""
        if found is not None:
            notice, source = found
            self.notices.append(notice)
            self.rules.append((rule, source))


@dataclass(slots=True)
class Assessment:
    """The whole judgement of one event under one policy.

    Attributes:
        noted: the event never debits (`compute.used`).
        channel: the one it claims.
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
    channel: str = DEFAULT_CHANNEL
