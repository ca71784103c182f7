"""The first sentence of a receipt: what the event says, before anything is made of it."""

from ledger.rules.assessment import Assessment
from ledger.rules.follower import Following
from schemas.shipment_event import EventType, ShipmentEvent

_GOES: dict[EventType, str] = {
    "shipment.shipped": "goes to",
    "shipment.reserved": "is reserved for",
    "shipment.corrected": "goes, as corrected, to",
    "compute.used": "is in use in",
}


def opening(event: ShipmentEvent, judged: Assessment | Following, original: str) -> str:
    """What goes where and when, what comes back, or who says what.

    Args:
        event: the event.
        judged: what it is by itself.
        original: the key of the event that it names, printed; its own if it names none.
    """
    data, name = event.data, event.data.get("shipment_id") or event.id
    approved = f", approved by {data['approved_by']}" if data.get("approved_by") else ""
    if isinstance(judged, Following):
        if event.type == "shipment.resolved":
            return f"{data.get('actor')} says what held items of {original} are{approved}: {data.get('reason')}."
        if event.type == "shipment.cancelled" or not judged.lines:
            return f"{name} takes back all that is left of {original}."
        return f"{name} takes items of {original} back."
    destination = judged.case.destination
    if event.type == "ledger.adjusted":
        return f"{data.get('actor')} adjusts {destination.name} {data.get('period')}{approved}: {data.get('reason')}."
    where = f"{_GOES[event.type]} {destination.name} on {judged.case.day.isoformat()}"
    return f"{name} {where}: Tier {judged.tier}, {judged.tier_reason}."
