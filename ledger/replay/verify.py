"""What a ledger must hold, recomputed from its records alone: the reference that `verify` compares Redis with.

It posts nothing run by run. Of each partition the first content under a key stands, as for a worker; events that are
tied to others are settled with their whole family at the end. Only where the log leaves it open what stands (other
contents, or another policy, under one key on different partitions) is the ledger's own word taken, and told.

Memory: about 200 bytes a plain event, for its key's digest, its content's and its place. Events that name others, are
named, or have held lines are kept whole, and so are the places of records that cannot be applied.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from ledger.digests import CONTENT_BYTES, digest_as_kin, digest_of_key
from ledger.rules.adoptions import Rulebook
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.families import Member, Settlement, settle_family
from ledger.rules.follower import FIRST_EVENTS, FOLLOWERS, EventKey, family_of, own_key
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.shipment_event import ShipmentEvent

Account = tuple[str, str]
"""Account and period."""

Place = tuple[int, int]
"""Partition and offset of a record."""

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


class Ties(Protocol):
    """What ties an event to others."""

    @property
    def original(self) -> tuple[EventKey, bytes] | None:
        """The key of the event whose family it belongs to, and that key's digest."""


class JudgedRecord(Protocol):
    """A record that became an event, as workers judge it (`ledger/book/judged.py`)."""

    @property
    def offset(self) -> int:
        """Its place on its partition."""

    @property
    def source(self) -> str:
        """The event's source."""

    @property
    def value(self) -> bytes:
        """The record's value."""

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Those of its headers that belong to the event."""

    @property
    def charges(self) -> Sequence[ChargeDue]:
        """What the event charges by itself."""

    @property
    def held(self) -> int:
        """How many of its lines wait for a person."""

    @property
    def key_digest(self) -> bytes:
        """By what its key is remembered."""

    @property
    def content_digest(self) -> bytes:
        """By what its bytes are."""

    @property
    def ties(self) -> Ties | None:
        """None of a plain shipment."""


@dataclass(slots=True)
class Amounts:
    """What an account holds in a period: TPP, and lines."""

    posted_tpp: int = 0
    reserved_tpp: int = 0
    held_lines: int = 0

    def add(self, charge: ChargeDue, times: int = 1) -> None:
        """Book a charge, or take it back."""
        if charge.state == "posted":
            self.posted_tpp += times * charge.tpp
        else:
            self.reserved_tpp += times * charge.tpp


class _Kept(NamedTuple):
    """A record that is kept whole."""

    place: Place
    content_digest: bytes
    policy: str
    source: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    def event(self) -> ShipmentEvent:
        return read_event(self.value, self.headers, default_source=self.source)


@dataclass(slots=True, kw_only=True)
class Recomputed:
    """What the ledger must hold.

    Attributes:
        balances: by account and period.
        waits: by the digest of its key, every event that waits, and for what: `held`, `waiting`.
        due: by the digest of its key, when a reservation will expire.
        families: by the digest of the original's key, all its events: by the digest of its key, each as
            `digest_as_kin` has it.
        awaited: digests of keys that are named and did not come.
        unfit: records that cannot be applied, and must lie among the rejects.
        disputed: keys of which the log leaves open what stands: other contents, or policies, on different partitions.
        taken_now: keys of records that were rejected once and could be applied now, but were not replayed.
    """

    balances: dict[Account, Amounts]
    waits: dict[bytes, tuple[EventKey, str]] = field(default_factory=dict)
    due: dict[bytes, datetime] = field(default_factory=dict)
    families: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    awaited: set[bytes] = field(default_factory=set)
    unfit: set[Place]
    disputed: list[EventKey] = field(default_factory=list)
    taken_now: list[tuple[EventKey, Place]] = field(default_factory=list)


class Recomputation:
    """Takes the records of every partition, each partition's in its order; then some of them again; then settles.

    Args:
        rules: the adoptions.
        topic: of the shipments, as the adoptions name it.
        related: digests of keys that others name, as far as known beforehand. Whatever is missing is read again.
        parked: records that were rejected, and not for a conflict. One that could be applied now may not have been.
    """

    def __init__(
        self, rules: Rulebook, topic: str, *, related: Container[bytes] = (), parked: Container[Place] = ()
    ) -> None:
        self._rules = rules
        self._topic = topic
        self._related = related
        self._parked = parked
        self._balances: defaultdict[Account, Amounts] = defaultdict(Amounts)
        self._plain: dict[bytes, bytes] = {}
        self._close: dict[bytes, list[_Kept]] = {}
        self._again: set[bytes] = set()
        self._standing: dict[bytes, set[bytes]] = {}
        self._unfit: set[Place] = set()

    # ------------------------------------------------------------------------------------------------------- Reading

    def refuse(self, partition: int, offset: int) -> None:
        """Take a record that cannot be an event."""
        self._unfit.add((partition, offset))

    def take(self, partition: int, record: JudgedRecord) -> None:
        """Take a record that became an event, at the first reading."""
        key, tied = record.key_digest, record.ties is not None
        if record.ties is not None and record.ties.original is not None:
            self._look_closely(record.ties.original[1])
        known = self._plain.get(key)
        if key in self._close:
            self._keep(partition, record)
        elif tied or record.held or key in self._related or (partition, record.offset) in self._parked:
            self._look_closely(key)
            if known is None:
                self._keep(partition, record)
        elif known is None:
            self._plain[key] = record.content_digest + _packed(partition, record.offset)
            self._book(record.charges)
        else:
            same = known[:CONTENT_BYTES] == record.content_digest
            if not same or self._ruled_otherwise(_unpacked(known), partition, record):
                self._again.add(key)

    @property
    def wants_again(self) -> bool:
        """Whether some records must be read a second time, with `take_again`: all of them may be given."""
        return bool(self._again)

    def take_again(self, partition: int, record: JudgedRecord) -> None:
        """Take a record at the second reading."""
        key = record.key_digest
        if key not in self._again:
            return
        known = self._plain.get(key)
        if known is not None and _unpacked(known) == (partition, record.offset):
            del self._plain[key]
            self._book(record.charges, times=-1)
        self._keep(partition, record)

    def _look_closely(self, key: bytes) -> None:
        if key in self._plain:
            self._again.add(key)
        else:
            self._close.setdefault(key, [])

    def _keep(self, partition: int, record: JudgedRecord) -> None:
        kept = self._close.setdefault(record.key_digest, [])
        same = next((one for one in kept if one.content_digest == record.content_digest), None)
        policy = self._policy_at(partition, record.offset)
        told = (record.source, record.value, record.headers) if same is None else same[3:]
        kept.append(_Kept((partition, record.offset), record.content_digest, policy, *told))

    def _book(self, charges: Iterable[ChargeDue], times: int = 1) -> None:
        for charge in charges:
            self._balances[charge.account, charge.period].add(charge, times)

    def _policy_at(self, partition: int, offset: int) -> str:
        return self._rules.ruling(f"{self._topic}:{partition}", offset).policy_sha256

    def _ruled_otherwise(self, known: Place, partition: int, record: JudgedRecord) -> bool:
        return known[0] != partition and self._policy_at(*known) != self._policy_at(partition, record.offset)

    # ------------------------------------------------------------------------------------------------------ Settling

    def open_keys(self) -> Iterator[bytes]:
        """Digests of the keys of which the ledger must say what stands."""
        for key, kept in self._close.items():
            if len(self._variants(kept)) > 1 or any(one.place in self._parked for one in kept):
                yield key

    def settle(self, *, standing: Mapping[bytes, Place], minute: datetime, not_expired: Container[bytes]) -> Recomputed:
        """What the ledger must hold.

        Args:
            standing: of the open keys, where the record lies that the ledger applied; absent if it applied none.
            minute: the ledger's own time.
            not_expired: digests of the keys of reservations that have not been seen to expire, though it may be time.
        """
        told = Recomputed(balances=self._balances, unfit=self._unfit)
        events: dict[bytes, Member] = {}
        policies: dict[bytes, str] = {}
        for key, kept in self._close.items():
            if (stands := self._stands(key, kept, standing, told)) is not None:
                event, policies[key] = stands.event(), stands.policy
                events[key] = Member(event, judge(event, self._rules.policy(stands.policy)))
        families = self._families(events)
        for key, member in events.items():
            if key not in families or member.event.type not in FIRST_EVENTS:
                self._settle_alone(key, member, told)
        for key, (original, members) in families.items():
            at = _BEFORE_ALL if key in not_expired else minute
            self._settle_family(key, settle_family(original, members.values(), at=at), original, members, told)
            told.families[key] = {
                own: digest_as_kin(member.event.content(), policies[own]) for own, member in members.items()
            }
        told.awaited = {key for key in families if key not in events}
        told.balances = {account: amounts for account, amounts in self._balances.items() if amounts != Amounts()}
        return told

    def known_as(self, key: bytes) -> Sequence[bytes]:
        """The content digests under which the ledger may know the event of a key's digest; none if it must not."""
        plain = self._plain.get(key)
        return [plain[:CONTENT_BYTES]] if plain is not None else sorted(self._standing.get(key, ()))

    def known(self) -> Iterator[bytes]:
        """Digests of the keys of all events that the ledger must know."""
        yield from self._plain
        yield from self._standing

    def place_of(self, key: bytes) -> Place:
        """Where an event of the log that the ledger must know lies."""
        plain = self._plain.get(key)
        return _unpacked(plain) if plain is not None else self._close[key][0].place

    @property
    def event_count(self) -> int:
        """How many events the ledger must know; after `settle`."""
        return len(self._plain) + len(self._standing)

    def _variants(self, kept: Sequence[_Kept]) -> list[_Kept]:
        """The records of a key of which each may stand: the first of each partition, as far as they differ."""
        firsts: dict[int, _Kept] = {}
        for one in kept:
            if one.place not in self._parked:
                firsts.setdefault(one.place[0], one)
        found: dict[tuple[int, str], _Kept] = {}
        hashes: dict[bytes, int] = {}
        for one in firsts.values():
            found.setdefault((_content_hash(one, hashes), one.policy), one)
        return list(found.values())

    def _stands(
        self, key: bytes, kept: Sequence[_Kept], standing: Mapping[bytes, Place], told: Recomputed
    ) -> _Kept | None:
        """The record that stands; notes what becomes of the others."""
        if not kept:
            return None
        variants, word = self._variants(kept), standing.get(key)
        said = next((one for one in kept if one.place == word), None)
        stands = said or (variants[0] if variants else None)
        disputed = len(variants) > 1
        if disputed:
            told.disputed.append(own_key(kept[0].event()))
        if stands is None:
            told.taken_now.append((own_key(kept[0].event()), kept[0].place))
            return None
        hashes: dict[bytes, int] = {}
        content = _content_hash(stands, hashes)
        self._standing[key] = {one.content_digest for one in kept if _content_hash(one, hashes) == content}
        if not disputed:
            told.unfit |= {one.place for one in kept if _content_hash(one, hashes) != content}
        return stands

    def _families(self, events: Mapping[bytes, Member]) -> dict[bytes, tuple[EventKey, dict[bytes, Member]]]:
        """By the digest of the original's key: that key, and every event of the family by the digest of its own."""
        families: dict[bytes, tuple[EventKey, dict[bytes, Member]]] = {}
        for key, member in events.items():
            if (original := family_of(member.event)) is not None:
                _, members = families.setdefault(digest_of_key(*original), (original, {}))
                members[key] = member
        for key, (_, members) in families.items():
            if key in events:
                members[key] = events[key]
        return families

    def _settle_alone(self, key: bytes, member: Member, told: Recomputed) -> None:
        """What an event books by itself."""
        judged = member.judged
        if not isinstance(judged, Assessment) or member.event.type in FOLLOWERS:
            return
        self._book(judged.charges)
        if judged.held:
            told.waits[key] = own_key(member.event), "held"
            if (place := judged.case.destination.place) is not None:
                self._balances[place].held_lines += len(judged.held)

    def _settle_family(
        self,
        key: bytes,
        settlement: Settlement,
        original: EventKey,
        members: Mapping[bytes, Member],
        told: Recomputed,
    ) -> None:
        self._book(settlement.charges)
        for account, lines in settlement.held_on.items():
            self._balances[account].held_lines += lines
        if settlement.held and key in members:
            told.waits[key] = original, "held"
        for own, member in members.items():
            share = settlement.shares.get(own_key(member.event))
            if member.event.type in FOLLOWERS and share is not None and share.outcome == "waiting":
                told.waits[own] = own_key(member.event), "waiting"
        if settlement.changes_at is not None:
            told.due[key] = settlement.changes_at


def _content_hash(one: _Kept, hashes: dict[bytes, int]) -> int:
    """What a record's content is told by within this process; `hashes` remembers by bytes."""
    if one.content_digest not in hashes:
        hashes[one.content_digest] = hash(one.event().content())
    return hashes[one.content_digest]


def _packed(partition: int, offset: int) -> bytes:
    return partition.to_bytes(3, "big") + offset.to_bytes(7, "big")


def _unpacked(known: bytes) -> Place:
    """The place at the end of what is remembered of an event."""
    return int.from_bytes(known[-10:-7], "big"), int.from_bytes(known[-7:], "big")
