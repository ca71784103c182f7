"""What judging costs without a ledger: `assess` under every shipped policy, and a simulation under two of them.

Pure code on one core, in a process of its own: `python -m tests.benchmarks.judging KINDS EVENTS ROUNDS` prints a
document. No Kafka, no Redis. `report.py` makes the table.
"""

import gc
import io
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from statistics import median
from typing import Any

from ledger.policy import Policy, load_policy, shipped_policies
from ledger.replay.named import may_name_another, named_by
from ledger.replay.simulate import Simulation
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from streams.readers.json_lines import read_json_lines
from tests import parts
from tests.benchmarks.job import GC_THRESHOLD
from tests.benchmarks.traffic import shipments

SIMULATED = ("annual-50k", "allies-tier1")
"""The two policies of the simulation."""

TODAY = date(2026, 12, 31)
"""The simulated ledger's day: the last of the year that the events lie in."""

RUN = 200
"""Events that are read, then assessed together: few enough to stay in the processor's caches, as in a worker."""


def measure_judging(kinds: Sequence[str], events: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Medians over rounds of CPU time, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.judging", ",".join(kinds), str(events), str(rounds)],
        cwd=parts.ROOT,
        env=parts.environment_without_settings(),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    kinds, events, rounds = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    gc.set_threshold(*GC_THRESHOLD)
    values = {kind: [shipped.value for shipped in shipments(kind, events)] for kind in kinds}
    policies = {policy_id: load_policy(policy_id) for policy_id in shipped_policies()}
    gc.freeze()
    assessing = {(policy_id, kind): [] for policy_id in policies for kind in kinds}
    simulating = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for (policy_id, kind), spent in assessing.items():
            spent.append(_assess_us(values[kind], policies[policy_id]))
        for kind, spent in simulating.items():
            spent.append(_simulate_us(values[kind], *(policies[policy_id] for policy_id in SIMULATED)))
    print(
        json.dumps(
            {
                "assess": [
                    {"policy_id": policy_id, "kind": kind, "events": events} | _medians(spent)
                    for (policy_id, kind), spent in assessing.items()
                ],
                "simulate": [
                    {"policies": SIMULATED, "kind": kind, "events": events} | _medians(spent)
                    for kind, spent in simulating.items()
                ],
            }
        )
    )


def _assess_us(values: Sequence[bytes], policy: Policy) -> float:
    """CPU µs an event, reading apart."""
    spent_s = 0.0
    for start in range(0, len(values), RUN):
        events = [read_event(value, default_source="/benchmark") for value in values[start : start + RUN]]
        began = time.process_time()
        for event in events:
            assess(event, policy)
        spent_s += time.process_time() - began
    return spent_s / len(values) * 1e6


def _simulate_us(values: Sequence[bytes], policy: Policy, against: Policy) -> float:
    """CPU µs an event: a file of JSON lines, looked through, read, judged and booked under both policies."""
    file = io.BytesIO(b"\n".join(values))
    began = time.process_time()
    naming = read_json_lines(file, name="benchmark.jsonl", wanted=may_name_another)
    simulation = Simulation(policy, against, named_by(record.event for record in naming), today=TODAY)
    file.seek(0)
    for record in read_json_lines(file, name="benchmark.jsonl"):
        simulation.take(record.event)
    return (time.process_time() - began) / len(values) * 1e6


def _medians(spent: Sequence[float]) -> dict[str, float]:
    """Of the rounds; `events_per_s` is what one core does."""
    return {
        "cpu_us": round(median(spent), 2),
        "cpu_us_lowest": round(min(spent), 2),
        "cpu_us_highest": round(max(spent), 2),
        "events_per_s": round(1e6 / median(spent)),
    }


if __name__ == "__main__":
    main()
