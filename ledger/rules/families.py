"""How a family is settled: an event and all that name it, as one pure function of which events there are.

An original (a shipment, a reservation, a use) is followed by corrections, returns, cancels and resolutions that name
it, and a reservation by the shipments that use it. No rule reads in which order they arrived, or a clock: what stands
for the whole family follows from the set of its events and the ledger's own time. The ledger books the difference to
what stood before. What an event is by itself is judged in `judge.py`, and what is noticed of it is told once, whatever
becomes of it; nothing is written here.

1. One statement stands: of the corrections the latest, else the original. It alone is charged.
2. Held lines of it that somebody gave a word on are counted (`resolutions.py`).
3. What came back is taken away (`returns.py`), and from a reservation what was shipped, in the order in which it
   happened, as the events tell it; a reservation that expired keeps nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.channels import charges_due
from ledger.rules.follower import FIRST_EVENTS, FOLLOWERS, EventKey, Following, original_of, own_key
from ledger.rules.lots import Goods, Lot
from ledger.rules.reservations import FOR_EVER, term_of, use
from ledger.rules.resolutions import resolve
from ledger.rules.returns import Taken, take_back
from schemas.decision import ChargeState, Outcome
from schemas.shipment_event import ShipmentEvent

ONE_BY_ONE_MAX = 200
"""Events of a family up to which each is booked for itself: settling takes time with every event there is."""

_EVER = datetime.min.replace(tzinfo=UTC)
"""When an event happened that does not say when: before all others."""


@dataclass(frozen=True, slots=True)
class Member:
    """One event of a family.

    Attributes:
        judged: what `judge` makes of it under the policy that ruled when its record was written.
    """

    event: ShipmentEvent
    judged: Assessment | Following

    @property
    def assessment(self) -> Assessment:
        """The judgement of a statement of goods."""
        assert isinstance(self.judged, Assessment), f"{self.event.type} states no goods"
        return self.judged


@dataclass(frozen=True, slots=True)
class Share:
    """What one event has come to.

    Attributes:
        outcome: as its decision tells it; None of a shipment that names this family's original: its own family decides.
        charges: what it alone brings, negative for what it takes. Those of all members and of the expiry make the
            charges that stand.
        told: why, in sentences a person understands.
        since: from when on its charges count, by what the events say; None where no event could charge anything.
    """

    outcome: Outcome | None
    charges: Sequence[ChargeDue] = ()
    told: Sequence[str] = ()
    since: datetime | None = None


class Dated(NamedTuple):
    """Where and from when on an amount counts."""

    account: str
    period: str
    state: ChargeState
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a family comes to.

    Attributes:
        shares: of every member; not of one that is no original, though others name it: its own family decides.
        standing: the statement that is charged; None while the original is not known, or is none.
        charges: what stands on each account for the whole family, nothing that is zero.
        lots: of the standing statement, each with what is left of it; what was shipped from a reservation is no lot's.
        held: (line, reason) of the standing statement's lines that wait for a person.
        expiry: what its expiry took from a reservation; None if it has not expired, or held nothing by then.
        changes_at: when time alone will change it next; None if never.
    """

    shares: Mapping[EventKey, Share]
    standing: Member | None = None
    charges: Sequence[ChargeDue] = ()
    lots: Sequence[Lot] = ()
    held: Sequence[tuple[int, str]] = ()
    expiry: Share | None = None
    changes_at: datetime | None = None

    @property
    def expired_tpp(self) -> int:
        """What its expiry took, in TPP."""
        return -self.expiry.charges[0].tpp if self.expiry else 0

    def dated(self) -> dict[Dated, int]:
        """What stands, in TPP, by the moments from which on it counts: summed up over these, it is `charges`.

        A correction or a resolution says what a shipment always was: it counts from the shipment's own time on, a
        return from its own. So what counts at a moment follows from the set of events too, not from their order.
        """
        counted: dict[Dated, int] = {}
        for share in (*self.shares.values(), *([self.expiry] if self.expiry else [])):
            for charge in share.charges:
                assert share.since is not None  # whatever charges is dated
                place = Dated(charge.account, charge.period, charge.state, share.since)
                counted[place] = counted.get(place, 0) + charge.tpp
        return counted

    @property
    def held_on(self) -> dict[tuple[str, str], int]:
        """On which account, in which period, how many lines wait for a person."""
        if self.standing is None or not self.held:
            return {}
        place = self.standing.assessment.case.destination.place
        return {place: len(self.held)} if place is not None else {}


