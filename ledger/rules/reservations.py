"""Quota that is held for shipments to come: until they use it, somebody cancels it, or its time is over.

A shipment uses what it first states, whatever is corrected or returned later, and whatever accounts it debits itself.
"""

from dataclasses import dataclass
from datetime import datetime

from ledger.rules.assessment import Assessment
from schemas.shipment_event import ShipmentEvent


@dataclass(frozen=True, slots=True)
class Term:
    """How long a reservation holds, as the statement of it that stands says.

    Attributes:
        expires_at: None if it never expires.
        expired: whether it has, by the ledger's time.
    """

    expires_at: datetime | None
    expired: bool

    def is_over(self, moment: datetime) -> bool:
        """Whether what happened at that moment came too late, for the reservation has expired by then."""
        return self.expires_at is not None and self.expired and moment >= self.expires_at


FOR_EVER = Term(None, expired=False)
"""The term of what is no reservation."""


def term_of(reservation: ShipmentEvent, at: datetime) -> Term:
    """The term of a reservation at the ledger's time: from `expires_at` on it has expired."""
    expires_at = reservation.data.get("expires_at")
    return Term(expires_at, expires_at is not None and expires_at <= at)


def use(left_tpp: int, shipment: Assessment) -> int:
    """The TPP by which a reservation falls when a shipment names it: what that states, and no more than is left."""
    return min(left_tpp, shipment.booked_tpp)
