"""An event among those that it is tied to: what their families come to, and which accounts their goods debit."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.rules.assessment import Assessment, Case, ChargeDue
from ledger.rules.channels import charges_due
from ledger.rules.families import Settlement, Share
from ledger.rules.follower import EventKey

Place = tuple[str, str]
"""An account and a period."""

ALONE = Share("applied")
"""The share of what belongs to no family: an adjustment is applied, whatever else is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """What the families say that an event belongs to.

    Attributes:
        event: its key.
        original: the key by which the family goes that decides over it: of the event that it names, or its own.
        family: what that family comes to; None of an adjustment.
        reservation: what the family of the reservation comes to that a shipment names; None if it names none.
        statements: every statement of goods among these events, its own last.
    """

    event: EventKey
    original: EventKey
    family: Settlement | None
    reservation: Settlement | None = None
    statements: Sequence[Assessment] = ()

    @property
    def share(self) -> Share:
        """What the event has come to."""
        return self.family.shares[self.event] if self.family is not None else ALONE

    @property
    def use(self) -> Share:
        """What the event took of the reservation that it names."""
        return self.reservation.shares[self.event] if self.reservation is not None else Share(None)

    @property
    def stands(self) -> bool:
        """Whether the event is the statement that its family is charged by."""
        standing = self.family.standing if self.family is not None else None
        return standing is not None and (standing.event.source, standing.event.id) == self.event

    @property
    def about(self) -> Assessment | None:
        """The statement whose goods are moved: of the family's statements the one that stands, if any does."""
        standing = self.family.standing if self.family is not None else None
        return standing.assessment if standing is not None else None

    def accounts(self) -> dict[Place, tuple[ChargeDue, Case]]:
        """Every account that the goods of these events debit, and the case by which they do."""
        found = {}
        for statement in self.statements:
            for due in statement.charges or charges_due(statement.case, 1, "posted")[0]:
                found[due.account, due.period] = due, statement.case
        return found
