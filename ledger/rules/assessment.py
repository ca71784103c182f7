"""What an event deserves under a policy. Nothing has been written yet, and no balance is known.

What every event has is a msgspec `Struct`: made at less than half the price of a dataclass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from msgspec import Struct

from ledger.policy import Policy, Standing, Standings
from schemas.decision import ChargeKind, ChargeState, Tier
from schemas.quota_alert import AlertKind, Severity
from schemas.shipment_event import Line, ShipmentData

SHOWN_MAX = 20
"""Lines that one alert lists."""


class Case(Struct):
    """One event as the rules look at it.

    Attributes:
        data: what was stated.
        lines: its lines.
        day: of the shipment.
        standings: what the policy says of each country on that day, and what it watches for.
        destination: what it says of the destination.
        channel: the one that is claimed.
        policy: the one that is asked.
    """

    data: ShipmentData
    lines: Sequence[Line]
    day: date
    standings: Standings
    destination: Standing
    channel: str
    policy: Policy


class AscendSign(NamedTuple):
    """One sign of an Ascend part in a line.

    Attributes:
        by: `catalogue`, `name` or `maker`.
        number: `310` if the name says so, `other` if it says another, None if it says none.
    """

    field: str
    found: str
    by: str
    number: str | None


class Item(Struct, frozen=True):
    """What one item of a line is.

    Attributes:
        part: as it is shown.
        tpp_each: TPP of one; None while the part is unknown or carries none.
        booked: whether items of this class are charged to a quota, where the channel charges one.
        known_tpp: the catalogue's TPP, if the line states another.
        held: why nobody can count it yet; None if it is not held.
        ascend: every sign of an Ascend part, the strongest first.
    """

    part: str
    tpp_each: int | None
    eccn: str | None
    evidence: str
    booked: bool = False
    prc_made: bool = False
    known_tpp: int | None = None
    held: str | None = None
    ascend: tuple[AscendSign, ...] = ()


class AssessedLine(NamedTuple):
    """One line as the ledger reads it: its item, and the TPP of all of them."""

    part: str
    tpp_each: int | None
    tpp: int | None
    eccn: str | None
    evidence: str
    booked: bool
    prc_made: bool


def assessed_lines(lines: Sequence[Line], items: Sequence[Item]) -> list[AssessedLine]:
    """Each line with the TPP that it comes to by what its item is."""
    return [
        AssessedLine(
            item.part,
            item.tpp_each,
            None if item.tpp_each is None else item.tpp_each * (line.get("quantity") or 0),
            item.eccn,
            item.evidence,
            item.booked,
            item.prc_made,
        )
        for line, item in zip(lines, items, strict=True)
    ]


class ChargeDue(Struct):
    """What one account is to be changed by, in TPP.

    Attributes:
        cap_tpp: the account's limit where it comes with the event (a share of holdings); None elsewhere.
        carried: the amount counts here because an earlier period's does (`nveu` is cumulative); nothing was shipped
            in this period, so nobody is told of a level until something is.
    """

    kind: ChargeKind
    account: str
    country: str | None
    period: str
    state: ChargeState
    tpp: int
    cap_tpp: int | None = None
    carried: bool = False


@dataclass(slots=True)
class Notice:
    """An alert to be: what the event alone gives rise to, whatever the balances are.

    Attributes:
        evidence: what matched; its `source` is the rule's.
    """

    kind: AlertKind
    severity: Severity
    message: str
    evidence: dict[str, Any]


class Assessment(Struct):
    """The judgement of one event under one policy: all that is done because of it. Why, `reasons.py` tells.

    Attributes:
        owner: the field that names a headquarters by which the tier is worse, or one in Tier 3; and that country.
        items: what each line's item is.
        charges: what is debited; empty if nothing is.
        held: (line, reason) of what waits for a person.
        noted: the event never debits (`compute.used`).
    """

    case: Case
    tier: Tier
    owner: tuple[str, Standing] | None
    items: list[Item]
    charges: list[ChargeDue]
    held: list[tuple[int, str]]
    notices: list[Notice]
    noted: bool

    @property
    def lines(self) -> list[AssessedLine]:
        """Each line with the TPP that it comes to."""
        return assessed_lines(self.case.lines, self.items)

    @property
    def booked_tpp(self) -> int:
        """What the lines come to that are charged to a quota where the channel charges one."""
        return sum(
            (line.get("quantity") or 0) * (item.tpp_each or 0)
            for line, item in zip(self.case.lines, self.items, strict=True)
            if item.booked
        )

    @property
    def tier_reason(self) -> str:
        """Why this tier, half a sentence."""
        if self.owner is not None and self.tier != self.case.destination.tier:
            return f"the buyer is headquartered in {self.owner[1].name}"
        return self.case.destination.reason
