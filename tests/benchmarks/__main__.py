"""`python -m tests.benchmarks`: what an event costs, by quota-ledger and by others, measured in one run.

Starts its own Kafka and Redis and ends them. The README beside this says what each row is and what is not claimed.
Exit codes: 0 done, 1 a candidate failed or booked wrong sums, 2 wrong call, 69 a part is missing.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests import parts
from tests.benchmarks import peers
from tests.benchmarks.candidates import CANDIDATES
from tests.benchmarks.candidates.debit import BATCH_MAX
from tests.benchmarks.ground import prepared
from tests.benchmarks.judging import measure_judging
from tests.benchmarks.measure import Failed, Plan, measure_all
from tests.benchmarks.report import document, judging_table, table
from tests.benchmarks.traffic import KINDS

ROWS = [name for name, candidate in CANDIDATES.items() if candidate.in_table]
EVENTS_MAX, NAIVE_EVENTS_MAX, ROUNDS_MAX, PARTITIONS_MAX = 2_000_000, 50_000, 25, 64
SHORT = {"events": 2000, "naive_events": BATCH_MAX, "rounds": 1, "partitions": 2}
"""Proves that every row runs; its figures mean nothing. No batch may hold all that is measured."""


def main() -> None:
    told = _arguments()
    plan = Plan(
        candidates=[name for name in CANDIDATES if name.partition("-")[0] in told.only],
        kinds=told.kind,
        events=told.events,
        naive_events=told.naive_events,
        rounds=told.rounds,
        partitions=told.partitions,
    )
    if told.judging:
        judged = measure_judging(told.kind, told.events, told.rounds)
        print(json.dumps(judged, indent=2) if told.json else "\n".join(judging_table(judged)))
        return
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:3.0f} s] {text}", file=sys.stderr, flush=True)

    has_peers = any(CANDIDATES[name].peer for name in plan.candidates)
    with tempfile.TemporaryDirectory(prefix="quota-benchmarks-") as folder:
        try:
            if has_peers:
                peers.build(say)
            with prepared(Path(folder), allow_stand_ins=told.short) as ground:
                machine = ground.machine() | {"peers": peers.versions() if has_peers else {}}
                runs, topics = measure_all(ground, plan, Path(folder), say)
                say("judging without a ledger")
                judged = measure_judging(plan.kinds, plan.events, plan.rounds)
        except parts.NotHere as missing:
            sys.exit(_wrong(f"a part is missing: {missing}", 69))
        except Failed as failure:
            sys.exit(_wrong(str(failure), 1))
    sizes = {kind: next(topic.value_bytes for topic in topics if topic.kind == kind) for kind in plan.kinds}
    done = document(machine, plan, runs, sizes, judged)
    print(json.dumps(done, indent=2) if told.json else table(done))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What an event costs.")
    parser.add_argument("--events", type=_up_to(EVENTS_MAX), default=60_000, help="events measured in each run")
    parser.add_argument("--naive-events", type=_up_to(NAIVE_EVENTS_MAX), default=4_000, help="the same for slow rows")
    parser.add_argument("--rounds", type=_up_to(ROUNDS_MAX), default=3, help="how often every row is run")
    parser.add_argument("--partitions", type=_up_to(PARTITIONS_MAX), default=4)
    parser.add_argument("--only", type=_some_of(ROWS), default=ROWS, metavar=",".join(ROWS), help="some rows only")
    parser.add_argument("--kind", type=_some_of(KINDS), default=list(KINDS), metavar=",".join(KINDS))
    parser.add_argument("--judging", action="store_true", help="the table of judging alone: needs no Kafka, no Redis")
    parser.add_argument("--short", action="store_true", help="prove that every row runs; the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    told = parser.parse_args()
    if told.short:
        vars(told).update(SHORT)
    return told


def _up_to(most):
    def number(text):
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between 1 and {most}")
        return value

    return number


def _some_of(known):
    def names(text):
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return chosen

    return names


def _wrong(text: str, code: int) -> int:
    print(f"tests.benchmarks: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
