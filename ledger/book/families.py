"""The families that one call touches: as Redis keeps them, and as they become by it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from redis.asyncio import Redis

from ledger.book.family import Family, Kin, minute_of, read_family
from ledger.book.ids import AWAITED, UNKNOWN, place_of
from ledger.book.judged import Judged, kafka_time
from ledger.book.keys import Keys
from ledger.book.place import read_kept
from ledger.book.script import asked
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.families import ONE_BY_ONE_MAX, Dated, Member, Moved
from ledger.rules.follower import FIRST_EVENTS, EventKey, own_key
from ledger.rules.judge import judge
from schemas.shipment_event import ShipmentEvent


@dataclass(frozen=True, slots=True, eq=False)
class Expiry:
    """A reservation's time is over: it is booked like a record, and the journal keeps whose it was.

    Attributes:
        offset: the minute, as on a partition.
        expired_tpp: what it still held.
    """

    offset: int
    reservation: Member
    expired_tpp: int
    held: int = 0
    charges: Sequence[ChargeDue] = ()
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def timestamp_ms(self) -> int:
        """The minute."""
        return int(minute_of(self.offset).timestamp() * 1000)

    @property
    def occurred_s(self) -> int:
        """The same in seconds."""
        return self.offset * 60

    @property
    def value(self) -> bytes:
        """What the journal keeps."""
        return json.dumps({"expired": own_key(self.reservation.event)}, ensure_ascii=False).encode()

    def event(self) -> ShipmentEvent:
        """The reservation."""
        return self.reservation.event


Cause = Judged | Expiry
"""What a booking is made for."""


@dataclass(slots=True)
class Changes:
    """What becomes of the families, and of what waits, in one call.

    Attributes:
        moves: what is booked for an event; for those that are not here, what they charge by themselves.
        families: digest of the original's key -> the family as it becomes.
        waits: digest of an event's key -> its key and what it waits for, None if it waits for nothing now.
    """

    moves: dict[Cause, list[Moved]] = field(default_factory=dict)
    families: dict[bytes, Family] = field(default_factory=dict)
    waits: dict[bytes, tuple[EventKey, str] | None] = field(default_factory=dict)

    def arguments(self) -> tuple[list[bytes], str]:
        """The families as the script takes them, and what it takes of all else."""
        rows, due, awaited = [], {}, []
        for number, (key, family) in enumerate(self.families.items()):
            rows += [key, family.version, family.record()]
            changes_at = family.settlement.changes_at
            due[key.hex()] = _milliseconds(changes_at) if changes_at is not None else None
            if not family.known:
                awaited.append(number)
        if not rows and not self.waits:
            return [], ""
        waits = {
            key.hex(): None if waiting is None else json.dumps([*waiting[0], waiting[1]], ensure_ascii=False)
            for key, waiting in self.waits.items()
        }
        return rows, json.dumps({"due": due, "waits": waits, "awaited": awaited})


class Families:
    """Families as they are read, for one posting. Every method that reads raises LedgerUnavailable.

    Attributes:
        told: what is remembered of each original that was looked up, by the digest of its key.
    """

    def __init__(self, redis: Redis, keys: Keys, rules: Rulebook) -> None:
        self._redis = redis
        self._keys = keys
        self._rules = rules
        self._read: dict[bytes, Family] = {}
        self.told: dict[bytes, bytes] = {}

    async def look_up(self, originals: Mapping[bytes, EventKey | None]) -> None:
        """Read what is known of some originals and of their families, again if they were read before.

        Args:
            originals: digest of a key -> that key; it need not be told if its family is kept or was looked up before.
        """
        if not originals:
            return
        keys = [*originals]
        values = await asked(self._redis.hmget(self._keys.ids, keys))
        records = await asked(self._redis.hmget(self._keys.families, keys))
        places: dict[bytes, bytes] = {}
        for key, value, record in zip(keys, values, records, strict=True):
            self.told[key] = value or UNKNOWN
            if record is not None:
                self._read[key] = read_family(record, self._rules.policy)
                continue
            original = originals[key] or self._read[key].original
            self._read[key] = Family(original)
            if value is not None and value != AWAITED:
                places[key] = place_of(value)
        found = await read_kept(self._redis, self._keys, set(places.values()))
        for key, place in places.items():
            policy, kept = found[place]
            kin = Kin(policy, self._read[key].original[0], kept.value, kept.headers)
            self._read[key] = self._read[key].joined_by(kin, kin.member(self._rules.policy))

    def joined_by(self, fresh: Sequence[Judged], policy: Policy) -> Changes:
        """What the new events of a call change, in their order, under the policy that they were judged under.

        Each event is booked for itself; in a family of more than `ONE_BY_ONE_MAX` events, all for the last of them.
        """
        changes, last = Changes(), dict[bytes, Judged]()
        families, settled = dict(self._read), dict(self._read)
        for item in fresh:
            if item.ties is None and not item.held and item.key_digest not in families:
                continue
            event = item.event()
            kin = Kin(policy.sha256, item.source, item.value, item.headers)
            member = Member(event, judge(event, policy))
            settled_here = item.key_digest in families and event.type in FIRST_EVENTS
            moved = [] if settled_here else [_own(item, member)]
            for key in _families_of(item, families):
                families[key] = changes.families[key] = families[key].joined_by(kin, member)
                last[key] = item
                if len(families[key].kin) <= ONE_BY_ONE_MAX:
                    moved.append(families[key].moved_since(settled[key]))
                    settled[key] = families[key]
            changes.moves[item] = moved
            if item.held:
                changes.waits[item.key_digest] = (own_key(event), "held")
        for key, family in changes.families.items():
            if settled[key] is not family:
                changes.moves[last[key]].append(family.moved_since(settled[key]))
            changes.waits |= family.waits()
        return changes

    def at(self, minute: int) -> tuple[list[Expiry], Changes]:
        """What a later minute changes in the families that were looked up."""
        changes, expired = Changes(), list[Expiry]()
        for key, before in self._read.items():
            family = before.at(minute)
            moved, settlement = family.moved_since(before), family.settlement
            assert settlement.standing is not None  # only reservations expire, and theirs is known
            changes.families[key] = family
            changes.waits |= family.waits()
            if moved.charges or moved.held or moved.dated:
                expired.append(Expiry(minute, settlement.standing, settlement.expired_tpp))
                changes.moves[expired[-1]] = [moved]
        return expired, changes


def _families_of(item: Judged, families: Mapping[bytes, Family]) -> Iterator[bytes]:
    """The originals in whose families an event is: itself, if others name it, and the one that it names."""
    if item.key_digest in families:
        yield item.key_digest
    if item.ties is not None and item.ties.original is not None and item.ties.original[1] != item.key_digest:
        yield item.ties.original[1]


def _own(item: Judged, member: Member) -> Moved:
    """What an event books that no family of its own settles: nobody named it, or it moves no goods (an adjustment)."""
    since = member.event.moment or kafka_time(item.timestamp_ms)
    dated = [(Dated(charge.account, charge.period, charge.state, since), charge.tpp) for charge in item.charges]
    if not item.held or not isinstance(member.judged, Assessment):
        return Moved(item.charges, (), dated)
    place = member.judged.case.destination.place
    held = [(*place, item.held)] if place is not None else []
    return Moved(item.charges, held, dated)


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
