"""What became of an event, and what would become of one: read, settled with its family, described. Writes nothing.

A decision's charges are what the event's own booking changed. What the event comes to may be more or less than that: a
return that waited is booked by the coming of its original. Then the receipt says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from msgspec.structs import replace
from redis.asyncio import Redis

from ledger.book.family import Family, Kin, read_family
from ledger.book.keys import Keys
from ledger.book.place import FoundEvent, find_event
from ledger.book.script import asked
from ledger.digests import digest_of_key
from ledger.errors import LedgerUnavailable
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.describe import describe
from ledger.rules.families import Member
from ledger.rules.follower import FOLLOWERS, EventKey, Following, original_of, own_key
from ledger.rules.judge import judge
from ledger.rules.related import Related
from schemas.cloudevents import to_structured
from schemas.decision import Decision
from schemas.quota_alert import QuotaAlert
from schemas.shipment_event import ShipmentEvent


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an event would come to.

    Attributes:
        charges: what it would change on accounts.
    """

    judged: Assessment | Following
    related: Related
    charges: Sequence[ChargeDue]


class Decisions:
    """Decides from one ledger, under the adoptions that `rules` are. Every method may raise LedgerUnavailable."""

    def __init__(self, redis: Redis, keys: Keys, rules: Rulebook) -> None:
        self._redis = redis
        self._keys = keys
        self._rules = rules

    async def decision(self, key: EventKey) -> Decision | None:
        """What became of an event; None if it was not seen: one that others named and that did not come was not."""
        found = await find_event(self._redis, self._keys, key)
        if found is None:
            return None
        event, policy = found.read_event(key[0]), self._rules.policy(found.policy)
        judged = judge(event, policy)
        family, reservation = await self._families(event)
        if family is not None and family.original == key and not family.members:
            family = family.joined_by(_kin(found, key), Member(event, judged))
        related = _related(event, judged, family, reservation)
        accounts = related.accounts()
        booked = [
            replace(accounts[account, period][0], state=state, tpp=tpp)
            for account, period, state, tpp in found.changes()
        ]
        return describe(
            event,
            judged,
            policy,
            related=related,
            outcome=related.share.outcome,
            booked=booked,
            balances=found.balances_before(),
            alerts=_alerts(found, event),
            recorded_at=datetime.fromisoformat(found.entry[b"posted_at"].decode()).astimezone(UTC),
        )

    async def foresee(self, event: ShipmentEvent, policy: Policy) -> Foreseen:
        """What an event would come to if it were booked now, judged by a policy.

        A first event that the ledger knows already is taken as if it were new: asked under another policy, it would
        else be a contradiction of itself.

        Raises:
            RejectedRecord: the policy cannot judge the event.
        """
        judged = judge(event, policy)
        kin, member = Kin(policy.sha256, event.source, to_structured(event), ()), Member(event, judged)
        family, reservation = await self._families(event)
        if family is None:
            assert isinstance(judged, Assessment)  # an adjustment
            return Foreseen(judged, _related(event, judged, None, None), judged.charges)
        if family.known and family.original == own_key(event):
            family = Family(family.original)
        after = family.joined_by(kin, member)
        charges = [*after.moved_since(family).charges]
        if reservation is not None:
            reservation_after = reservation.joined_by(kin, member)
            charges += reservation_after.moved_since(reservation).charges
            reservation = reservation_after
        return Foreseen(judged, _related(event, judged, after, reservation), charges)

    async def _families(self, event: ShipmentEvent) -> tuple[Family | None, Family | None]:
        """The family that decides over an event, and that of the reservation which it names; each None if none does."""
        if event.type == "ledger.adjusted":
            return None, None
        own, original = own_key(event), original_of(event)
        if event.type in FOLLOWERS:
            assert original is not None  # the reader refuses such an event
            return await self.family(original), None
        family = await self._kept(own) or Family(own)
        return family, await self.family(original) if original is not None and original != own else None

    async def family(self, original: EventKey) -> Family:
        """An original with all that name it, as far as they are known."""
        family = await self._kept(original)
        if family is None:
            family = Family(original)
            if found := await find_event(self._redis, self._keys, original):
                kin = _kin(found, original)
                family = family.joined_by(kin, kin.member(self._rules.policy))
        return family

    async def _kept(self, original: EventKey) -> Family | None:
        """A family that is kept, for several events belong to it."""
        record = await asked(self._redis.hget(self._keys.families, cast("str", digest_of_key(*original))))
        return None if record is None else read_family(record, self._rules.policy)


def _related(
    event: ShipmentEvent, judged: Assessment | Following, family: Family | None, reservation: Family | None
) -> Related:
    families, key = [one for one in (reservation, family) if one is not None], own_key(event)
    related = Related(
        event=key,
        original=family.original if family is not None else key,
        family=family.settlement if family is not None else None,
        reservation=reservation.settlement if reservation is not None else None,
        statements=[
            stated
            for stated in (*(member.judged for one in families for member in one.members), judged)
            if isinstance(stated, Assessment)
        ],
    )
    if any(key not in one.shares for one in (related.family, related.reservation) if one is not None):
        raise LedgerUnavailable("Redis was emptied just now: ask again")
    return related


def _kin(found: FoundEvent, key: EventKey) -> Kin:
    return Kin(found.policy, key[0], found.kept.value, found.kept.headers)


def _alerts(found: FoundEvent, event: ShipmentEvent) -> list[QuotaAlert]:
    """What was told because of the event when it was booked."""
    told = (line.split(b" ", 1)[1] for line in found.entry.get(b"alerts", b"").splitlines())
    alerts = map(QuotaAlert.model_validate_json, told)
    return [alert for alert in alerts if alert.event_key == event.key]
