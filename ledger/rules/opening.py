"""The first sentence of a receipt: what the event says, before anything is made of it."""

from ledger.rules.assessment import Assessment
from schemas.shipment_event import EventType, ShipmentEvent

_GOES: dict[EventType, str] = {
    "shipment.shipped": "goes to",
    "shipment.reserved": "is reserved for",
    "shipment.corrected": "goes, as corrected, to",
    "compute.used": "is in use in",
}


def opening(event: ShipmentEvent, assessment: Assessment) -> str:
    """What goes where and when, or who adjusts what."""
    data, destination = event.data, assessment.case.destination
    if event.type == "ledger.adjusted":
        approved = f", approved by {data['approved_by']}" if data.get("approved_by") else ""
        return f"{data.get('actor')} adjusts {destination.name} {data.get('period')}{approved}: {data.get('reason')}."
    where = f"{_GOES[event.type]} {destination.name} on {assessment.case.day.isoformat()}"
    return f"{data.get('shipment_id') or event.id} {where}: Tier {assessment.tier}, {assessment.tier_reason}."
