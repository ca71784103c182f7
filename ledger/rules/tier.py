"""Tier 3: shipments to it, and buyers that are headquartered in it wherever the goods go.

Which country is in which tier on a day is the policy's.
"""

from datetime import date
from typing import Literal

from ledger.policy import Policy, Standing
from ledger.rules.assessment import Notice
from schemas.shipment_event import ShipmentData

TIER_2: Literal[2] = 2
TIER_3: Literal[3] = 3


def tier3_notice(destination: Standing) -> Notice:
    """The alert that a destination in Tier 3 gives rise to."""
    return Notice(
        "tier3.shipment",
        "critical",
        f"{destination.name} is in Tier 3: {destination.reason}.",
        {"destination": destination.country, "reason": destination.reason, "source": destination.source},
    )


def tier3_owner(data: ShipmentData, day: date, policy: Policy) -> tuple[str, Standing] | None:
    """Who of the buyer's owners sits in Tier 3 on that day, and where: (field, standing), the nearest first."""
    rule = policy.detection.headquarters
    consignee = data.get("consignee")
    if consignee is None or rule is None or not rule.holds(day):
        return None
    parent = consignee.get("ultimate_parent")
    for field, seat in (
        ("consignee.headquarters", consignee.get("headquarters")),
        ("consignee.ultimate_parent.country", parent.get("country") if parent else None),
    ):
        if seat is not None and (standing := policy.standing(seat, day)).tier == TIER_3:
            return field, standing
    return None


def tier2_owner(data: ShipmentData, day: date, policy: Policy) -> Standing | None:
    """Where in Tier 2 one of the buyer's owners sits, if the policy makes a shipment to Tier 1 one of Tier 2 then.

    Which country's quota that debits is not said by any text: the destination's, as ever.
    """
    rule, consignee = policy.detection.tier2_headquarters, data.get("consignee")
    if rule is None or consignee is None or not rule.holds(day):
        return None
    parent = consignee.get("ultimate_parent")
    for seat in (consignee.get("headquarters"), parent.get("country") if parent else None):
        if seat is not None and (standing := policy.standing(seat, day)).tier == TIER_2:
            return standing
    return None


def headquarters_notice(field: str, seat: Standing) -> Notice:
    """The alert that an owner in Tier 3 gives rise to."""
    who = "consignee" if field == "consignee.headquarters" else "consignee's ultimate parent"
    return Notice(
        "hq.tier3",
        "critical",
        f"The {who} is headquartered in {seat.name}, which is in Tier 3: {seat.reason}.",
        {"field": field, "country": seat.country, "reason": seat.reason, "source": seat.source},
    )
