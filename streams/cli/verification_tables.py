"""How a verification looks on a terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from ledger.book.family import minute_of
from schemas.plain_text import in_one_line
from schemas.verification import AccountAmounts, AccountDifference, Verification
from streams.cli.tables import plain_table


def verification_sheet(found: Verification) -> RenderableType:
    """What was compared, then what differs, by account and by what is not as it is to be."""
    read = f"{found.records:,} records, {found.events:,} events, {found.rejects:,} rejects, {found.alerts:,} alerts"
    time = f", time to {minute_of(found.tick):%Y-%m-%d %H:%M} UTC" if found.tick > 0 else ""
    parts: list[RenderableType] = []
    if found.accounts:
        parts.append(_accounts(found.accounts))
    if found.findings:
        table = plain_table("wrong", right=(), left=("which", "why"))
        for one in found.findings:
            table.add_row(one.what, one.name, one.told)
        parts.append(table)
    if hidden := sum(found.counts.values()) - len(found.findings):
        parts.append(Text(f"and {hidden:,} more"))
    parts += [Text(in_one_line(f"note: {note.name}: {note.told}"), "dim") for note in found.notes]
    if found.noted > len(found.notes):
        parts.append(Text(f"and {found.noted - len(found.notes):,} more notes", "dim"))
    verdict = "Redis holds what follows from the topics" if found.right else "Redis differs from the topics"
    parts += [Text(verdict, "bold green" if found.right else "bold red"), Text(f"{read}{time}", "dim")]
    return Group(*parts)


def _accounts(accounts: list[AccountDifference]) -> RenderableType:
    """A row for each account: as it is to be, as it is, and what its journal comes to."""
    table = plain_table("account", "period", right=("expected", "in Redis", "journal", "bookings"), left=("breaks at",))
    for one in accounts:
        amounts = map(_told, (one.expected, one.found, one.journal, one.bookings))
        breaks_at = f"entry {one.breaks_at}" if one.breaks_at else ""
        table.add_row(one.account, one.period, *amounts, breaks_at)
    return table


def _told(amounts: AccountAmounts) -> str:
    reserved = f" + {amounts.reserved_tpp:,} reserved" if amounts.reserved_tpp else ""
    held = f", {amounts.held_lines:,} held" if amounts.held_lines else ""
    return f"{amounts.posted_tpp:,}{reserved}{held}"
