"""The door: an event of any type, judged by itself, or refused with everything that is wrong with it."""

from ledger.policy import Policy
from ledger.rules.adjustment import assess_adjustment
from ledger.rules.assess import STATEMENTS, assess
from ledger.rules.assessment import Assessment
from ledger.rules.follower import Following, assess_follower
from schemas.shipment_event import ShipmentEvent


def judge(event: ShipmentEvent, policy: Policy) -> Assessment | Following:
    """Judge one event, whatever else is known. What it comes to with those that name it is `families.py`'s.

    Returns:
        What a statement of goods or an adjustment deserves; of a return, cancel or resolution only what it lists.

    Raises:
        RejectedRecord: with every error found.
    """
    if event.type in STATEMENTS:
        return assess(event, policy)
    return assess_adjustment(event, policy) if event.type == "ledger.adjusted" else assess_follower(event, policy)
