"""Events that name another: which one they name, and what is wrong with them by themselves.

What they change is not known here: that is settled with their whole family (`families.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.policy import Policy
from ledger.rules.assessment import Item
from ledger.rules.door import refusal
from ledger.rules.parties import countries_stated
from ledger.rules.parts import count_as_resolved, read_lines
from schemas.shipment_event import STATES_ITEMS, TPP_MAX, Line, ShipmentEvent

FIRST_EVENTS = frozenset({"shipment.reserved", "shipment.shipped", "compute.used"})
"""Types that others may name."""

FOLLOWERS = frozenset({"shipment.returned", "shipment.cancelled", "shipment.corrected", "shipment.resolved"})
"""Types that are nothing without the event they name."""

EventKey = tuple[str, str]
"""Source and id of an event."""


def own_key(event: ShipmentEvent) -> EventKey:
    """The event's own key."""
    return event.source, event.id


def original_of(event: ShipmentEvent) -> EventKey | None:
    """The key of the event that this one names, under its own source unless it gives another; None if it names none.

    A shipment may name a reservation. What other first events, and adjustments, state there means nothing.
    """
    original_id = event.data.get("original_id")
    if original_id is None or (event.type not in FOLLOWERS and event.type != "shipment.shipped"):
        return None
    return event.data.get("original_source") or event.source, original_id


def family_of(event: ShipmentEvent) -> EventKey | None:
    """The key of the original whose family an event belongs to: the one that it names; of a reservation, its own.

    None of an event that names none, though others may name it.
    """
    return own_key(event) if event.type == "shipment.reserved" else original_of(event)


@dataclass(frozen=True, slots=True)
class Following:
    """A return, cancel or resolution by itself: what each of the lines that it lists is."""

    lines: Sequence[Line]
    items: Sequence[Item]


def assess_follower(event: ShipmentEvent, policy: Policy) -> Following:
    """Judge a return, a cancel or a resolution by itself: its parts, as its own record's policy names them.

    A return's amounts are held to the same limit as a shipment's. A cancel takes all there is: lines that it states
    besides are not looked at. The lines of a resolution count as it states them.

    Raises:
        RejectedRecord: with every error found: a code that is no country, an amount beyond `TPP_MAX`.
    """
    lines = () if event.type == "shipment.cancelled" else event.data.get("lines") or ()
    items, booked_tpp, largest_tpp, _ = read_lines(lines, policy.catalogue)
    known = policy.countries.codes_or_none.issuperset(countries_stated(event.data))
    if not known or (event.type in STATES_ITEMS and max(largest_tpp, booked_tpp) > TPP_MAX):
        raise refusal(event, policy)
    if event.type == "shipment.resolved":
        items = [
            count_as_resolved(item, line.get("vendor"), line.get("tpp_each") or 0, policy.catalogue)
            for line, item in zip(lines, items, strict=True)
        ]
    return Following(lines, items)