@dataclass(frozen=True, slots=True)
class Moved:
    """What is booked because a family changed.

    Attributes:
        charges: the difference to what stood before.
        held: (account, period, lines) by which held lines changed.
        dated: the same difference in TPP, by the moments from which on it counts.
    """

    charges: Sequence[ChargeDue]
    held: Sequence[tuple[str, str, int]]
    dated: Sequence[tuple[Dated, int]] = ()


def settle_family(original: EventKey, members: Iterable[Member], *, at: datetime) -> Settlement:
    """Settle the family of an original.

    Args:
        original: its source and id, whether it is among the members or not known yet.
        members: it, and every event that names it, each once, in any order.
        at: the ledger's time: a reservation whose `expires_at` is not later has expired.
    """
    known = {own_key(member.event): member for member in members}
    first = known.pop(original, None)
    if first is None:
        told = f"{_printed(original)}, which it names, is not known yet."
        return Settlement(shares={key: _unsettled(member, "waiting", told) for key, member in known.items()})
    if first.event.type not in FIRST_EVENTS:
        told = f"{_printed(original)}, which it names, is a {first.event.type} and moves no goods of its own."
        followers = [first, *known.values()] if original_of(first.event) == original else known.values()
        return Settlement(shares={own_key(member.event): _unsettled(member, "void", told) for member in followers})
    followers = sorted(known.values(), key=_in_order_of_happening)
    statements = [first, *(member for member in followers if member.event.type == "shipment.corrected")]
    standing = max(statements[1:], key=_in_order_of_saying, default=first)
    told = f"The correction {standing.event.key} stands."
    shares = {
        own_key(member.event): Share("superseded", told=[told]) for member in statements if member is not standing
    }
    if first.event.type == "compute.used":
        return _settle_use(standing, followers, shares)
    return _settle_goods(standing, followers, shares, at, reserved=first.event.type == "shipment.reserved")


def moved(before: Settlement, after: Settlement) -> Moved:
    """What is to be booked because a family came to `before`, and comes to `after` now."""
    held = dict(after.held_on)
    for place, lines in before.held_on.items():
        held[place] = held.get(place, 0) - lines
    dated = after.dated()
    for moment, tpp in before.dated().items():
        dated[moment] = dated.get(moment, 0) - tpp
    return Moved(
        difference(before.charges, after.charges),
        [(account, period, lines) for (account, period), lines in held.items() if lines],
        [(moment, tpp) for moment, tpp in dated.items() if tpp],
    )


def difference(before: Sequence[ChargeDue], after: Sequence[ChargeDue]) -> list[ChargeDue]:
    """What is to be booked so that `after` stands where `before` stood.

    An account whose amount stays is among it, with 0 TPP, if only now something was shipped in its period.
    """
    was = {_account_of(charge): charge for charge in before}
    booked = []
    for charge in after:
        earlier = was.pop(_account_of(charge), None)
        tpp = charge.tpp - (earlier.tpp if earlier else 0)
        if tpp or (earlier is not None and earlier.carried and not charge.carried):
            booked.append(replace(charge, tpp=tpp))
    return [replace(charge, tpp=-charge.tpp) for charge in was.values()] + booked


def _settle_use(standing: Member, followers: Sequence[Member], shares: dict[EventKey, Share]) -> Settlement:
    """Chips in use were never debited: there is nothing to take back, or to wait for."""
    shares[own_key(standing.event)] = Share("noted")
    for member in followers:
        told = "Use is never debited: there is nothing to take back or to resolve."
        shares.setdefault(own_key(member.event), _unsettled(member, "void", told))
    return Settlement(shares=shares, standing=standing)


