"""What producers write in one history: related events, repeated, spelt otherwise, contradicted, reordered, or bad."""

import json
from copy import deepcopy
from dataclasses import dataclass
from random import Random

from ledger.digests import digest_of_content, digest_of_key
from tests import histories
from tests.builders import shipment_document

BAD = (
    None,
    b"",
    b"no JSON",
    b'{"id": "bad-1", "destination": "IN"}',
    json.dumps(shipment_document(id="bad-2", destination="UK")).encode(),
    json.dumps(shipment_document(id="bad-3", quantity=0)).encode(),
    json.dumps(shipment_document(id="bad-4", shipped_at="2030-01-01T00:00:00Z")).encode(),
)
"""None of these can be applied."""

LINES_MAX, ITEMS_MAX = 3, 4
"""Small shipments: what matters is what becomes of them."""


@dataclass(eq=False)
class Sent:
    """One record as its producer means it, and where it came to lie.

    Attributes:
        event: what it says; None if that is nothing.
        content: tells apart the different things that are said under one key.
    """

    partition: int
    value: bytes | None
    event: dict | None = None
    content: int = 0
    offset: int = -1

    def __post_init__(self):
        self.key = (self.event["source"], self.event["id"]) if self.event else None
        self.key_digest = digest_of_key(*self.key) if self.key else None
        self.content_digest = digest_of_content(self.value or b"")


def traffic(random: Random, *, partitions: int, mix) -> list[Sent]:
    """The records of one history in the order in which they are produced.

    Args:
        random: the history's chance.
        partitions: of the topic.
        mix: `repeats`, `conflicts`, `bad`, `plain`: the share of each; `events`: how many events at most.
    """
    events = [_small(event) for event in histories.history(random, random.randint(1, mix.events))]
    events = [_plain(random, n) if random.random() < mix.plain else event for n, event in enumerate(events)]
    if random.random() < 0.5:
        random.shuffle(events)
    sent = [one for event in events for one in _sent(random, event, partitions, mix)]
    for number in range(1, len(sent)):
        if random.random() < 0.3:
            earlier = random.randrange(number)
            sent[number], sent[earlier] = sent[earlier], sent[number]
    return sent


def _sent(random, event, partitions, mix):
    """The event, and what comes with it."""
    partition = random.randrange(partitions)
    yield Sent(partition, _spelt(event, 0), event)
    while random.random() < mix.repeats:
        yield Sent(_near(random, partition, partitions), _spelt(event, random.randrange(3)), event)
    if random.random() < mix.conflicts and "lines" in event["data"]:
        other = _contradicting(event)
        yield Sent(_near(random, partition, partitions), _spelt(other, 0), other, content=1)
    if random.random() < mix.bad:
        yield Sent(partition, random.choice(BAD))


def _near(random, partition, partitions):
    return partition if random.random() < 0.5 else random.randrange(partitions)


def _small(event):
    lines = event["data"].get("lines")
    if lines is not None:
        del lines[LINES_MAX:]
        for line in lines:
            if "quantity" in line:
                line["quantity"] = 1 + line["quantity"] % ITEMS_MAX
    return event


def _plain(random, number):
    country, quantity = random.choice(histories.COUNTRIES), random.randint(1, ITEMS_MAX)
    return shipment_document(id=f"plain-{number}", destination=country, quantity=quantity)


def _contradicting(event):
    """Something else under the same key."""
    other = deepcopy(event)
    if event["type"] == "shipment.resolved":
        other["data"]["reason"] = "looked again"
    else:
        other["data"]["lines"][0]["quantity"] = 7
    return other


def _spelt(event, how):
    """The same said in other bytes."""
    if how == 1:
        return json.dumps(dict(reversed(event.items()))).encode()
    if how == 2:
        return json.dumps(event | {"data": event["data"] | {"unknown_to_us": 1}}, indent=1).encode()
    return json.dumps(event).encode()
