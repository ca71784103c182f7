"""`python -m tests.benchmarks.latency`: how soon a shipment is seen, idle and under load.

Measured from before a shipment is produced, by one clock: until Kafka has acknowledged it, until Redis shows it in its
country's balance, until the endpoint does, and, for the few that ship to Tier 3, until a receiver has the POST that
tells of it. Worker, sender, api, Kafka, Redis and the measuring itself share one machine. Starts its own Kafka and
Redis and ends them.
Exit codes: 0 done, 1 a shipment was not seen in time, 69 a part is missing.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from confluent_kafka import Producer
from redis import Redis

from ledger.book.account import account_of, field_of
from ledger.book.keys import Keys
from ledger.policy import load_policy
from streams.embedded.children import end_all
from streams.embedded.valkey import free_port
from streams.kafka.producer import make_producer
from tests import parts
from tests.benchmarks.deliveries import Receivers, paced, quantile_ms, settings_of_own, shipment, subscribe
from tests.benchmarks.ground import prepared
from tests.benchmarks.traffic import POLICY

H100_TPP = load_policy(POLICY).catalogue.find("NVIDIA", "H100 SXM").tpp
COUNTRIES = ("IN", "BR", "MX", "PL")
"""Where shipments go, one country a partition: so a balance grows in the order in which they were produced."""

ALARMING = "KP"
"""In Tier 3; on the first partition."""

ALERTS_S = 4
"""Shipments to Tier 3 a second: alerts are measured beside the load, they are not the load."""

REDIS_PAUSE_S, ENDPOINT_PAUSE_S = 0.001, 0.01
"""How long is waited between two looks."""

POLL_S = 0.1
"""How long the producer waits for an acknowledgement that it can hand on."""

SEEN_MAX_S, SECONDS_MAX, WARM_UP = 60.0, 300, 40
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Phase:
    """Shipments at one rate a second to so many countries, and the slowest hundredth that is aimed at."""

    name: str
    rate: int
    countries: int
    aim_ms: int | None = None


PHASES = (Phase("idle", 8, 1, aim_ms=50), Phase("100/s", 100, 4), Phase("1,000/s", 1000, 4, aim_ms=100))
"""With 8 a second each shipment finds the system idle."""


class Watch:
    """Notes for each shipment since when it has been in its country's balance.

    Attributes:
        moments: nanoseconds since 1970, by country, in the order of producing.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._read = read
        self.moments: defaultdict[str, list[int]] = defaultdict(list)

    def look(self) -> None:
        """Look at the balances."""
        for country, count in self._read():
            seen = self.moments[country]
            seen += [time.time_ns()] * (count - len(seen))


@contextmanager
def repeating(step: Callable[[], object], pause_s: float):
    """Have a thread take a step again and again."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(pause_s):
            step()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def in_redis(settings):
    """Reads how many shipments are in each country's balance, by one command."""
    redis, keys = Redis.from_url(settings.redis_url.get_secret_value()), Keys(settings.ledger)
    fields = {country: field_of(f"country:{country}", "2026") for country in (*COUNTRIES, ALARMING)}

    def read():
        records = redis.hmget(keys.balances, list(fields.values()))
        for (country, field), record in zip(fields.items(), records, strict=True):
            if record is not None:
                yield country, account_of(field, record).posted_tpp // H100_TPP

    return read


def by_endpoint(settings):
    """Reads the same of the first country, by a call on a connection that stays open."""
    connection = http.client.HTTPConnection(HOST, settings.http_port, timeout=10)

    def read():
        connection.request("GET", f"/v1/quotas/{COUNTRIES[0]}?period=2026")
        yield COUNTRIES[0], json.loads(connection.getresponse().read())["posted_tpp"] // H100_TPP

    return read


