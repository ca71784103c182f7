"""One policy over a stream of events: the balances, levels and alerts that a ledger under it would hold.

It counts as `ledger/book` posts, which a test holds on a real Redis: the first content of a key stands, a repeat of it
is dropped, another content under it is a conflict; events that name another are settled with their whole family. Of an
event it remembers two digests, and the event itself only where another names it: which those are must be told.
"""

import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from ledger.digests import digest_of_key
from ledger.policy import Policy
from ledger.rules.alerts import ALERT_KINDS
from ledger.rules.assessment import Assessment, ChargeDue, Notice
from ledger.rules.channels import limits_of
from ledger.rules.families import ONE_BY_ONE_MAX, Member, Moved, Settlement, moved, settle_family
from ledger.rules.follower import FIRST_EVENTS, FOLLOWERS, EventKey, Following, original_of, own_key
from ledger.rules.judge import judge
from ledger.rules.levels import LOUD, OVER, Marks, quiet_range, settle
from schemas.quota_alert import AlertKind
from schemas.rejected_record import FieldError, RejectedRecord, RejectReason, conflict
from schemas.shipment_event import ShipmentEvent

REFUSALS: tuple[AlertKind, ...] = ("event.rejected", "event.conflict")
"""What is told of a record that a worker parks."""

_TRACEBACK_MAX = 2000

_BEGINNING = datetime.fromtimestamp(0, UTC)
"""The ledger's time until some has passed."""


@dataclass(slots=True)
class Account:
    """One account in one period. Amounts in TPP.

    Attributes:
        shipped_to: whether anything was charged in this very period; what is only carried into it is not told of.
        marks: the alert levels as they stand.
        quiet_from, quiet_below: the uses between which nothing is to be told.
        first_crossed: mark -> when what first crossed it happened.
    """

    posted_tpp: int = 0
    reserved_tpp: int = 0
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
        occurred_at: when what did it happened; of an event that does not say, when the one before it that does.
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


@dataclass(slots=True)
class _Family:
    """An original with all that name it, and what they came to when they were settled last."""

    original: EventKey
    members: list[Member] = field(default_factory=list)
    settled: Settlement = field(default_factory=lambda: Settlement(shares={}))