def _settle_goods(
    standing: Member, followers: Sequence[Member], shares: dict[EventKey, Share], at: datetime, *, reserved: bool
) -> Settlement:
    """Settle a shipment or a reservation.

    Args:
        standing: the statement that is charged.
        followers: every event that names the original, as they happened.
        shares: of the other statements; those of all others are added.
        at: the ledger's time.
        reserved: whether the original is a reservation.
    """
    goods = Goods(standing.assessment)
    stated_tpp = goods.tpp
    words = sorted(
        (member for member in followers if member.event.type == "shipment.resolved"), key=_in_order_of_saying
    )
    resolutions = resolve(goods, [member.event for member in words])
    left_tpp = goods.tpp
    state: ChargeState = "reserved" if reserved else "posted"
    charges, missing = charges_due(standing.assessment.case, left_tpp, state) if left_tpp else ([], None)
    stated_at = _happened(standing)

    def share(outcome: Outcome | None, tpp: int, told: Sequence[str] = (), *, since: datetime = stated_at) -> Share:
        return Share(outcome, _of(charges, tpp), told, max(since, stated_at))

    for member, resolution in zip(words, resolutions, strict=True):
        shares[own_key(member.event)] = share(resolution.outcome, resolution.tpp, resolution.told)
    term = term_of(standing.event, at) if reserved else FOR_EVER
    for member in followers:
        over = term.is_over(_happened(member))
        if member.event.type == "shipment.shipped":
            used_tpp = use(left_tpp, member.assessment) if reserved and not over else 0
            left_tpp -= used_tpp
            shares[own_key(member.event)] = share(None, -used_tpp, since=_happened(member))
        elif member.event.type in ("shipment.returned", "shipment.cancelled"):
            taken = take_back(goods, member.event) if not over else Taken()
            tpp = min(left_tpp, taken.tpp)
            left_tpp -= tpp
            if tpp or taken.uncharged:
                shares[own_key(member.event)] = share("applied", -tpp, taken.told, since=_happened(member))
            else:
                shares[own_key(member.event)] = share("void", 0, taken.told or ["Nothing was left to take back."])
    left = _of(charges, left_tpp) if not term.expired else []
    held = _held(goods, missing) if not term.expired else []
    shares[own_key(standing.event)] = share("held" if held else "applied", stated_tpp)
    expiry = None
    if term.expires_at is not None and term.expired and charges and left_tpp:
        expiry = share(None, -left_tpp, since=term.expires_at)
    return Settlement(
        shares=shares,
        standing=standing,
        charges=left,
        lots=goods.lots,
        held=held,
        expiry=expiry,
        changes_at=None if term.expired else term.expires_at,
    )


def _of(charges: Sequence[ChargeDue], tpp: int) -> list[ChargeDue]:
    """The same charges with another amount: every account of a shipment moves by the same."""
    return [replace(charge, tpp=tpp) for charge in charges] if tpp else []


def _held(goods: Goods, missing: str | None) -> list[tuple[int, str]]:
    """The lines that wait for a person, as far as anything is left of them."""
    return [
        (lot.number, reason)
        for lot in goods.lots
        if lot.left and (reason := lot.item.held or (missing if lot.item.booked else None))
    ]


def _unsettled(member: Member, outcome: Outcome, told: str) -> Share:
    """The share of an event whose original moves nothing. A shipment is settled in its own family all the same."""
    return Share(outcome, told=[told]) if member.event.type in FOLLOWERS else Share(None)


def _happened(member: Member) -> datetime:
    return member.event.moment or _EVER


def _in_order_of_happening(member: Member) -> tuple[datetime, str, str]:
    return _happened(member), member.event.source, member.event.id


def _in_order_of_saying(member: Member) -> tuple[datetime, str, str]:
    return member.event.time or _EVER, member.event.source, member.event.id


def _account_of(charge: ChargeDue) -> tuple[str, str, ChargeState]:
    return charge.account, charge.period, charge.state


def _printed(key: EventKey) -> str:
    return f"{key[0]}#{key[1]}"
