"""How a simulation looks: a table by country and the alerts that differ, or the balances as CSV."""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from schemas.plain_text import in_one_line
from schemas.simulation import OnlyUnder, SimulatedPolicy, SimulatedQuota, SimulationReport
from streams.api.csv_answer import not_computed
from streams.cli.tables import COLOUR_OF_STATUS, amount, percent, plain_table

_CROSSINGS_SHOWN_MAX = 40
"""Crossings that a terminal shows of those that one policy alone tells; --json tells all."""


def simulation_tables(found: SimulationReport) -> RenderableType:
    """Both policies side by side. Fits 80 columns."""
    one_sided = [
        line
        for side, only in ((found.policy, found.only_policy), (found.against, found.only_against))
        for line in _only(side.policy_id, only)
    ]
    both = sum(counted.both for counted in found.alerts)
    return Group(
        *_heading(found), _balances(found), *one_sided, Text(f"{both:,} alerts are the same under both.", "dim")
    )


def _heading(found: SimulationReport) -> Iterator[Text]:
    yield Text(f"records read: {found.records_read:,}")
    for side in (found.policy, found.against):
        yield Text.assemble(("  " + side.policy_id, "bold"), f" {side.policy_sha256[:12]}: {_outcomes(side)}")
        if meters := ", ".join(f"{count:,} {kind}" for kind, count in side.accounts.items() if kind != "country"):
            yield Text(f"    meters beside the countries': {meters}")


def _outcomes(side: SimulatedPolicy) -> str:
    counts = [f"{count:,} {outcome}" for outcome, count in side.outcomes.items()]
    counts += [f"{side.repeated:,} repeated"] if side.repeated else []
    counts += [f"{count:,} rejected as {reason}" for reason, count in side.rejected.items()]
    return ", ".join(counts) or "nothing"


def _balances(found: SimulationReport) -> RenderableType:
    if not found.items:
        return Text("Nothing was booked or held for any country.")
    table = plain_table("country", "policy", right=("posted TPP", "cap TPP", "%"), left=("status",))
    for item in found.items:
        named = f"{item.country} {item.name} {item.period}"
        if item.policy is not None and item.policy == item.against:
            table.add_row(named, "both", *_quota(item.policy))
            continue
        for side, quota in ((found.policy, item.policy), (found.against, item.against)):
            if quota is not None:
                table.add_row(named, side.policy_id, *_quota(quota))
                named = ""
    return table


def _quota(quota: SimulatedQuota) -> tuple[Text | str, ...]:
    levels = [(f"{level.level} %", level.crossed_at) for level in quota.thresholds] + [("over", quota.exceeded_at)]
    reached = "".join(f"\n{name} {at:%Y-%m-%d}" for name, at in levels if at is not None)
    held = f", {quota.held_lines} held" if quota.held_lines else ""
    reserved = f"\n+{quota.reserved_tpp:,} reserved" if quota.reserved_tpp else ""
    return (
        Text(f"{quota.posted_tpp:,}{reserved}"),
        amount(quota.cap_tpp),
        percent(quota.used_ratio),
        Text.assemble((quota.status, COLOUR_OF_STATUS[quota.status]), held, reached),
    )


def _only(policy_id: str, only: OnlyUnder) -> Iterator[Text]:
    """The alerts that one policy alone tells: about accounts, then about single events."""
    lines = [
        f"{told.occurred_at:%Y-%m-%d} {told.kind} {told.account} {told.period}: {told.level} %, "
        f"{told.used_tpp:,} of {told.cap_tpp:,} TPP, by {told.event_key}"
        for told in only.crossings[:_CROSSINGS_SHOWN_MAX]
    ]
    if more := len(only.crossings) - len(lines):
        lines.append(f"and {more:,} more crossings; --json tells all")
    lines += [f"{_day(told.occurred_at)} {told.kind} {told.event_key}: {told.message}" for told in only.examples]
    if more := only.notices - len(only.examples):
        lines.append(f"and {more:,} more alerts about single events; --json counts them by kind and country")
    yield Text(f"told only under {policy_id}:{'' if lines else ' nothing'}", "bold")
    yield from (Text(f"  {in_one_line(line)}") for line in lines)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "no day"


def show_csv(found: SimulationReport) -> None:
    """Print the balances, a row a country and period; what a spreadsheet would run begins with an apostrophe."""
    sides = (("policy", found.policy), ("against", found.against))
    columns = [f"{name}_{column}" for name, side in sides for column in _columns(side)]
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["country", "name", "period", *columns])
    for item in found.items:
        cells = [*_cells(found.policy, item.policy), *_cells(found.against, item.against)]
        row = (item.country, item.name, item.period, *cells)
        rows.writerow([not_computed(cell) if isinstance(cell, str) else cell for cell in row])


def _columns(side: SimulatedPolicy) -> list[str]:
    levels = [f"crossed_{level}_at" for level in side.levels]
    return [
        "id",
        "tier",
        "posted_tpp",
        "reserved_tpp",
        "cap_tpp",
        "used_ratio",
        "status",
        *levels,
        "exceeded_at",
        "held_lines",
    ]


def _cells(side: SimulatedPolicy, quota: SimulatedQuota | None) -> list[Any]:
    if quota is None:
        return [side.policy_id, *([None] * (len(_columns(side)) - 1))]
    crossed = {threshold.level: threshold.crossed_at for threshold in quota.thresholds}
    reached = [moment and moment.isoformat() for moment in (*map(crossed.get, side.levels), quota.exceeded_at)]
    amounts = (quota.tier, quota.posted_tpp, quota.reserved_tpp, quota.cap_tpp, quota.used_ratio, quota.status)
    return [side.policy_id, *amounts, *reached, quota.held_lines]
