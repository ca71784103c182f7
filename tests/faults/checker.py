"""Whether the promises held: reckoned from the topic alone, compared with balances, rejects and what receivers got.

Nothing here asks the ledger what it thinks. Sums are those of `tests/reckoning.py`; which of several contents under one
key counts is said by the order of their partition, and what is rejected, by the corpus and the records' Kafka times.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ledger.rules.alerts import alert_id
from tests import reckoning
from tests.faults.producers import BAD_REASON, NOT_CONTENT
from tests.histories import COUNTRIES
from tests.reckoning import TIER_1

CAP_TPP = 791_600_000
TIER_2 = {*COUNTRIES} - TIER_1 - {"CN"}
AHEAD_MAX = timedelta(days=1)
STATES_GOODS = {"shipment.reserved", "shipment.shipped", "shipment.corrected", "compute.used"}


class Reckoned:
    """What must be, from the records of the shipments topic.

    Args:
        topic: its name.
        records: all of them, in the order of their partitions.
        at: the ledger's time.

    Attributes:
        rejects: place (`topic/partition/offset`) -> reason.
        events: key -> the event that counts.
        balances: (`account|period`, state) -> TPP.
    """

    def __init__(self, topic: str, records: Iterable, at: datetime) -> None:
        self.rejects: dict[str, str] = {}
        self.events: dict[tuple, dict] = {}
        self._values: dict[str, bytes] = {}
        partitions = defaultdict(set)
        for record in records:
            place = f"{topic}/{record.partition}/{record.offset}"
            self._values[place] = record.value
            if (reason := BAD_REASON.get(record.value)) is not None:
                self.rejects[place] = reason
                continue
            event = json.loads(record.value)
            event["data"].pop(NOT_CONTENT, None)
            told = reckoning.moment(event["data"].get("shipped_at") or event.get("time"))
            if told is not None and told > datetime.fromtimestamp(record.timestamp / 1000, UTC) + AHEAD_MAX:
                self.rejects[place] = "in_the_future"
                continue
            key = reckoning.key_of(event)
            partitions[key].add(record.partition)
            if self.events.setdefault(key, event) != event:
                assert len(partitions[key]) == 1, f"{key}: nobody can say which stands"
                self.rejects[place] = "conflict"
        self.balances = self._balances(at)

    def _balances(self, at: datetime) -> dict:
        sums: Counter = Counter()
        for key, family in reckoning.families(self.events.values()).items():
            for (account, period, state), tpp in reckoning.reckon(key, family, lambda _: "annual", at)[0].items():
                sums[f"{account}|{period}", state] += tpp
        return {place: tpp for place, tpp in sums.items() if tpp}

    def alerts(self) -> dict[str, str]:
        """Alert id -> of what it tells, for everything that is told whatever the order."""
        due = {
            alert_id("event.conflict" if why == "conflict" else "event.rejected", place): f"{place} is rejected"
            for place, why in self.rejects.items()
        }
        for (source, name), event in self.events.items():
            if event["type"] in STATES_GOODS and event["data"]["destination"] == "CN":
                due[alert_id("tier3.shipment", f"{source}#{name}")] = f"{source}#{name} goes to China"
        return due

    def crossings(self) -> set[tuple]:
        """(kind, account, period, level) of what stands crossed."""
        crossed = set()
        for (place, state), tpp in self.balances.items():
            account, _, period = place.partition("|")
            if state == "posted" and account.removeprefix("country:") in TIER_2:
                levels = [level for level in (75, 90) if tpp * 100 >= level * CAP_TPP]
                crossed |= {("quota.near_cap", account, period, level) for level in levels}
                if tpp > CAP_TPP:
                    crossed.add(("quota.exceeded", account, period, 100))
        return crossed

    # ---------------------------------------------------------------------------------------------------- what is there

    def check_balances(self, found: dict[bytes, bytes]) -> list[str]:
        """What differs in the ledger's balances, as they stand in Redis."""
        there = {}
        for name, record in found.items():
            posted, reserved = map(int, record.split(b" ", 2)[:2])
            there |= {(name.decode(), "posted"): posted, (name.decode(), "reserved"): reserved}
        there = {place: tpp for place, tpp in there.items() if tpp}
        return [
            f"{place}: {there.get(place, 0)}, reckoned {self.balances.get(place, 0)}"
            for place in sorted(there.keys() | self.balances.keys())
            if there.get(place) != self.balances.get(place)
        ]

    def check_rejects(self, records: Iterable) -> list[str]:
        """What differs on the topic of rejects: each reject is there with its reason and bytes, and no other."""
        wrong, there = [], {}
        for record in records:
            told = {name: text.decode() for name, text in record.headers if name.startswith("quota-")}
            place = f"{told['quota-topic']}/{told['quota-partition']}/{told['quota-offset']}"
            there[place] = told["quota-reason"]
            if record.value != self._values.get(place):
                wrong.append(f"{place} was parked with other bytes")
        return wrong + [
            f"{place}: parked as {there.get(place)}, reckoned {self.rejects.get(place)}"
            for place in sorted(there.keys() | self.rejects.keys())
            if there.get(place) != self.rejects.get(place)
        ]

    def check_alerts(self, told: dict[str, dict], received: dict[str, dict]) -> list[str]:
        """What is missing on the topic of alerts (by id) and at the receiver."""
        wrong = [f"never told: {what}" for name, what in self.alerts().items() if name not in told]
        crossed = {(one["kind"], one["account"], one["period"], one["level"]) for one in told.values()}
        wrong += [f"never told: {what}" for what in self.crossings() - crossed]
        wrong += [f"never received: {told[name]['message']}" for name in told.keys() - received.keys()]
        wrong += [f"received, but on no topic: {received[name]['message']}" for name in received.keys() - told.keys()]
        kinds = {name: (told[name]["kind"], received[name]["kind"]) for name in told.keys() & received.keys()}
        return wrong + [
            f"{name} is told as {one} and as {other}" for name, (one, other) in kinds.items() if one != other
        ]
