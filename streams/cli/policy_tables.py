"""How policies look on a terminal: a list, one of them entry by entry, and the differences of two."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ledger.countries import Country
from schemas.policy import Difference, PolicyDiff, PolicyList, PolicySheet, Statement
from streams.cli.tables import plain_table

_NAMED_MAX = 4
"""Countries that are told by name; of more, the codes."""


def policy_table(found: PolicyList) -> RenderableType:
    """The shipped policies, the one in force marked."""
    table = plain_table("id", right=(), left=("extends", "SHA-256", ""))
    table.add_column("title", overflow="fold")
    for item in found.items:
        mark = Text("in force", "green") if item.in_force else Text("")
        table.add_row(item.policy_id, item.extends or "-", item.policy_sha256[:12], mark, item.title)
    if found.in_force_sha256 is None or any(item.in_force for item in found.items):
        return table
    named = f"{found.in_force_id} {found.in_force_sha256[:12]}"
    return Group(table, Text(f"In force is {named}, which is none of these: `policy show` shows it.", "yellow"))


def policy_sheet(found: PolicySheet) -> RenderableType:
    """One policy: its heading, its tiers, every entry with days and source, and what the sources are."""
    parts: list[RenderableType] = [
        Text.assemble((f"{found.policy_id}  ", "bold"), found.title),
        Text(f"SHA-256 {found.policy_sha256}", "dim"),
        Text(f"on {found.on}: {_regime(found)}; period {found.period or 'none'}, counted by {found.counts_by}"),
        Text(f"levels {_value(found.levels)} % of the cap; {_counted(found)} counts as used"),
        *_tiers(found),
    ]
    place = ""
    for statement in found.statements:
        if statement.place != place:
            place = statement.place
            parts.append(Text(place, "bold"))
        parts.append(Padding(_statement(statement), (0, 0, 0, 2)))
    parts.append(Text("sources", "bold"))
    parts += [Text.assemble((f"  {key}  ", "bold"), document) for key, document in found.sources.items()]
    return Group(*parts)


def diff_lines(found: PolicyDiff, countries: Mapping[str, Country]) -> RenderableType:
    """What differs, a line each."""
    heading = f"{found.policy_id} {found.policy_sha256[:12]} -> {found.against_id} {found.against_sha256[:12]}"
    lines = [line for item in found.items for line in _difference(item, countries)]
    return Group(Text(heading, "bold"), *(lines or [Text("They decide alike.")]))


def _regime(found: PolicySheet) -> str:
    return f"{found.regime.id}, {found.regime.status}" if found.regime else "no regime"


def _counted(found: PolicySheet) -> str:
    return "what is posted or reserved" if found.reserved_counts else "what is posted"


def _tiers(found: PolicySheet) -> Iterator[RenderableType]:
    for tier, codes in found.tiers.items():
        listed = "all others" if tier == 2 else " ".join(codes)  # noqa: PLR2004  a tier's number is its name
        yield Text.assemble((f"tier {tier}", "bold"), f"  {len(codes)} countries: {listed}")
    for evidence, codes in found.weak_tiers.items():
        yield Text(f"        {evidence}: {' '.join(codes)}", "yellow")


def _statement(statement: Statement) -> RenderableType:
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(no_wrap=True, min_width=24)
    row.add_column()
    source = Text(statement.source, "yellow" if statement.evidence else "dim")
    said = _in_words(statement.says)
    row.add_row(_when(statement.valid_from, statement.valid_to, "always"), Text.assemble(said, "\n", source))
    return row


def _difference(item: Difference, countries: Mapping[str, Country]) -> Iterator[Text]:
    one, other = _one_and_other(item)
    when = _when(item.valid_from, item.valid_to, "from the beginning")
    yield Text.assemble((_of(item, countries), "bold"), f": {one} -> {other}, {when}")
    if len(item.of) > _NAMED_MAX:
        yield Text(f"  {', '.join(item.of)}", "dim")


def _of(item: Difference, countries: Mapping[str, Country]) -> str:
    if not item.of:
        return item.what
    if len(item.of) > _NAMED_MAX:
        return f"{len(item.of)} {'parts' if item.what == 'part' else 'countries'}"
    return ", ".join(f"{name} {countries[name].name}" if item.what != "part" else name for name in item.of)


def _one_and_other(item: Difference) -> tuple[str, str]:
    """What either policy says; of two tables with the same keys, only where they differ."""
    one, other = item.policy, item.against
    if len(one) == len(other) == 1 and one[0].keys() == other[0].keys() and item.what != "tier":
        differing = [name for name in one[0] if one[0][name] != other[0][name]]
        one, other = ([{name: side[0][name] for name in differing}] for side in (one, other))
    return _all_in_words(item.what, one), _all_in_words(item.what, other)


def _all_in_words(what: str, said: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(_tier(says) if what == "tier" else _in_words(says, what) for says in said) or "nothing"


def _tier(says: Mapping[str, Any]) -> str:
    cap_tpp = says["cap_tpp"]
    return f"Tier {says['tier']}, " + ("no cap" if cap_tpp is None else f"cap {cap_tpp:,}")


def _in_words(says: Mapping[str, Any], what: str = "") -> str:
    """A table's keys and values; a key that is called as the table is left out."""
    words = []
    for name, said in says.items():
        if isinstance(said, bool):
            words.append(name if said else f"not {name}")
        else:
            words.append(_value(said) if name == what else f"{name} {_value(said)}")
    return ", ".join(words) or "on"


def _value(said: Any) -> str:
    if said == []:
        return "-"
    if isinstance(said, list):
        return " ".join(map(str, said)) if all(" " not in str(one) for one in said) else "; ".join(said)
    return f"{said:,}" if isinstance(said, int) else str(said)


def _when(first: date | None, last: date | None, always: str) -> str:
    match first, last:
        case None, None:
            return always
        case None, _:
            return f"until {last}"
        case _, None:
            return f"from {first}"
    return f"{first} to {last}"
