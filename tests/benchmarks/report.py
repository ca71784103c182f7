"""What was measured -> one document, and the same as a table for people. Medians over rounds; nothing is rated."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from tests.benchmarks.candidates import CANDIDATES
from tests.benchmarks.measure import Plan, Run

RATIOS = {
    ("d", "c"): {"minimal": "at least 40", "full": "at least 14"},
    ("fb", "c"): {"minimal": "at least 4.5", "full": "at least 2.8"},
    ("g", "c"): {"minimal": "at least 15", "full": "at least 5.5"},
    ("c", "b"): {"minimal": "at most 1.5", "full": "at most 1.2"},
    ("h", "a"): {"minimal": "at most 1.2", "full": "at most 1.2"},
}
"""Whose CPU an event is divided by whose, and what is aimed at."""

POSTING = {
    "keep": "digests, what posting needs",
    "pack": "packing the journal",
    "post": "sums, arguments, the call",
}
"""The parts of posting, as they are clocked."""


def document(
    machine: dict[str, Any], plan: Plan, runs: Sequence[Run], value_bytes: dict[str, float], judged: dict[str, Any]
) -> dict[str, Any]:
    """Everything that was measured, with the medians that the table shows."""
    rows = [
        _row(name, kind, [run for run in runs if (run.candidate, run.kind) == (name, kind)])
        for kind in plan.kinds
        for name in plan.candidates
        if CANDIDATES[name].in_table
    ]
    return {
        "machine": machine,
        "plan": {
            "rounds": plan.rounds,
            "partitions": plan.partitions,
            "value_bytes": {kind: round(size) for kind, size in value_bytes.items()},
        },
        "rows": rows,
        "ratios": [ratio for kind in plan.kinds for ratio in _ratios(kind, rows)],
        "stages": [split for kind in plan.kinds if (split := _split(kind, runs))],
        "judging": judged,
        "runs": [run.to_dict() for run in runs],
    }


def table(told: dict[str, Any]) -> str:
    """The document for a person."""
    machine, plan = told["machine"], told["plan"]
    lines = [
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, {machine['python']}",
        f"{machine['kafka']}, {machine['redis']} without persistence; {_versions(machine['libraries'])}",
        *([f"peers: {_versions(machine['peers'])}"] if machine["peers"] else []),
        f"load average before: {machine['load_before']}; {plan['partitions']} partitions",
        f"medians of {plan['rounds']} rounds, lowest and highest in brackets",
        *(f"NOT on the real part: {why}" for why in machine["stand_ins"]),
    ]
    for kind, size in plan["value_bytes"].items():
        lines += ["", f"{kind} event, {size:,} bytes", _HEAD]
        lines += [_line(row) for row in told["rows"] if row["kind"] == kind]
        lines += [
            f"   {ratio['of']} costs {ratio['cpu']:.2f} times {ratio['to']} by CPU an event; aim: {ratio['aim']}"
            for ratio in told["ratios"]
            if ratio["kind"] == kind
        ]
        for split in told["stages"]:
            if split["kind"] == kind:
                lines += _split_lines(split)
    return "\n".join([*lines, "", *judging_table(told["judging"])])


def _versions(told: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in told.items())


def judging_table(judged: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What judging costs without a ledger."""
    return [
        f"{'judging, in memory, on one core':<55}{'CPU µs an event':>20}{'events/s':>12}{'measured':>11}",
        *(_judging_line(f"assess, {row['policy_id']}, {row['kind']}", row) for row in judged["assess"]),
        *(
            _judging_line(f"simulate, {' and '.join(row['policies'])}, {row['kind']}", row)
            for row in judged["simulate"]
        ),
    ]


def _judging_line(title: str, row: dict[str, Any]) -> str:
    cpu = f"{row['cpu_us']:.1f} ({row['cpu_us_lowest']:.1f}-{row['cpu_us_highest']:.1f})"
    return f"   {title:<52}{cpu:>20}{row['events_per_s']:>12,}{row['events']:>11,}"


