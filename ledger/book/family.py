"""A family as Redis keeps it: its events, so that it can be settled again whenever one is added. Pure.

What it comes to is not kept: it follows from the events, the policies they were judged under, and the ledger's time.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from ledger.book.journal import deflated, inflated
from ledger.digests import digest_of_key
from ledger.policy import Policy
from ledger.rules.families import Member, Moved, Settlement, moved, settle_family
from ledger.rules.follower import FOLLOWERS, EventKey, own_key
from ledger.rules.judge import judge
from schemas.cloudevents import read_event

VERSION_SIZE = 7

NO_VERSION = bytes(VERSION_SIZE)
"""That of a family which is not kept yet."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PolicyOf = Callable[[str], Policy]
"""SHA-256 -> the adopted policy."""


def minute_of(number: int) -> datetime:
    """The moment that a tick's number stands for: whole minutes since 1970."""
    return _EPOCH + timedelta(minutes=number)


def minute_number(moment: datetime) -> int:
    """The inverse: the minute that a moment lies in."""
    return (moment - _EPOCH) // timedelta(minutes=1)


class Kin(NamedTuple):
    """One event of a family as it is kept. `policy` is the SHA-256 of the one that its record was judged under."""

    policy: str
    source: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    def member(self, policy_of: PolicyOf) -> Member:
        """The event, read and judged once more."""
        event = read_event(self.value, self.headers, default_source=self.source)
        return Member(event, judge(event, policy_of(self.policy)))


@dataclass(frozen=True)
class Family:
    """An original, and every event that names it, in the order in which they came.

    Attributes:
        original: its key, whether it is known yet or not.
        tick: the minute by which its expiry was settled last. Only a tick moves it, so that every expiry is told.
        kin: the events.
        members: the same, judged.
        version: of the record that this was read from.
    """

    original: EventKey
    tick: int = 0
    kin: tuple[Kin, ...] = ()
    members: tuple[Member, ...] = ()
    version: bytes = NO_VERSION

    @property
    def known(self) -> bool:
        """Whether the original is among the events."""
        return any(own_key(member.event) == self.original for member in self.members)

    @cached_property
    def settlement(self) -> Settlement:
        """What the family comes to."""
        return settle_family(self.original, self.members, at=minute_of(self.tick))

    def joined_by(self, kin: Kin, member: Member) -> "Family":
        """The family with one more event."""
        return replace(self, kin=(*self.kin, kin), members=(*self.members, member))

    def at(self, tick: int) -> "Family":
        """The family at a later minute."""
        return replace(self, tick=max(self.tick, tick))

    def moved_since(self, before: "Family") -> Moved:
        """What is to be booked because the family was another before."""
        return moved(before.settlement, self.settlement)

    def record(self) -> bytes:
        """The family as it is kept: its version, and the rest deflated."""
        said = json.dumps(
            {
                "original": self.original,
                "tick": self.tick,
                "kin": [
                    [kin.policy, kin.source, kin.value.decode(), [[n, v.decode("latin-1")] for n, v in kin.headers]]
                    for kin in self.kin
                ],
            },
            ensure_ascii=False,
        ).encode()
        return sha256(said).digest()[:VERSION_SIZE] + deflated(said)

    def waits(self) -> "dict[bytes, tuple[EventKey, str] | None]":
        """By the digest of its key, what each event waits for: `held`, `waiting`; None if it waits for nothing."""
        settlement = self.settlement
        waits: dict[bytes, tuple[EventKey, str] | None] = {}
        for member in self.members:
            key, follows = own_key(member.event), member.event.type in FOLLOWERS
            if follows == (key == self.original):
                continue  # another family says: of a shipment its own, of what follows that which it names
            if follows:
                share = settlement.shares.get(key)
                why = "waiting" if share is not None and share.outcome == "waiting" else None
            else:
                why = "held" if settlement.held else None
            waits[digest_of_key(*key)] = (key, why) if why else None
        return waits


def read_family(record: bytes, policy_of: PolicyOf) -> Family:
    """Read a record back; the inverse of `Family.record`."""
    said = json.loads(inflated(record[VERSION_SIZE:]))
    kin = tuple(
        Kin(policy, source, value.encode(), tuple((name, text.encode("latin-1")) for name, text in headers))
        for policy, source, value, headers in said["kin"]
    )
    source, event_id = said["original"]
    return Family((source, event_id), said["tick"], kin, members_of(kin, policy_of), record[:VERSION_SIZE])


def members_of(kin: Iterable[Kin], policy_of: PolicyOf) -> tuple[Member, ...]:
    """The events, read and judged once more."""
    return tuple(one.member(policy_of) for one in kin)
