"""What if another policy ruled? Two policies over the same events: a pure fold. `report.py` says what differs.

Each event is read once and judged twice. What is remembered grows with the keys of events, with those that name each
other, with accounts and with crossings; of alerts about single events it is counts, and a few examples of those that
one policy alone tells.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from ledger.digests import digest_of_key
from ledger.policy import Policy
from ledger.replay.projection import REFUSALS, Projection
from ledger.rules.assessment import Notice
from ledger.rules.follower import own_key
from schemas.quota_alert import AlertKind
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent

EXAMPLES_MAX = 20
"""Alerts about single events that are kept, of those that one policy alone tells."""

Item = ShipmentEvent | RejectedRecord
"""A record as it was read: an event, or the reason why it is none."""

Counted = Counter[tuple[AlertKind, str | None]]
"""How many alerts, by kind and country."""


@dataclass(slots=True)
class OneSided:
    """The alerts about single events that one policy tells and the other does not: all counted, the first few kept."""

    counts: Counted = field(default_factory=Counter)
    examples: list[tuple[Item, Notice]] = field(default_factory=list)

    def add(self, item: Item, notice: Notice) -> None:
        """Count one."""
        self.counts[notice.kind, country_of(item, notice)] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append((item, notice))


class Simulation:
    """Takes records one by one, then lets time pass.

    Args:
        policy: the policy that is asked about.
        against: the one that it is compared with.
        named: the digests of the keys of all events that others in the stream name (`named.py`).
        today: by whose caps levels are measured, as a ledger does on that day.

    Attributes:
        policy: the ledger under the policy that was asked about.
        against: the one under the policy that it is compared with.
        told_by_both: alerts about single events that both policies tell: of one kind and event.
        only_policy, only_against: those that one of them tells.
    """

    def __init__(self, policy: Policy, against: Policy, named: Collection[bytes], *, today: date) -> None:
        self.policy = Projection(policy, named, today=today)
        self.against = Projection(against, named, today=today)
        self.records_read = 0
        self.told_by_both: Counted = Counter()
        self.only_policy = OneSided()
        self.only_against = OneSided()

    def take(self, item: Item) -> Sequence[Notice]:
        """Count one record; returns what either policy tells of it alone, whatever the balances are."""
        self.records_read += 1
        if isinstance(item, RejectedRecord):
            told, other_told = self.policy.refuse(item), self.against.refuse(item)
        else:
            key_digest, content_hash = digest_of_key(item.source, item.id), hash(item.content())
            told = self.policy.take(item, key_digest, content_hash)
            other_told = self.against.take(item, key_digest, content_hash)
        return self._compare(item, told, other_told) if told or other_told else ()

    def let_time_pass(self, until: datetime) -> None:
        """When all records were taken: settle every family for good, as a ledger has by then."""
        expired, other_expired = (
            {own_key(event): (event, [notice]) for event, notice in side.let_time_pass(until)}
            for side in (self.policy, self.against)
        )
        for key, (event, told) in (other_expired | expired).items():
            self._compare(event, told if key in expired else (), other_expired[key][1] if key in other_expired else ())

    def _compare(self, item: Item, told: Sequence[Notice], other_told: Sequence[Notice]) -> Sequence[Notice]:
        by_kind, other_by_kind = ({notice.kind: notice for notice in side} for side in (told, other_told))
        for kind, notice in by_kind.items():
            if kind in other_by_kind:
                self.told_by_both[kind, country_of(item, notice)] += 1
            else:
                self.only_policy.add(item, notice)
        for kind, notice in other_by_kind.items():
            if kind not in by_kind:
                self.only_against.add(item, notice)
        return [*(by_kind | other_by_kind).values()]


def country_of(item: Item, notice: Notice) -> str | None:
    """Which country an alert is about: the destination, none where the record is refused."""
    if isinstance(item, RejectedRecord) or notice.kind in REFUSALS:
        return None
    return item.data.get("destination")