class Measuring:
    """A ledger at work, what was sent to it, and all who look on."""

    def __init__(self, settings, producer, redis: Watch, endpoint: Watch, receivers: Receivers) -> None:
        self._settings, self._producer = settings, producer
        self._watches, self._receivers = {"redis": redis, "endpoint": endpoint}, receivers
        self._sent: defaultdict[str, list[int]] = defaultdict(list)
        self._acknowledged_s: list[float] = []
        self._alerts = 0

    def run(self, phase: Phase, count: int) -> dict[str, object]:
        """Produce so many shipments at the phase's rate, wait until all were seen, and tell how soon they were."""
        before = {country: len(sent) for country, sent in self._sent.items()}
        for latencies in self._receivers.latencies.values():
            latencies.clear()
        self._acknowledged_s.clear()
        self._alerts = 0
        for number in paced(count, phase.rate):
            self._send(number, phase)
        self._producer.flush(SEEN_MAX_S)
        self._wait()
        found = {"kafka": sorted(self._acknowledged_s)}
        found |= {name: sorted(self._latencies_s(watch, before)) for name, watch in self._watches.items()}
        found["webhook"] = sorted(one for seen in self._receivers.latencies.values() for one in seen)
        return {"phase": phase.name, "shipments": count, "aim_ms": phase.aim_ms} | {
            name: {"seen": len(latencies)} | {f"p{share}_ms": quantile_ms(latencies, share / 100) for share in (50, 99)}
            for name, latencies in found.items()
        }

    def _send(self, number: int, phase: Phase) -> None:
        if number % (phase.rate // ALERTS_S) == 0:
            country, partition = ALARMING, 0
            self._alerts += 1
        else:
            partition = number % phase.countries
            country = COUNTRIES[partition]
        produced_ns = time.time_ns()
        self._sent[country].append(produced_ns)
        value = shipment(produced_ns, number, country)

        def note(_failure, _message) -> None:
            self._acknowledged_s.append((time.time_ns() - produced_ns) / 1e9)

        self._producer.produce(self._settings.topic_shipments, value, partition=partition, on_delivery=note)

    def _latencies_s(self, watch: Watch, before: dict[str, int]):
        for country, seen in watch.moments.items():
            first = before.get(country, 0)
            yield from ((at - sent) / 1e9 for at, sent in zip(seen[first:], self._sent[country][first:], strict=True))

    def _wait(self) -> None:
        until = time.monotonic() + SEEN_MAX_S
        while lacking := self._lacking():
            if time.monotonic() > until:
                sys.exit(_wrong(f"after {SEEN_MAX_S:g} s not seen: {lacking}", 1))
            time.sleep(0.05)

    def _lacking(self) -> dict[str, int]:
        lacking = {
            "redis": sum(map(len, self._sent.values())) - sum(map(len, self._watches["redis"].moments.values())),
            "endpoint": len(self._sent[COUNTRIES[0]]) - len(self._watches["endpoint"].moments[COUNTRIES[0]]),
            "webhook": self._alerts - sum(map(len, self._receivers.latencies.values())),
        }
        return {name: count for name, count in lacking.items() if count}


def measure(ground, folder, seconds):
    """Every phase, on one new ledger."""
    settings = settings_of_own(ground, folder, len(COUNTRIES)).model_copy(update={"http_port": free_port()})
    processes, told = parts.Processes(folder, ground.register), make_producer(settings)
    try:
        for command in ("worker", "sender", "api"):
            processes.start(command, settings)
        parts.wait_until(lambda: parts.listens(settings.http_port), "the endpoint")
        with Receivers().listening() as receivers:
            subscribe(told, settings, [f"http://{HOST}:{receivers.port}/good/0"])
            kept, keys = ground.redis, Keys(settings.ledger)
            parts.wait_until(lambda: kept.hlen(keys.webhooks), "the webhook")
            parts.wait_until(lambda: kept.hexists(keys.meta, "policy"), "a policy, without which nothing is answered")
            redis, endpoint = Watch(in_redis(settings)), Watch(by_endpoint(settings))
            producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "acks": "all", "linger.ms": 0})
            with (
                repeating(redis.look, REDIS_PAUSE_S),
                repeating(endpoint.look, ENDPOINT_PAUSE_S),
                repeating(lambda: producer.poll(POLL_S), 0),
            ):
                measuring = Measuring(settings, producer, redis, endpoint, receivers)
                measuring.run(PHASES[0], WARM_UP)
                return [measuring.run(phase, phase.rate * seconds) for phase in PHASES]
    finally:
        end_all(processes.all)
        told.close(timeout=5)


def table(rows) -> str:
    """A phase a line; how soon, in ms: half of the shipments, and all but the slowest hundredth."""
    heads = {
        "kafka": "Kafka has it",
        "redis": "balance in Redis",
        "endpoint": "by the endpoint",
        "webhook": "webhook received",
    }
    lines = ["ms from producing, p50 / p99".ljust(30) + "".join(head.rjust(18) for head in heads.values())]
    for row in rows:
        cells = [f"{row[name]['p50_ms']:g} / {row[name]['p99_ms']:g}".rjust(18) for name in heads]
        aim = f"   aim: p99 of the balance under {row['aim_ms']}" if row["aim_ms"] else ""
        lines.append(f"{row['phase']}, {row['shipments']:,} shipments".ljust(30) + "".join(cells) + aim)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.latency", description="How soon a shipment is seen."
    )
    parser.add_argument(
        "--seconds", type=int, choices=range(1, SECONDS_MAX + 1), default=20, metavar="N", help="a phase"
    )
    parser.add_argument("--short", action="store_true", help="prove that it runs; the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quota-latency-") as name:
        try:
            with prepared(Path(name), allow_stand_ins=told.short) as ground:
                rows = measure(ground, Path(name), 1 if told.short else told.seconds)
                done = {"machine": ground.machine(), "phases": rows}
        except parts.NotHere as missing:
            sys.exit(_wrong(f"needs a real Kafka and a real Redis: {missing}", 69))
    print(json.dumps(done, indent=2) if told.json else table(rows))


def _wrong(text: str, code: int) -> int:
    print(f"tests.benchmarks.latency: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