_HEAD = f"   {'':<38}{'CPU µs an event':>24}{'events/s':>12}{'Redis CPU µs':>14}{'Redis bytes':>13}{'measured':>11}"


def _row(name: str, kind: str, runs: Sequence[Run]) -> dict[str, Any]:
    cpu = [run.measured.cpu_s / run.measured.events * 1e6 for run in runs]
    kept = [run.redis_bytes / run.events_kept for run in runs if run.redis_bytes is not None]
    redis_cpu = [run.measured.redis_cpu_s / run.measured.events * 1e6 for run in runs]
    return {
        "candidate": name,
        "title": CANDIDATES[name].title,
        "kind": kind,
        "events": runs[0].measured.events,
        "cpu_us": round(median(cpu), 2),
        "cpu_us_lowest": round(min(cpu), 2),
        "cpu_us_highest": round(max(cpu), 2),
        "events_per_s": round(median(run.measured.events / run.measured.wall_s for run in runs)),
        "redis_cpu_us": round(median(redis_cpu), 2) if CANDIDATES[name].books else None,
        "redis_bytes": round(median(kept)) if kept else None,
    }


def _line(row: dict[str, Any]) -> str:
    cpu = f"{row['cpu_us']:.1f} ({row['cpu_us_lowest']:.1f}-{row['cpu_us_highest']:.1f})"
    redis_cpu = "-" if row["redis_cpu_us"] is None else f"{row['redis_cpu_us']:.1f}"
    redis_bytes = "-" if row["redis_bytes"] is None else f"{row['redis_bytes']:,}"
    return (
        f"{row['candidate']:<3}{row['title']:<38}{cpu:>24}{row['events_per_s']:>12,}{redis_cpu:>14}{redis_bytes:>13}"
        f"{row['events']:>11,}"
    )


def _ratios(kind: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the medians, so that a reader finds them in the table. A row too short for the clock has none."""
    cpu = {row["candidate"]: row["cpu_us"] for row in rows if row["kind"] == kind}
    return [
        {"kind": kind, "of": of, "to": to, "cpu": round(cpu[of] / cpu[to], 2), "aim": aims[kind]}
        for (of, to), aims in RATIOS.items()
        if cpu.get(of) and cpu.get(to)
    ]


def _split(kind: str, runs: Sequence[Run]) -> dict[str, Any] | None:
    """The stages of the round whose total was in the middle: they sum up to that total."""
    clocked = sorted(
        (run.measured for run in runs if run.kind == kind and run.measured.stages),
        key=lambda measured: measured.cpu_s / measured.events,
    )
    if not clocked:
        return None
    middle = clocked[len(clocked) // 2]
    us = {stage: spent_s / middle.events * 1e6 for stage, spent_s in middle.stages.items()}
    total_us = middle.cpu_s / middle.events * 1e6
    return {
        "kind": kind,
        "total_us": round(total_us, 2),
        "transport_us": round(total_us - sum(us.values()), 2),
        "decode_us": round(us["decode"], 2),
        "assess_us": round(us["assess"], 2),
        "post_us": round(sum(us[part] for part in POSTING), 2),
        "of_post_us": {told: round(us[part], 2) for part, told in POSTING.items()},
    }


def _split_lines(split: dict[str, Any]) -> list[str]:
    def line(told: str, spent_us: float) -> str:
        return f"   {told:<38}{spent_us:>10.1f}{spent_us / split['total_us']:>8.0%}"

    return [
        f"   c by stage, CPU µs an event, of a run with clocks in it: {split['total_us']:.1f} in all",
        line("transport: fetch, Faust, loop, relay", split["transport_us"]),
        line("decode", split["decode_us"]),
        line("assess", split["assess_us"]),
        line("post", split["post_us"]),
        *(line(f"   {told}", spent_us) for told, spent_us in split["of_post_us"].items()),
    ]
