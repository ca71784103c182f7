"""An account's record in Redis: what is booked, which alert levels stand crossed, and where it may move unseen.

One line of text, so that the script can read it and a person too:
`posted reserved held quiet_from quiet_below last_posted_at marks`, the marks in JSON without spaces.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ledger.rules.levels import FAR, Mark, Marks

_NEVER = "-"


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """One account in one period. Amounts in TPP.

    Attributes:
        held_lines: lines of shipments to this account that wait for a person.
        marks: the alert levels as they stand.
    """

    account: str
    period: str
    posted_tpp: int = 0
    reserved_tpp: int = 0
    held_lines: int = 0
    last_posted_at: datetime | None = None
    marks: Marks = field(default_factory=dict)
    quiet: tuple[int, int] = (-FAR, FAR)

    @property
    def crossed(self) -> dict[int, datetime]:
        """Level in percent -> when it was crossed, for the levels that stand crossed."""
        return {int(name): mark.crossed_at for name, mark in self.marks.items() if name.isdigit() and mark.crossed_at}

    def to_record(self) -> bytes:
        """The account as it is kept."""
        marks = {
            name: [mark.armed, mark.crossed_at.isoformat() if mark.crossed_at else None]
            for name, mark in sorted(self.marks.items())
        }
        parts = (
            self.posted_tpp,
            self.reserved_tpp,
            self.held_lines,
            *self.quiet,
            self.last_posted_at.isoformat() if self.last_posted_at else _NEVER,
            json.dumps(marks, separators=(",", ":")),
        )
        return " ".join(map(str, parts)).encode()


def field_of(account: str, period: str) -> str:
    """The account's field in the hash of balances."""
    return f"{account}|{period}"


def account_of(name: bytes | str, record: bytes) -> AccountBalance:
    """Read a record back; the inverse of `to_record`."""
    account, _, period = (name.decode() if isinstance(name, bytes) else name).rpartition("|")
    posted, reserved, held, start, end, last, marks = record.decode().split(" ", 6)
    stated: Mapping[str, tuple[int, str | None]] = json.loads(marks)
    return AccountBalance(
        account=account,
        period=period,
        posted_tpp=int(posted),
        reserved_tpp=int(reserved),
        held_lines=int(held),
        quiet=(int(start), int(end)),
        last_posted_at=None if last == _NEVER else datetime.fromisoformat(last),
        marks={
            level: Mark(armed, datetime.fromisoformat(crossed_at) if crossed_at else None)
            for level, (armed, crossed_at) in stated.items()
        },
    )