class Projection:
    """A ledger in memory, under one policy.

    Args:
        policy: the one.
        today: by whose caps levels are measured, as a ledger does on that day.
        named: the digests of the keys of all events that others in the stream name (`named.py`).

    Attributes:
        accounts: by (account, period), each that was ever touched.
        outcomes: how many events came to what (`schemas.decision.Outcome`), and how many were `repeated`. Those of
            families are counted at the end.
        rejected: how many records were refused, by reason.
        crossed: every crossing, in order.
    """

    def __init__(self, policy: Policy, named: Collection[bytes], *, today: date) -> None:
        self.policy = policy
        self.today = today
        self.accounts: dict[tuple[str, str], Account] = {}
        self.outcomes: Counter[str] = Counter()
        self.rejected: Counter[RejectReason] = Counter()
        self.crossed: list[Crossed] = []
        self._named = named
        self._known: dict[bytes, int] = {}
        self._families: dict[bytes, _Family] = {}
        self._moment = _BEGINNING

    def take(self, event: ShipmentEvent, key_digest: bytes, content_hash: int) -> Sequence[Notice]:
        """Book one event, once.

        Args:
            event: as it was read.
            key_digest: what its key is remembered by.
            content_hash: what its content is remembered by.

        Returns:
            What is told of the event alone, whatever the balances are; crossings go to `crossed`.
        """
        try:
            judged = judge(event, self.policy)
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
        if "original_id" in event.data or key_digest in self._named or event.type == "shipment.reserved":
            self._join_families(event, judged, key_digest)
        else:
            assert isinstance(judged, Assessment), f"a {event.type} names another event"
            self._book_alone(event, judged)
        return judged.notices if isinstance(judged, Assessment) else ()

    def refuse(self, rejected: RejectedRecord) -> Sequence[Notice]:
        """Count a record that cannot be an event; returns what is told of it."""
        self.rejected[rejected.reason] += 1
        kind: AlertKind = "event.conflict" if rejected.reason == "conflict" else "event.rejected"
        return (Notice(kind, "warning", rejected.detail, {"reason": rejected.reason}),)

    def let_time_pass(self, until: datetime) -> list[tuple[ShipmentEvent, Notice]]:
        """Settle every family for good, when all events were taken: reservations whose time is over are freed.

        Returns:
            The reservations that expired with something left, and what is told of each.
        """
        expired = []
        for family in self._families.values():
            settlement, change = self._settle_family(family, until)
            self.outcomes.update(share.outcome for share in settlement.shares.values() if share.outcome is not None)
            if (
                settlement.expired_tpp
                and settlement.standing is not None
                and (change.charges or change.held or change.dated)
            ):
                message = f"It has expired: {settlement.expired_tpp:,} TPP that it held are free."
                evidence = {"expired_tpp": settlement.expired_tpp}
                notice = Notice("reservation.expired", "info", message, evidence)
                expired.append((settlement.standing.event, notice))
        return expired

    def _book_alone(self, event: ShipmentEvent, assessment: Assessment) -> None:
        """Book an event that belongs to no family."""
        self._charge(assessment.charges, event)
        if assessment.held and (place := assessment.case.destination.place) is not None:
            self._account(*place).held_lines += len(assessment.held)
        self.outcomes["held" if assessment.held else "noted" if assessment.noted else "applied"] += 1

    def _charge(self, charges: Sequence[ChargeDue], event: ShipmentEvent) -> None:
        accounts = self.accounts
        for charge in charges:
            name = charge.account, charge.period
            account = accounts.get(name) or accounts.setdefault(name, Account())
            if charge.state == "posted":
                account.posted_tpp += charge.tpp
            else:
                account.reserved_tpp += charge.tpp
            if not charge.carried:
                account.shipped_to = True
            used_tpp = account.posted_tpp + account.reserved_tpp if self.policy.reserved_counts else account.posted_tpp
            if not account.quiet_from <= used_tpp < account.quiet_below and account.shipped_to:
                self._settle(account, charge, event)

    def _join_families(self, event: ShipmentEvent, judged: Assessment | Following, key_digest: bytes) -> None:
        """Book an event that others name, or that names one: each family that it joins is settled anew."""
        named_by_others = key_digest in self._named or event.type == "shipment.reserved"
        brought = event.type in FOLLOWERS or (event.type in FIRST_EVENTS and named_by_others)
        if not brought:
            assert isinstance(judged, Assessment)
            self._book_alone(event, judged)
        originals = {key_digest: own_key(event)} if named_by_others else {}
        if (original := original_of(event)) is not None:
            originals[digest_of_key(*original)] = original
        for digest, key in originals.items():
            assert digest in self._named or key == own_key(event), f"{event.key} names an event that was not foretold"
            family = self._families.setdefault(digest, _Family(key))
            family.members.append(Member(event, judged))
            if len(family.members) <= ONE_BY_ONE_MAX:
                self._settle_family(family, _BEGINNING, event)

    def _settle_family(
        self, family: _Family, at: datetime, cause: ShipmentEvent | None = None
    ) -> tuple[Settlement, Moved]:
        """Book what a family comes to now, beyond what it came to before."""
        settlement = settle_family(family.original, family.members, at=at)
        change = moved(family.settled, settlement)
        family.settled = replace(settlement, shares={}, lots=())  # why is not asked again
        standing = settlement.standing or family.members[-1]
        self._charge(change.charges, cause or standing.event)
        for account, period, lines in change.held:
            self._account(account, period).held_lines += lines
        return settlement, change

    def _settle(self, account: Account, charge: ChargeDue, event: ShipmentEvent) -> None:
        """Bring an account's levels to its new use, and note what is to be told."""
        limits = limits_of(self.policy, charge, self.today)
        self._moment = moment = event.moment or self._moment
        used_tpp = limits.used(account.posted_tpp, account.reserved_tpp)
        account.marks, crossings = settle(account.marks, limits, used_tpp, moment)
        quiet = LOUD if charge.kind == "uveu" else quiet_range(account.marks, limits)
        account.quiet_from, account.quiet_below = quiet
        for crossing in crossings:
            assert limits.cap_tpp is not None
            if crossing.kind != "recovered":
                mark = OVER if crossing.kind == "exceeded" else str(crossing.level)
                account.first_crossed.setdefault(mark, moment)
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
                        occurred_at=moment,
                    )
                )

    def _account(self, account: str, period: str) -> Account:
        return self.accounts.setdefault((account, period), Account())
