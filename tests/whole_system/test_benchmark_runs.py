"""The benchmark's short form: every row runs, books what was sent, and is printed. No time is judged."""

import json
import os
import subprocess
import sys
from itertools import product

import pytest

from ledger.policy import shipped_policies
from tests.benchmarks.candidates import CANDIDATES
from tests.benchmarks.deliveries import table as deliveries_table
from tests.benchmarks.growth import comparisons
from tests.benchmarks.growth import table as growth_table
from tests.benchmarks.latency import PHASES
from tests.benchmarks.latency import table as latency_table
from tests.benchmarks.report import table
from tests.benchmarks.traffic import KINDS
from tests.parts import ROOT, environment_without_settings

REQUIRE_REAL = os.environ.get("QUOTA_TESTS_REQUIRE_REAL") == "1"

MISSING = 69


def benchmark(*arguments, module="tests.benchmarks"):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment_without_settings(),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


OURS = {name: row for name, row in CANDIDATES.items() if row.in_table and not row.peer}
"""The peers' environment takes a minute to install: `python -m tests.benchmarks --short` runs their rows too."""

GROWN = ("duplicates",)
"""A new ledger is started for each measurement, which takes seconds: the other comparisons differ in numbers alone."""


def test_the_short_form_runs_and_prints_every_row_that_needs_no_packages_of_others(request):
    done = benchmark("--short", "--json", "--only", ",".join(OURS))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for why in told["machine"]["stand_ins"]:
        assert not REQUIRE_REAL, why
        request.node.user_properties.append(("stand_in", why))

    rows = {(row["candidate"], row["kind"]): row for row in told["rows"]}
    assert set(rows) == set(product(OURS, KINDS))
    assert all(row["cpu_us"] > 0 and row["events"] > 0 and row["events_per_s"] > 0 for row in rows.values())
    assert all((row["redis_cpu_us"] is not None) == OURS[row["candidate"]].books for row in rows.values())
    assert {split["kind"] for split in told["stages"]} == set(KINDS)
    for split in told["stages"]:
        parts = [split[f"{stage}_us"] for stage in ("transport", "decode", "assess", "post")]
        assert sum(parts) == pytest.approx(split["total_us"], abs=0.05)
    judged = told["judging"]
    assert {(row["policy_id"], row["kind"]) for row in judged["assess"]} == set(product(shipped_policies(), KINDS))
    assert {row["kind"] for row in judged["simulate"]} == set(KINDS)
    assert all(row["cpu_us"] > 0 and row["events"] > 0 for rows in judged.values() for row in rows)
    printed = table(told)
    assert {row.title: printed.count(row.title) for row in OURS.values()} == {row.title: 2 for row in OURS.values()}
    assert printed.count("d costs ") == printed.count("c costs ") == printed.count("h costs ") == len(KINDS)


def test_the_steps_of_a_run_are_told_for_this_clone_and_another():
    done = benchmark("--short", "--turns", "1", "--against", str(ROOT), "--json", module="tests.benchmarks.pieces")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert set(told) == set(KINDS)
    assert all(set(steps) == {"read", "assess", "keep", "post"} for steps in told.values())
    assert all(set(found) == {"here", "there"} for steps in told.values() for found in steps.values())


@pytest.mark.parametrize("wrong", [("--only", "a,z"), ("--events", "0"), ("--rounds", "1000"), ("--kind", "huge")])
def test_a_wrong_call_starts_nothing(wrong):
    done = benchmark(*wrong)

    assert done.returncode == 2
    assert wrong[0] in done.stderr


def test_the_short_form_of_deliveries_runs_beside_receivers_that_fail_in_every_way(request):
    done = benchmark("--short", "--json", module="tests.benchmarks.deliveries")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for why in told["stand_ins"]:
        assert not REQUIRE_REAL, why
        request.node.user_properties.append(("stand_in", why))

    assert [run["bad"] for run in told["runs"]] == [0, 5]
    assert [run["deliveries"] for run in told["runs"]] == [40, 40]
    assert all(0 < run["p50_ms"] <= run["p99_ms"] <= run["max_ms"] < 10_000 for run in told["runs"])
    assert all(run["sender_peak_mb"] < 300 for run in told["runs"])
    assert deliveries_table(told["runs"]).count("\n") == 3


def test_the_short_form_of_latency_sees_every_shipment_in_every_way(request):
    done = benchmark("--short", "--json", module="tests.benchmarks.latency")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for why in told["machine"]["stand_ins"]:
        assert not REQUIRE_REAL, why
        request.node.user_properties.append(("stand_in", why))

    assert [row["phase"] for row in told["phases"]] == [phase.name for phase in PHASES]
    for row in told["phases"]:
        assert row["kafka"]["seen"] == row["redis"]["seen"] == row["shipments"]
        assert row["webhook"]["seen"] == 4
        assert 0 < row["endpoint"]["seen"] < row["shipments"]
        assert all(0 < row[way]["p50_ms"] <= row[way]["p99_ms"] for way in ("kafka", "redis", "endpoint", "webhook"))
    assert latency_table(told["phases"]).count("\n") == len(PHASES)


def test_the_short_form_of_growth_compares_and_looks_at_memory(request):
    done = benchmark("--short", "--json", "--only", *GROWN, "memory", module="tests.benchmarks.growth")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for why in told["machine"]["stand_ins"]:
        assert not REQUIRE_REAL, why
        request.node.user_properties.append(("stand_in", why))

    assert [row["what"] for row in told["rows"]] == [comparisons(1)[name].title for name in GROWN]
    assert all(row["ratio"] > 0 and row[size]["redis_us"] > 0 for row in told["rows"] for size in ("small", "large"))
    assert 0 < told["memory"]["lowest_mb"] <= told["memory"]["highest_mb"] < 300
    assert growth_table(told).count("\n") == len(GROWN) + 1


def test_the_endpoint_is_measured_beside_an_empty_route():
    done = benchmark("--calls", "24", "--rounds", "1", "--json", module="tests.benchmarks.endpoint")
    if done.returncode == MISSING and not REQUIRE_REAL:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    rows = {row["row"]: row for row in json.loads(done.stdout)["rows"]}

    assert list(rows) == ["empty route", "all balances", "304"]
    assert all(row["calls_s"] > 0 for row in rows.values())
    assert rows["304"]["bytes"] == 0 < rows["empty route"]["bytes"] < rows["all balances"]["bytes"]


def test_judging_alone_needs_neither_kafka_nor_redis():
    done = benchmark("--judging", "--events", "200", "--rounds", "1", "--kind", "minimal")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("assess, ") == len(shipped_policies())
    assert done.stdout.count("simulate, annual-50k and allies-tier1, minimal") == 1
