"""One policy over a stream of events: the balances, levels and alerts that a ledger under it would hold.

It counts as `ledger/book` posts, which a test holds on a real Redis: the first content of a key stands, a repeat of it
is dropped, another content under it is a conflict. Of an event it remembers two digests; there is no journal.
"""

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ledger.policy import Policy
from ledger.rules.alerts import ALERT_KINDS
from ledger.rules.assess import assess
from ledger.rules.assessment import ChargeDue, Notice
from ledger.rules.channels import limits_of
from ledger.rules.levels import LOUD, OVER, Marks, quiet_range, settle
from schemas.quota_alert import AlertKind
from schemas.rejected_record import FieldError, RejectedRecord, RejectReason, conflict
from schemas.shipment_event import ShipmentEvent

REFUSALS: tuple[AlertKind, ...] = ("event.rejected", "event.conflict")
"""What is told of a record that a worker parks."""

SIMULATED = ("shipment.shipped", "compute.used")
"""The types of events that a projection books; others are counted as refused, so that nobody takes them for booked."""

_TRACEBACK_MAX = 2000


@dataclass(slots=True)
class Account:
    """One account in one period. Amounts in TPP.

    Attributes:
        shipped_to: whether anything was charged in this very period; what is only carried into it is not told of.
        marks: the alert levels as they stand.
        quiet_from, quiet_below: the uses between which nothing is to be told.
        first_crossed: mark -> when the goods left whose charge first crossed it.
    """

    posted_tpp: int = 0
    held_lines: int = 0
    shipped_to: bool = False
    marks: Marks = field(default_factory=dict)
    quiet_from: int = LOUD[0]
    quiet_below: int = LOUD[1]
    first_crossed: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crossed:
    """An alert about an account that reached a level, passed its cap, or came back.

    Attributes:
        armed: how often the level was armed before: with kind, account, period and level it names the alert.
        occurred_at: when the goods left whose charge did it.
    """

    kind: AlertKind
    country: str | None
    account: str
    period: str
    level: int
    armed: int
    used_tpp: int
    cap_tpp: int
    event_key: str
    occurred_at: datetime


class Projection:
    """A ledger in memory, under one policy.

    Attributes:
        accounts: by (account, period), each that was ever touched.
        outcomes: how many events were `applied`, `held`, `noted`, or `repeated`.
        rejected: how many records were refused, by reason.
        crossed: every crossing, in order.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.accounts: dict[tuple[str, str], Account] = {}
        self.outcomes: Counter[str] = Counter()
        self.rejected: Counter[RejectReason] = Counter()
        self.crossed: list[Crossed] = []
        self._known: dict[bytes, int] = {}

    def take(self, event: ShipmentEvent, key_digest: bytes, content_hash: int) -> Sequence[Notice]:
        """Book one event, once.

        Args:
            event: as it was read.
            key_digest: what its key is remembered by.
            content_hash: what its content is remembered by.

        Returns:
            What is told of the event alone, whatever the balances are; crossings go to `crossed`.
        """
        if event.type not in SIMULATED:
            advice = f"a simulation takes {' and '.join(SIMULATED)}; families of events are not settled in it"
            return self.refuse(RejectedRecord([FieldError("unknown_type", "type", advice)], event.key))
        try:
            assessment = assess(event, self.policy)
        except RejectedRecord as rejected:
            return self.refuse(rejected)
        except Exception:  # noqa: BLE001  a fault of ours: a worker parks the record and goes on
            detail = f"a fault in the ledger: {traceback.format_exc()[-_TRACEBACK_MAX:]}"
            return self.refuse(RejectedRecord([FieldError("internal_error", "", detail)], event.key))
        known = self._known.get(key_digest)
        if known is None:
            self._known[key_digest] = content_hash
        elif known == content_hash:
            self.outcomes["repeated"] += 1
            return ()
        else:
            return self.refuse(conflict(event.key))
        for charge in assessment.charges:
            account = self._account(charge.account, charge.period)
            account.posted_tpp = used_tpp = account.posted_tpp + charge.tpp
            if not charge.carried:
                account.shipped_to = True
            if not account.quiet_from <= used_tpp < account.quiet_below and account.shipped_to:
                self._settle(account, charge, event)
        if assessment.held:
            self._hold(event, len(assessment.held))
        self.outcomes["held" if assessment.held else "noted" if assessment.noted else "applied"] += 1
        return assessment.notices

    def refuse(self, rejected: RejectedRecord) -> Sequence[Notice]:
        """Count a record that cannot be an event; returns what is told of it."""
        self.rejected[rejected.reason] += 1
        kind: AlertKind = "event.conflict" if rejected.reason == "conflict" else "event.rejected"
        return (Notice(kind, "warning", rejected.detail, {"reason": rejected.reason}),)

    def _settle(self, account: Account, charge: ChargeDue, event: ShipmentEvent) -> None:
        """Bring an account's levels to its new use, and note what is to be told."""
        limits = limits_of(self.policy, charge)
        account.marks, crossings = settle(account.marks, limits, account.posted_tpp, event.shipped_at)
        quiet = LOUD if charge.kind == "uveu" else quiet_range(account.marks, limits)
        account.quiet_from, account.quiet_below = quiet
        for crossing in crossings:
            assert limits.cap_tpp is not None
            if crossing.kind != "recovered":
                mark = OVER if crossing.kind == "exceeded" else str(crossing.level)
                account.first_crossed.setdefault(mark, event.shipped_at)
            if kind := ALERT_KINDS.get((charge.kind, crossing.kind)):
                self.crossed.append(
                    Crossed(
                        kind=kind,
                        country=charge.country,
                        account=charge.account,
                        period=charge.period,
                        level=crossing.level,
                        armed=crossing.armed,
                        used_tpp=crossing.used_tpp,
                        cap_tpp=limits.cap_tpp,
                        event_key=event.key,
                        occurred_at=event.shipped_at,
                    )
                )

    def _hold(self, event: ShipmentEvent, lines: int) -> None:
        period = self.policy.period_of(event.shipped_at.date())
        if period is not None:
            self._account(f"country:{event.data['destination']}", period).held_lines += lines

    def _account(self, account: str, period: str) -> Account:
        name = account, period
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = Account()
        return found
