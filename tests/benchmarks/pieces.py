"""What each step of the worker's own work on a run costs, in memory: for finding out what a change of code brought.

`python -m tests.benchmarks.pieces` prints the least time of each step in µs an event; `--against FOLDER` does the same
with the code of another clone in turn, so that a noisy machine is noisy for both. No Kafka, no Redis: the script's call
is answered at once. The least of many turns is told, not the median: what others do on the machine only adds to it.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from redis.asyncio import Redis

from ledger.book.post import Book
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from streams.debit_shipments import judge
from streams.kafka.run import Run
from tests import parts
from tests.benchmarks.job import GC_THRESHOLD
from tests.benchmarks.traffic import KINDS, POLICY, shipments

STEPS = {
    "read": "read_event",
    "assess": "read_event and assess, less reading",
    "keep": "the worker's judge, less both: digests, and what posting needs",
    "post": "everything of Book.post but the call itself: ids, sums, journal, arguments",
}
RECORDS = 1000
TURNS = 50
_RUN_HERE = """
import sys, runpy
file, turns = sys.argv[1:]
sys.argv[1:] = '--here', turns
runpy.run_path(file, run_name='__main__')
"""
_FIRST_MS = 1_790_000_000_000


class _Unsent(Book):
    """Posts to nowhere."""

    async def call(self, *_: object) -> list[bytes]:
        return [b"posted"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pieces", description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another clone of this repository")
    parser.add_argument("--turns", type=int, default=3, choices=range(1, 21), metavar="1-20", help="of each clone")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    parser.add_argument("--short", action="store_true", help="prove that it runs; the figures mean nothing")
    parser.add_argument("--here", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.here:
        print(json.dumps({kind: _steps(kind, told.here) for kind in KINDS}))
        return
    clones = {"here": parts.ROOT} | ({"there": told.against.resolve()} if told.against else {})
    best: dict[str, dict[str, dict[str, float]]] = {}
    for _ in range(told.turns):
        for name, folder in clones.items():
            for kind, steps in _measured_in(folder, 1 if told.short else TURNS).items():
                for step, us in steps.items():
                    kept = best.setdefault(kind, {}).setdefault(step, {})
                    kept[name] = min(us, kept.get(name, us))
    print(json.dumps(best, indent=2) if told.json else _table(best))


def _measured_in(folder: Path, turns: int) -> dict[str, dict[str, float]]:
    """In a process that has the code of that clone; this file is run, wherever it is."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN_HERE, __file__, str(turns)],
        cwd=folder,
        env=parts.environment_without_settings(),
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _steps(kind: str, turns: int) -> dict[str, float]:
    gc.set_threshold(*GC_THRESHOLD)
    policy = load_policy(POLICY)
    rules = SimpleNamespace(number=1, in_force=policy, policy=lambda _: policy)
    book = _Unsent(Redis(), "pieces", now=lambda: datetime.now(UTC))
    records = [
        SimpleNamespace(offset=number, timestamp=_FIRST_MS + number, key=None, value=shipped.value, headers=())
        for number, shipped in enumerate(shipments(kind, RECORDS))
    ]
    run = Run("shipments", 0, -1, records)

    def read() -> None:
        for record in records:
            read_event(record.value, default_source="/benchmark")

    def read_and_assess() -> None:
        for record in records:
            assess(read_event(record.value, default_source="/benchmark"), policy)

    def post() -> None:
        asyncio.run(book.post("shipments:0", -1, [(policy, judged)], rules=rules, park=_never))

    judged = judge(run, policy)
    reading, assessing, judging, posting = _least_us((read, read_and_assess, lambda: judge(run, policy), post), turns)
    least = {"read": reading, "assess": assessing - reading, "keep": judging - assessing, "post": posting}
    return {step: round(us, 2) for step, us in least.items()}


async def _never(unfit: object) -> None:
    raise AssertionError(f"nothing is unfit: {unfit}")


def _least_us(steps: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Of each step, which all take their turn together."""
    least_s = [float("inf")] * len(steps)
    for _ in range(turns):
        for number, step in enumerate(steps):
            began = time.perf_counter()
            step()
            least_s[number] = min(least_s[number], time.perf_counter() - began)
    return [spent_s / RECORDS * 1e6 for spent_s in least_s]


def _table(best: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = []
    for kind, steps in best.items():
        names = list(next(iter(steps.values())))
        lines += ["", f"{kind} event, µs, the least of all turns".ljust(84) + "".join(f"{name:>8}" for name in names)]
        for step, found in steps.items():
            lines.append(f"  {step:8}{STEPS[step]:74}" + "".join(f"{found[name]:8.2f}" for name in names))
        sums = (sum(found[name] for found in steps.values()) for name in names)
        lines.append(f"  {'':82}" + "".join(f"{us:8.2f}" for us in sums))
    return "\n".join(lines[1:])


if __name__ == "__main__":
    main()
