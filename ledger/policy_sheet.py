"""What a policy says, entry by entry, each with its days and its source: to be shown, and to be compared.

Nothing is decided here. A new table in a policy's file appears by itself.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from ledger.policy import Policy
from ledger.policy_document import Dated, Sourced
from schemas.decision import Tier
from schemas.policy import PolicySheet, Statement


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a policy's file, or of what it extends.

    Attributes:
        place: the table that it stands in, such as `detection.ascend.basis`.
        first, last: the days on which it counts: those of the table around it considered, and the entries after it.
        says: its own keys, and the countries of the table around it.
    """

    place: str
    first: date
    last: date
    says: dict[str, Any]
    stated: Sourced

    def holds(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.first <= day <= self.last


_LAST_COUNTS = ("regimes", "detection.ascend.basis", "channels.nveu.caps")
"""Tables of which one entry at a time holds: of several that fit a day, the last."""

_DAY = timedelta(days=1)


def entries(policy: Policy) -> Iterator[Entry]:
    """Every entry that rests on a source, in the order of the file, with the days on which it counts."""
    found = list(_entries_of(policy.text, "", date.min, date.max))
    for number, entry in enumerate(found):
        if entry.place not in _LAST_COUNTS:
            yield entry
            continue
        left = [(entry.first, entry.last)]
        for later in found[number + 1 :]:
            if later.place == entry.place:
                left = [span for first, last in left for span in _outside(later, first, last)]
        for first, last in left:
            yield replace(entry, first=first, last=last)


def _outside(later: Entry, first: date, last: date) -> Iterator[tuple[date, date]]:
    """What a later entry leaves of a span of days: nothing, one part, or two."""
    if first < later.first:
        yield first, min(last, later.first - _DAY)
    if later.last < last:
        yield max(first, later.last + _DAY), last


def _entries_of(
    table: BaseModel, place: str, first: date, last: date, of: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Entry]:
    """A table and those within it, which hold on no other days than it, and `of` no other countries."""
    if isinstance(table, Dated):
        first, last = max(first, table.valid_from), min(last, table.valid_to)
    if first > last:
        return
    says = dict(of)
    within: list[tuple[str, BaseModel]] = []
    for name, value in table:
        if isinstance(value, BaseModel):
            within.append((name, value))
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            within += [(name, inner) for inner in value]
        elif name not in Dated.model_fields and value != type(table).model_fields[name].default:
            says[name] = value
    if isinstance(table, Sourced):
        yield Entry(place, first, last, says, table)
    of = {"countries": says["countries"]} if "countries" in says else {}
    for name, inner in within:
        yield from _entries_of(inner, f"{place}.{name}".lstrip("."), first, last, of)


def sheet(policy: Policy, on: date, *, whole: bool) -> PolicySheet:
    """What a policy decides.

    Args:
        policy: the one that is shown.
        on: the day whose tiers, period and regime are told.
        whole: every entry with its days; else those that hold on that day.
    """
    shown = [entry for entry in entries(policy) if whole or entry.holds(on)]
    tiers: dict[Tier, list[str]] = {1: [], 2: [], 3: []}
    weak_tiers: dict[str, list[str]] = defaultdict(list)
    for code, country in sorted(policy.countries.items()):
        standing = policy.standing(code, on)
        tiers[standing.tier].append(code)
        if country.evidence != "primary" and standing.reason == country.basis:  # the table decides, no entry does
            weak_tiers[country.evidence].append(code)
    return PolicySheet(
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        title=policy.title,
        levels=list(policy.levels),
        reserved_counts=policy.reserved_counts,
        on=on,
        period=policy.period_of(on),
        counts_by=policy.text.period,
        regime=policy.regime_on(on),
        tiers=tiers,
        weak_tiers=weak_tiers,
        statements=[
            Statement(
                place=entry.place,
                valid_from=None if entry.first == date.min else entry.first,
                valid_to=None if entry.last == date.max else entry.last,
                says=entry.says,
                source=policy.cite(entry.stated),
                evidence=entry.stated.evidence,
            )
            for entry in shown
        ],
        sources=policy.sources(entry.stated.source for entry in shown),
    )
