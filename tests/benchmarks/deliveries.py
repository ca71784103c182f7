"""`python -m tests.benchmarks.deliveries`: how long an alert takes, while some receivers fail in every way they can.

The whole way: a shipment to Tier 3 is produced, a worker books it and tells of it, a sender posts it to every webhook.
Measured is the time from before the shipment was produced until a healthy receiver has its POST, on one machine's
clock, once with healthy receivers alone and once with bad ones beside them. Starts its own Kafka and Redis and ends
them. Exit codes: 0 done, 1 healthy receivers waited more than twice as long or lack an alert, 69 a part is missing.
"""

import argparse
import asyncio
import json
import re
import socket
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from threading import Thread

from pydantic import SecretStr

from schemas.webhook import WebhookRequest
from streams.embedded.children import end_all
from streams.kafka.producer import make_producer, send_all
from streams.settings import Settings
from streams.webhooks.subscription import SecretBox, create
from tests import parts
from tests.benchmarks.ground import prepared
from tests.benchmarks.usage import cpu_s, memory_mb

ALERTS_MAX, RATE_MAX, ENDPOINTS_MAX = 50_000, 2_000, 100
WARM_UP = 20
"""Alerts that are told and not measured: connections are made, code is loaded."""

DONE_MAX_S = 900.0
TIMES_MAX = 2.0
_PRODUCED = re.compile(rb'"shipment_id":"P-([0-9]+)"')
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receivers:
    """Every receiver, on one port of this process: `/good/N`, and ways of being bad."""

    def __init__(self) -> None:
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.loop = asyncio.new_event_loop()
        self.open: set[asyncio.Task] = set()
        self.port = 0

    async def _serve(self, reader, writer) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode()
            body = await reader.readexactly(int(_LENGTH.search(head)[1]))
            if path.startswith("/good/"):
                if (produced := _PRODUCED.search(body)) is not None:
                    self.latencies[path].append(time.time() - int(produced[1]) / 1e9)
                writer.write(_OK)
            else:
                await getattr(self, f"_{path.split('/')[1]}")(writer)

    async def _slow(self, writer) -> None:
        await asyncio.sleep(5)
        writer.write(_OK)

    async def _hanging(self, _writer) -> None:
        await asyncio.sleep(3600)

    async def _redirecting(self, writer) -> None:
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nlocation: /good/0\r\ncontent-length: 0\r\n\r\n")

    async def _lying(self, writer) -> None:
        """A success with a body that is neither as long nor packed as it says, and never ends."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\ncontent-encoding: gzip\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def _handle(self, reader, writer) -> None:
        task = asyncio.current_task()
        self.open.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self.open.discard(task)
        writer.close()

    async def _end(self) -> None:
        """Let go of every connection that still hangs."""
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    @contextmanager
    def listening(self):
        """Serve in a thread."""

        async def start() -> None:
            server = await asyncio.start_server(self._handle, "127.0.0.1", 0, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]

        self.loop.run_until_complete(start())
        thread = Thread(target=self.loop.run_forever, daemon=True)
        thread.start()
        yield self
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        thread.join()
        self.loop.close()


BAD = ("down", "slow", "hanging", "redirecting", "lying")


def measure(ground, folder, register, told, bad_count):
    """One run on a ledger of its own: what healthy receivers saw, and what the sender took."""
    settings = settings_of_own(ground, folder, told.partitions)
    good_count = told.endpoints - told.bad
    with Receivers().listening() as receivers, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        base, down = (f"http://127.0.0.1:{port}" for port in (receivers.port, closed.getsockname()[1]))
        urls = [f"{base}/good/{number}" for number in range(good_count)]
        urls += [f"{down if way == 'down' else base}/{way}/{way}" for way in islice(cycle(BAD), bad_count)]
        producer, processes = make_producer(settings), parts.Processes(folder, register)
        try:
            subscribe(producer, settings, urls)
            worker = processes.start("worker", settings)
            sender = processes.start("sender", settings)
            _tell(producer, settings, WARM_UP, told.rate)
            _wait(receivers, good_count, WARM_UP)
            for latencies in receivers.latencies.values():
                latencies.clear()
            began, before_s = time.monotonic(), cpu_s(worker.process.pid)
            _tell(producer, settings, told.alerts, told.rate)
            _wait(receivers, good_count, told.alerts)
            found = sorted(latency for seen in receivers.latencies.values() for latency in seen)
            return {
                "bad": bad_count,
                "deliveries": len(found),
                "seconds": round(time.monotonic() - began, 1),
                "p50_ms": quantile_ms(found, 0.5),
                "p99_ms": quantile_ms(found, 0.99),
                "max_ms": quantile_ms(found, 1),
                "worker_cpu_us": round((cpu_s(worker.process.pid) - before_s) / told.alerts * 1e6),
                "sender_peak_mb": memory_mb(sender.process.pid, "VmHWM"),
            }
        finally:
            end_all(processes.all)
            producer.close(timeout=5)


def settings_of_own(ground, folder, partitions):
    """The settings of a new ledger with topics of its own, whose webhooks may reach this machine."""
    unique = uuid.uuid4().hex[:8]
    topics = {f"topic_{name}": f"{name}-{unique}" for name in ("shipments", "rejected", "alerts", "settings")}
    for name, topic in topics.items():
        ground.broker.make_topic(topic, partitions if name == "topic_shipments" else 1)
    return Settings(
        kafka_bootstrap=ground.broker.bootstrap,
        kafka_api_version=ground.broker.api_version,
        redis_url=SecretStr(ground.server.url),
        ledger=f"benchmark-{unique}",
        auth="off",
        secret_key=SecretStr("a key of the benchmark"),
        webhook_allow="127.0.0.0/8",
        state_dir=folder / unique,
        **topics,
    )


def subscribe(producer, settings, urls) -> None:
    """Have the ledger's sender post every alert to each of these."""
    box = SecretBox(settings.secret_key)
    hooks = [create(WebhookRequest(url=url), box, now=datetime.now(UTC))[0] for url in urls]
    send_all(producer, settings.topic_settings, [(hook.setting_key.encode(), hook.to_record(), []) for hook in hooks])


