"""Random histories of related events: shipments and reservations with all that names them, and what goes wrong there.

    python -m tests.histories COUNT SEED      prints one as JSON lines

The same `Random` gives the same history. Events come roughly in the order in which they would be made; tests permute
and repeat them. Some name an event that never comes, one that is no original, or themselves.
"""

import json
import sys
from copy import deepcopy
from random import Random

SOURCES = ("/logistics/acme", "/logistics/zenith", "/customs")
COUNTRIES = ("IN", "AE", "SG", "BR", "DE", "US", "CN")
MOMENTS = tuple(
    f"{year}-{month:02d}-{day:02d}T{hour:02d}:00:00Z"
    for year, month, day, hour in (
        (2024, 12, 31, 23), (2025, 1, 1, 0), (2025, 6, 30, 12), (2026, 1, 1, 0), (2026, 3, 1, 8), (2026, 3, 1, 9),
        (2026, 3, 31, 23), (2026, 4, 1, 0), (2026, 7, 15, 12), (2026, 9, 30, 6), (2026, 12, 31, 23), (2027, 1, 1, 0),
        (2027, 2, 2, 2),
    )
)  # fmt: skip
"""Few, so that many events share one; on both sides of the ends of years and quarters."""

KNOWN = (
    {"vendor": "NVIDIA", "model": "H100 SXM"},
    {"model": "h100-sxm"},
    {"vendor": "NVIDIA Corporation", "model": "A100"},
    {"vendor": "NVIDIA", "model": "L4"},
    {"vendor": "NVIDIA", "model": "H20"},
    {"vendor": "NVIDIA", "model": "A40"},
    {"vendor": "Huawei", "model": "Ascend 910B"},
    {"tpp_each": 5_000},
    {"tpp_each": 1_000},
    {"vendor": "NVIDIA", "model": "H100 SXM", "tpp_each": 20_000},
)
UNKNOWN = (
    {"vendor": "Acme", "model": "Z9 Turbo"},
    {"model": "z9-turbo"},
    {"vendor": "Other", "model": "Z9 Turbo"},
    {"vendor": "Acme", "model": "Q-7"},
    {"vendor": "AMD", "model": "Instinct MI308X"},
    {"vendor": "Huawei", "model": "Ascend 910D"},
)
WEIGHTS = {"eccn": "4E091"}
TPP_STATED = (1_000, 1_600, 5_000, 20_000)
"""What a person may say of an unknown part: from 1,600 on it is booked."""

CONSIGNEES = (
    None,
    {"name": "Nobody we can tell", "id": "lei:1", "headquarters": "IN"},
    {"id": "lei:2", "headquarters": "US"},
    {"id": "lei:3", "headquarters": "DE", "ultimate_parent": {"id": "lei:2", "country": "US"}},
)
CHANNELS = ("license", "license", "none", "aia", "lpp", "nveu", "uveu")
FIRST = ("shipment.shipped",) * 6 + ("shipment.reserved",) * 5 + ("compute.used",)
FOLLOWING = (
    ("shipment.returned", 35), ("shipment.cancelled", 1), ("shipment.corrected", 10), ("shipment.resolved", 18),
    ("shipment.shipped", 35),
)  # fmt: skip


def history(random: Random, count: int) -> list[dict]:
    """So many events as structured CloudEvents, each with a key of its own, of one family to some."""
    return _Writer(random).write(count)


class _Writer:
    """Makes up one history. Its parts are a few of all, so that events meet."""

    def __init__(self, random):
        self.random = random
        self.known = random.sample(KNOWN, random.randint(1, 5))
        self.unknown = random.sample(UNKNOWN, random.randint(1, 4))
        self.made = []

    def write(self, count):
        self.originals = [
            (self.random.choice(SOURCES), f"first-{number}")
            for number in range(self.random.randint(1, 1 + count // 15))
        ]
        coming = list(self.originals)
        while len(self.made) < count:
            if coming and self.chance(0.4):
                self.made.append(self.first(coming.pop(0)))
            else:
                self.made.append(self.follower((self.random.choice(SOURCES), f"event-{len(self.made)}")))
        return self.made

    def chance(self, share):
        return self.random.random() < share

    def first(self, key):
        kind = self.random.choice(FIRST)
        data = self.goods(items_max=200 if kind == "shipment.reserved" else 12)
        if kind == "shipment.reserved" and self.chance(0.4):
            data["expires_at"] = self.random.choice(MOMENTS)
        return self.event(key, kind, data)

    def follower(self, key):
        kind = self.random.choices([kind for kind, _ in FOLLOWING], [weight for _, weight in FOLLOWING])[0]
        data = {}
        if kind == "shipment.corrected":
            data = self.goods(items_max=60)
            if self.chance(0.3):
                data["expires_at"] = self.random.choice(MOMENTS)
        elif kind == "shipment.shipped":
            data = self.goods(items_max=3)
        elif kind == "shipment.resolved":
            data = {"lines": self.words(), "actor": "a person", "reason": "looked it up"}
        elif kind == "shipment.returned" and self.chance(0.99):
            data = {"lines": self.lines(items_max=3)}
        source, data["original_id"] = self.named(key)
        if source != key[0] or self.chance(0.2):
            data["original_source"] = source
        return self.event(key, kind, data)

    def named(self, key):
        number = self.random.random()
        if number < 0.01:
            return key
        if number < 0.02:
            return key[0], "never-heard-of"
        if number < 0.05 and self.made:
            other = self.random.choice(self.made)
            return other["source"], other["id"]
        return self.random.choice(self.originals)

    def event(self, key, kind, data):
        event = {"specversion": "1.0", "id": key[1], "source": key[0], "type": kind, "data": data}
        if kind == "shipment.corrected" or self.chance(0.6):
            event["time"] = self.random.choice(MOMENTS)
        if ("time" not in event and "destination" in data) or self.chance(0.5):
            data["shipped_at"] = self.random.choice(MOMENTS)
        return event

    def goods(self, items_max):
        data = {"destination": self.random.choice(COUNTRIES), "lines": self.lines(items_max)}
        if (consignee := self.random.choice(CONSIGNEES)) is not None:
            data["consignee"] = deepcopy(consignee)  # an event is a test's own: some change it
        if (channel := self.random.choice(CHANNELS)) != "license" or self.chance(0.5):
            data["authorization"] = {"kind": channel, "holdings_tpp": self.random.choice((None, 10**9, 10**10))}
        return data

    def lines(self, items_max):
        count = self.random.randint(1, 20 if self.chance(0.1) else 4)
        return [self.line() | {"quantity": self.random.randint(1, items_max)} for _ in range(count)]

    def line(self):
        if self.chance(0.03):
            return WEIGHTS
        return self.random.choice(self.unknown if self.chance(0.2) else self.known)

    def words(self):
        count = self.random.randint(1, 3)
        return [
            self.random.choice([*self.unknown, KNOWN[0]]) | {"tpp_each": self.random.choice(TPP_STATED)}
            for _ in range(count)
        ]


if __name__ == "__main__":
    for event in history(Random(int(sys.argv[2])), int(sys.argv[1])):
        print(json.dumps(event))
