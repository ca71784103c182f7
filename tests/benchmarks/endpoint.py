"""What a call of the endpoint costs, beside a FastAPI route that does nothing, in one run.

`python -m tests.benchmarks.endpoint` starts a Redis, the command `quota-ledger api` and a server with one empty route,
and asks each in turn, round after round. CPU µs a call are the server process's; Redis' are beside them, not in them.
Exit codes: 0 done, 69 no redis-server is here.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from fastapi import FastAPI
from redis import Redis

from ledger.book.script import connect
from ledger.policy import load_policy
from streams.embedded.children import Child, Register, end_all
from streams.embedded.valkey import free_port
from tests import parts
from tests.benchmarks.usage import cpu_s, redis_cpu_s
from tests.live_redis.adopting import adopt
from tests.live_redis.booking import Desk

CALLS_MAX, ROUNDS_MAX, CONNECTIONS = 50_000, 25, 8
ROWS = (("empty route", "/", {}), ("all balances", "/v1/quotas", {}), ("304", "/v1/quotas", {"held": True}))


def empty() -> None:
    """A server whose one route answers an empty object, configured as the endpoint's."""
    import uvicorn

    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def _nothing() -> dict[str, str]:
        return {}

    uvicorn.run(app, port=int(sys.argv[2]), log_config=None, log_level="warning", access_log=False, server_header=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.endpoint", description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    calls, rounds = min(told.calls, CALLS_MAX), min(told.rounds, ROUNDS_MAX)
    with tempfile.TemporaryDirectory(prefix="quota-endpoint-") as folder:
        try:
            rows = asyncio.run(_measured(Path(folder), calls, rounds))
        except parts.NotHere as missing:
            print(f"tests.benchmarks.endpoint: needs a real Redis: {missing}", file=sys.stderr)
            sys.exit(69)
    document = {"calls": calls, "rounds": rounds, "connections": CONNECTIONS, "rows": rows}
    print(json.dumps(document, indent=2) if told.json else _table(document))


async def _measured(folder: Path, calls: int, rounds: int) -> list[dict[str, object]]:
    register = Register(folder / "pids")
    register.open_guard()
    children: list[Child] = []
    try:
        with parts.redis_server(folder, register) as server:
            await _book(server.url)
            ports = {"empty route": free_port(), "endpoint": free_port()}
            environment = parts.environment_without_settings() | {
                "QUOTA_REDIS_URL": server.url,
                "QUOTA_LEDGER": "bench",
                "QUOTA_KAFKA_BOOTSTRAP": "127.0.0.1:1",
                "QUOTA_HTTP_PORT": str(ports["endpoint"]),
                "QUOTA_AUTH": "off",
            }
            commands = {
                "empty route": ["-m", "tests.benchmarks.endpoint", "empty", str(ports["empty route"])],
                "endpoint": ["-m", "streams.cli.main", "api"],
            }
            for name, command in commands.items():
                child = Child(
                    name, [sys.executable, *command], log=folder / name, register=register, environment=environment
                )
                children.append(child)
                parts.wait_until(lambda port=ports[name]: parts.listens(port), name)
            spent: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in ROWS}
            redis = Redis.from_url(server.url)
            for _ in range(rounds + 1):  # the first warms up
                for name, path, asked in ROWS:
                    which = 0 if name == "empty route" else 1
                    caller = _Caller(list(ports.values())[which], path, held=bool(asked))
                    before, redis_before = cpu_s(children[which].process.pid), redis_cpu_s(redis)
                    took = await caller.call(calls)
                    cpu_us = (cpu_s(children[which].process.pid) - before) / calls * 1e6
                    redis_us = (redis_cpu_s(redis) - redis_before) / calls * 1e6
                    spent[name].append((cpu_us, redis_us, calls / took, caller.size))
            redis.close()
    finally:
        end_all(children)
        register.close_guard()
    floor = median(one[0] for one in spent["empty route"][1:])
    return [_row(name, measured[1:], floor) for name, measured in spent.items()]


def _row(name: str, measured: Sequence[tuple[float, ...]], floor_us: float) -> dict[str, object]:
    cpu_us, redis_us, calls_s = (median(one[column] for one in measured) for column in range(3))
    return {
        "row": name,
        "cpu_us": round(cpu_us, 1),
        "redis_cpu_us": round(redis_us, 1),
        "calls_s": round(calls_s),
        "bytes": measured[0][3],
        "of_empty": round(floor_us / cpu_us, 2) if cpu_us else None,  # too few calls for the clock
    }


def _table(document: dict) -> str:
    head = f"{'':<16}{'CPU µs a call':>15}{'Redis CPU µs':>15}{'calls/s':>10}{'bytes':>10}{'of the empty route':>20}"
    lines = [
        f"{row['row']:<16}{row['cpu_us']:>15}{row['redis_cpu_us']:>15}{row['calls_s']:>10,}{row['bytes']:>10,}"
        f"{row['of_empty'] or '-':>20}"
        for row in document["rows"]
    ]
    said = f"medians of {document['rounds']} rounds of {document['calls']:,} calls on {CONNECTIONS} connections"
    return "\n".join([said, head, *lines])


async def _book(url: str) -> None:
    """A ledger in which every third country has a balance."""
    redis, policy = connect(url), load_policy("annual-50k")
    desk = Desk(redis, "bench", policy)
    desk.rules = await adopt(redis, "bench", policy)
    line = {"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 100}
    shipped = {"shipped_at": "2026-03-01T00:00:00Z", "lines": [line]}
    await desk.post(0, [shipped | {"id": code, "destination": code} for code in sorted(policy.countries)[::3]])
    await redis.aclose()


class _Caller:
    """Asks one path on several connections at once, each waiting for its answer."""

    def __init__(self, port: int, path: str, *, held: bool) -> None:
        self._port, self._path, self._held = port, path, held
        self.size = 0

    async def call(self, calls: int) -> float:
        """Ask so many times; returns how long it took, in seconds."""
        self._tag = ""
        if self._held:
            await self._connection(1, note_tag=True)
        began = time.perf_counter()
        await asyncio.gather(*(self._connection(calls // CONNECTIONS) for _ in range(CONNECTIONS)))
        return time.perf_counter() - began

    async def _connection(self, calls: int, *, note_tag: bool = False) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        held = f"If-None-Match: {self._tag}\r\n" if self._tag else ""
        request = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{held}\r\n".encode()
        for _ in range(calls):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = int(head.split(" ", 2)[1])
            if status != (304 if held else 200):
                raise RuntimeError(f"{self._path} answered {status}")
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            self.size = int(fields.get("content-length", 0))
            await reader.readexactly(self.size)
            if note_tag:
                self._tag = fields["etag"]
        writer.close()


if __name__ == "__main__":
    empty() if sys.argv[1:2] == ["empty"] else main()