def paced(count, rate):
    """The numbers of so many events, each when its time has come at a steady rate (a second)."""
    began = time.monotonic()
    for number in range(count):
        if (early_s := began + number / rate - time.monotonic()) > 0:
            time.sleep(early_s)
        yield number


def shipment(produced_ns, number, destination):
    """A record's value: one H100, produced at that moment, which receivers find in the alert that it gives rise to."""
    value = {
        "id": f"{produced_ns}-{number}", "shipment_id": f"P-{produced_ns}", "shipped_at": "2026-03-01T00:00:00Z",
        "destination": destination, "lines": [{"model": "H100 SXM", "quantity": 1}],
    }  # fmt: skip
    return json.dumps(value).encode()


def _tell(producer, settings, count, rate) -> None:
    """Produce shipments to Tier 3, each of which is one alert."""
    for number in paced(count, rate):
        producer.send(settings.topic_shipments, value=shipment(time.time_ns(), number, "KP"))
    producer.flush(60)


def _wait(receivers, good_count, count) -> None:
    until = time.monotonic() + DONE_MAX_S
    while len(receivers.latencies) < good_count or min(map(len, receivers.latencies.values())) < count:
        if time.monotonic() > until:
            seen = sorted(map(len, receivers.latencies.values()))
            sys.exit(_wrong(f"after {DONE_MAX_S:g} s healthy receivers have {seen} of {count} alerts each", 1))
        time.sleep(0.05)


def quantile_ms(found, share):
    """Of sorted seconds."""
    return round(1000 * found[min(len(found) - 1, int(share * len(found)))], 1)


def table(rows) -> str:
    """The runs, one a line, and how much longer the slowest hundredth took beside bad receivers."""
    names = ("bad", "deliveries", "seconds", "p50_ms", "p99_ms", "max_ms", "worker_cpu_us", "sender_peak_mb")
    heads = ("bad receivers", "healthy deliveries", "seconds", "p50 ms", "p99 ms", "max ms")
    heads += ("worker's CPU µs a shipment", "sender's peak MB")
    widths = [max(len(head), 9) for head in heads]
    lines = ["  ".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))]
    lines += [
        "  ".join(f"{row[name]:,}".rjust(width) for name, width in zip(names, widths, strict=True)) for row in rows
    ]
    told = f"p99 {_times(rows, 'p99_ms'):.2f} times, the worker's CPU {_times(rows, 'worker_cpu_us'):.2f} times"
    return "\n".join([*lines, f"beside bad receivers: {told} that without"])


def _times(rows, name) -> float:
    alone, beside = rows
    return beside[name] / alone[name]


def main() -> None:
    told = _arguments()
    rows = []
    with tempfile.TemporaryDirectory(prefix="quota-deliveries-") as name:
        try:
            with prepared(Path(name), allow_stand_ins=told.short) as ground:
                for bad_count in (0, told.bad):
                    folder = Path(name) / f"{bad_count}-bad"
                    folder.mkdir()
                    rows.append(measure(ground, folder, ground.register, told, bad_count))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        except parts.NotHere as missing:
            sys.exit(_wrong(f"needs a real Kafka and a real Redis: {missing}", 69))
    done = {"rate": told.rate, "alerts": told.alerts, "runs": rows, "stand_ins": ground.stand_ins}
    print(json.dumps(done, indent=2) if told.json else table(rows))
    if _times(rows, "p99_ms") > TIMES_MAX and not told.short:
        sys.exit(_wrong(f"healthy receivers waited more than {TIMES_MAX:g} times as long", 1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deliveries", description="How long alerts take.")
    parser.add_argument("--alerts", type=int, choices=range(1, ALERTS_MAX + 1), default=10_000, metavar="N")
    parser.add_argument(
        "--rate", type=int, choices=range(1, RATE_MAX + 1), default=10, metavar="N", help="alerts a second"
    )
    parser.add_argument("--endpoints", type=int, choices=range(2, ENDPOINTS_MAX + 1), default=20, metavar="N")
    parser.add_argument("--bad", type=int, choices=range(1, ENDPOINTS_MAX), default=5, metavar="N", help="of them")
    parser.add_argument("--partitions", type=int, choices=range(1, 65), default=4, metavar="N")
    parser.add_argument("--short", action="store_true", help="prove that it runs; the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    told = parser.parse_args()
    if told.short:
        vars(told).update(alerts=20, rate=20, endpoints=7, partitions=1)
    if told.bad >= told.endpoints:
        parser.error("--bad: some receivers are to be healthy")
    return told


def _wrong(text: str, code: int) -> int:
    print(f"tests.benchmarks.deliveries: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
