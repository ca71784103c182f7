"""`python -m tests.benchmarks.growth`: does an event cost the same when something grows?

Workers, partitions, countries in a run, lines in a shipment, duplicates, remembered events: of each a small and a large
amount, in turn, on the command `quota-ledger worker`. And whether a worker's memory stays where it is over millions of
events. Starts its own Kafka and Redis and ends them.
Exit codes: 0 done, 1 a ledger booked other sums than were sent, 69 a part is missing.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ledger.book.keys import Keys
from ledger.book.position import partition_name
from ledger.digests import digest_of_content, digest_of_key
from ledger.policy import load_policy
from streams.embedded.children import end_all
from tests import parts
from tests.benchmarks.deliveries import settings_of_own
from tests.benchmarks.ground import prepared
from tests.benchmarks.measure import Failed, check_books
from tests.benchmarks.traffic import POLICY
from tests.benchmarks.usage import cpu_s, memory_mb, redis_cpu_s

DAY = date(2026, 3, 1)
H100_TPP = load_policy(POLICY).catalogue.find("NVIDIA", "H100 SXM").tpp
REPEATED_WITHIN = 20_000
"""A duplicate says again what one of so many events before it said."""

IDS_AT_ONCE = 1000
SAMPLES = 50
"""How often a worker's memory is looked at."""

SLOW_US = 500
"""Calls of Redis that are shorter are not looked at."""

SETTLED_MAX_S = 300.0

EVENTS_MAX, ROUNDS_MAX, MANY_MAX = 500_000, 9, 20_000_000


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        items: in a line, at most. With 64 the balances of 60,000 events pass every level.
        remembered: events that the ledger knows before the first of these comes.
        duplicates: the share of events that say again what an earlier one said.
    """

    workers: int = 1
    partitions: int = 4
    countries: int = 30
    lines: int = 1
    items: int = 8
    duplicates: float = 0.0
    remembered: int = 0


@dataclass(frozen=True)
class Grown:
    """One comparison: two sizes that differ in one thing, and the ratio of CPU an event that is aimed at."""

    title: str
    small: Size
    large: Size
    aim: float | None = None


BASE = Size()


def comparisons(remembered: int) -> dict[str, Grown]:
    """By the names that `--only` takes."""
    few = remembered // 100
    return {
        "workers": Grown("1 -> 2 workers", BASE, replace(BASE, workers=2), 1.10),
        "remembered": Grown(
            f"{few:,} -> {remembered:,} remembered events",
            replace(BASE, remembered=few),
            replace(BASE, remembered=remembered),
            1.15,
        ),
        "partitions": Grown("1 -> 16 partitions", replace(BASE, partitions=1), replace(BASE, partitions=16)),
        "countries": Grown("1 -> 200 countries in a run", replace(BASE, countries=1), replace(BASE, countries=200)),
        "lines": Grown("1 -> 50 lines a shipment", BASE, replace(BASE, lines=50)),
        "levels": Grown("no level -> every level passed", BASE, replace(BASE, items=64)),
        "duplicates": Grown("0 -> 10 % duplicates", BASE, replace(BASE, duplicates=0.1)),
    }


class Load:
    """Events of one size, and what a ledger must say after them."""

    def __init__(self, size: Size, count: int) -> None:
        self.size, self.count = size, count
        self.expected: Counter[str] = Counter()
        self.new = 0
        policy = load_policy(POLICY)
        capped = [
            code for code in sorted(policy.countries) if policy.standing(code, DAY).tier != 3
        ]  # no alert for each
        self._countries = ["IN"] if size.countries == 1 else capped[: size.countries]

    def values(self) -> Iterator[bytes]:
        """The records, in order."""
        chance = random.Random("growth")
        said: list[bytes] = []
        for number in range(self.count):
            if said and chance.random() < self.size.duplicates:
                yield said[-chance.randint(1, min(len(said), REPEATED_WITHIN))]
                continue
            country, quantity = self._countries[number % len(self._countries)], chance.randint(1, self.size.items)
            lines = [{"model": "H100 SXM", "quantity": quantity}] * self.size.lines
            event = {
                "id": f"evt-{chance.getrandbits(32):08x}-{number:07d}", "shipped_at": f"{DAY}T08:00:00Z",
                "destination": country, "lines": lines,
            }  # fmt: skip
            self.expected[f"country:{country}|{DAY.year}"] += H100_TPP * quantity * self.size.lines
            self.new += 1
            value = json.dumps(event).encode()
            if self.size.duplicates:
                said.append(value)
            yield value


@dataclass(frozen=True)
class Cost:
    """Of one event, and the slowest call that Redis took meanwhile."""

    cpu_us: float
    redis_us: float
    slowest_ms: float


def measure(ground, folder, size: Size, events: int) -> Cost:
    """What an event costs, once a quarter as many are settled, on a new ledger that has all of them before it."""
    load = Load(size, events + events // 4)
    values = list(load.values())
    ground.redis.flushall()
    with at_work(ground, folder, size) as ledger:
        remember(ground.redis, ledger.keys, size.remembered)
        ground.redis.config_set("slowlog-log-slower-than", SLOW_US)
        ground.redis.slowlog_reset()
        for worker in ledger.workers:
            worker.signal(signal.SIGSTOP)
        ground.produce(ledger.topic, values, size.partitions)
        for worker in ledger.workers:
            worker.signal(signal.SIGCONT)
        first, second = ledger.mark(events // 4), ledger.mark(load.count)
        slowest_us = max((entry["duration"] for entry in ground.redis.slowlog_get(128)), default=0)
        check_books(
            ground.redis, "a worker", ledger.keys.ledger, kept=load.new + size.remembered, expected=load.expected
        )
    settled, cpu, redis_cpu = (after - before for before, after in zip(first, second, strict=True))
    return Cost(cpu / settled * 1e6, redis_cpu / settled * 1e6, slowest_us / 1e3)


def soak(ground, folder, events: int) -> dict[str, object]:
    """A worker's memory while it settles so many events, looked at from the first tenth on."""
    load = Load(BASE, events)
    values, seen = load.values(), []
    ground.redis.flushall()
    with at_work(ground, folder, BASE) as ledger:
        for sample in range(SAMPLES):
            ends = events * (sample + 1) // SAMPLES
            ground.produce(ledger.topic, islice(values, ends - events * sample // SAMPLES), BASE.partitions)
            ledger.mark(ends)
            seen.append(memory_mb(ledger.workers[0].pid, "VmRSS"))
        check_books(ground.redis, "a worker", ledger.keys.ledger, kept=events, expected=load.expected)
    steady = seen[SAMPLES // 10 :]
    return {
        "events": events,
        "median_mb": median(steady),
        "lowest_mb": min(steady),
        "highest_mb": max(steady),
        "redis_bytes": round(ground.redis.info("memory")["used_memory"] / events),
    }


def remember(redis, keys: Keys, count: int) -> None:
    """Have a ledger know so many events, as it would have noted them; where they lie in the journal is made up."""
    for start in range(0, count, IDS_AT_ONCE):
        known = {}
        for number in range(start, min(start + IDS_AT_ONCE, count)):
            event_id = f"remembered-{number}"
            place = (number // 1000).to_bytes(5, "big") + (number % 1000).to_bytes(2, "big")
            known[digest_of_key("/remembered", event_id)] = digest_of_content(event_id.encode()) + place
        redis.hset(keys.ids, mapping=known)


@contextmanager
def at_work(ground, folder, size: Size):
    """A new ledger with an empty topic, and workers that share its partitions."""
    settings = settings_of_own(ground, folder, size.partitions)
    processes = parts.Processes(folder, ground.register)
    try:
        for number in range(size.workers):
            own = settings.model_copy(update={"state_dir": folder / f"{settings.ledger}-{number}"})
            processes.start("worker", own)
        ledger = LedgerAtWork(ground.redis, settings, processes.all, size.partitions)
        if not ground.broker.stand_in:
            _wait_for_group(settings, size.workers)
        yield ledger
    finally:
        end_all(processes.all)


class LedgerAtWork:
    """What is asked of a ledger while its workers are at work."""

    def __init__(self, redis, settings, workers, partitions) -> None:
        self.topic, self.keys, self.workers = settings.topic_shipments, Keys(settings.ledger), workers
        self._redis = redis
        self._fields = [f"checkpoint:{partition_name(self.topic, number)}" for number in range(partitions)]

    def mark(self, settled: int) -> tuple[int, float, float]:
        """Wait until so many records are settled; how many are, and the CPU seconds of the workers and of Redis."""
        until = time.monotonic() + SETTLED_MAX_S
        while (count := self._settled()) < settled:
            for worker in self.workers:
                if worker.exit_code() is not None:
                    raise Failed(f"a worker ended:\n{worker.log_tail()}")
            if time.monotonic() > until:
                raise Failed(f"after {SETTLED_MAX_S:g} s {count} records of {settled} are settled")
            time.sleep(0.005)
        return count, sum(cpu_s(worker.pid) for worker in self.workers), redis_cpu_s(self._redis)

    def _settled(self) -> int:
        return sum(int(checkpoint or -1) + 1 for checkpoint in self._redis.hmget(self.keys.meta, self._fields))


def _wait_for_group(settings, members: int) -> None:
    group, admin = f"quota-ledger-{settings.ledger}", KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)

    def is_complete() -> bool:
        try:
            told = admin.describe_groups([group])[group]
        except KafkaError:  # nobody has asked for a coordinator yet
            return False
        return told["group_state"] == "Stable" and len(told["members"]) == members

    try:
        parts.wait_until(is_complete, "the workers' group")
    finally:
        admin.close()


def row(grown: Grown, pairs: Sequence[tuple[Cost, Cost]]) -> dict[str, object]:
    """Medians over the rounds; the ratio is that of a round's own two measurements."""

    def middle(which: int) -> dict[str, float]:
        costs = [asdict(pair[which]) for pair in pairs]
        return {name: round(median(cost[name] for cost in costs), 2) for name in costs[0]}

    ratio = median(large.cpu_us / small.cpu_us for small, large in pairs)
    return {"what": grown.title, "small": middle(0), "large": middle(1), "ratio": round(ratio, 2), "aim": grown.aim}


def table(told) -> str:
    """A comparison a line."""
    heads = ("CPU µs an event", "ratio", "aim", "Redis CPU µs", "slowest call, ms")
    widths = (18, 8, 8, 18, 18)

    def line(title: str, cells: Iterable[str]) -> str:
        return title.ljust(42) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))

    lines = [line("", heads)]
    for one in told["rows"]:
        small, large = one["small"], one["large"]
        cells = (
            f"{small['cpu_us']:.1f} -> {large['cpu_us']:.1f}",
            f"{one['ratio']:.2f}",
            f"<= {one['aim']:.2f}" if one["aim"] else "-",
            f"{small['redis_us']:.1f} -> {large['redis_us']:.1f}",
            f"{small['slowest_ms']:.0f} -> {large['slowest_ms']:.0f}",
        )
        lines.append(
            one["what"].ljust(42) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        )
    if memory := told["memory"]:
        lowest, highest = (memory[name] / memory["median_mb"] - 1 for name in ("lowest_mb", "highest_mb"))
        lines.append(
            f"memory of a worker over {memory['events']:,} events: {memory['median_mb']:.0f} MB, {lowest:+.0%} to "
            f"{highest:+.0%} from the first tenth on; aim: within 10 %; Redis: {memory['redis_bytes']} bytes an event"
        )
    return "\n".join(lines)


def main() -> None:
    told = _arguments()
    chosen = {name: grown for name, grown in comparisons(told.remembered).items() if name in told.only}
    pairs: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in chosen}
    memory = None
    with tempfile.TemporaryDirectory(prefix="quota-growth-") as made:
        folder = Path(made)
        try:
            with prepared(folder, allow_stand_ins=told.short) as ground:
                for _ in range(told.rounds):
                    for name, grown in chosen.items():
                        costs = [measure(ground, folder, size, told.events) for size in (grown.small, grown.large)]
                        pairs[name].append((costs[0], costs[1]))
                        ratio = costs[1].cpu_us / costs[0].cpu_us
                        print(f"{grown.title}: {ratio:.2f}", file=sys.stderr, flush=True)
                if "memory" in told.only:
                    memory = soak(ground, folder, told.soak)
                done = {
                    "machine": ground.machine(),
                    "events": told.events,
                    "rounds": told.rounds,
                    "rows": [row(grown, pairs[name]) for name, grown in chosen.items()],
                    "memory": memory,
                }
        except parts.NotHere as missing:
            sys.exit(_wrong(f"needs a real Kafka and a real Redis: {missing}", 69))
        except Failed as failure:
            sys.exit(_wrong(str(failure), 1))
    print(json.dumps(done, indent=2) if told.json else table(done))


def _arguments() -> argparse.Namespace:
    names = [*comparisons(1), "memory"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description="What grows with what.")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some lines only")
    parser.add_argument("--events", type=int, choices=range(1, EVENTS_MAX + 1), default=60_000, metavar="N")
    parser.add_argument("--rounds", type=int, choices=range(1, ROUNDS_MAX + 1), default=3, metavar="N")
    parser.add_argument("--remembered", type=int, choices=range(1, MANY_MAX + 1), default=10_000_000, metavar="N")
    parser.add_argument("--soak", type=int, choices=range(1, MANY_MAX + 1), default=5_000_000, metavar="N")
    parser.add_argument("--short", action="store_true", help="prove that it runs; the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    told = parser.parse_args()
    if told.short:
        vars(told).update(events=2000, rounds=1, remembered=2000, soak=2000)
    return told


def _wrong(text: str, code: int) -> int:
    print(f"tests.benchmarks.growth: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
