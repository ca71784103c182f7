"""What an event deserves under a policy. Pure: no balance is known here, nothing is written, no clock is read."""

from ledger.countries import CountryTable
from ledger.policy import Policy
from ledger.rules.ascend import ascend_notice
from ledger.rules.assessment import Assessment, ChargeDue, Notice
from ledger.rules.parts import check_amounts, mismatch_notice, read_lines, unknown_notice
from ledger.rules.tier import TIER_3, headquarters_notice, tier3_notice, tier3_owner
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import ShipmentData, ShipmentEvent

BOOKED_NOW = ("shipment.shipped", "compute.used")
"""The types of events that are judged."""


def assess(event: ShipmentEvent, policy: Policy) -> Assessment:
    """Judge one event.

    Raises:
        RejectedRecord: with every error found: a type that is not booked yet, a code that is no country, an amount
            beyond `TPP_MAX`.
    """
    if event.type not in BOOKED_NOW:
        advice = f"{event.type} is not booked yet; write {' or '.join(BOOKED_NOW)}"
        raise RejectedRecord([FieldError("unknown_type", "type", advice)], event.key)
    data = event.data
    stated_destination, stated_lines = data.get("destination"), data.get("lines")
    assert stated_destination is not None  # the reader refuses such an event
    assert stated_lines is not None
    _check_countries(event, policy.countries)
    day = event.shipped_at.date()
    noted = event.type == "compute.used"
    notices: list[Notice] = []

    destination = policy.standing(stated_destination, day)
    tier, tier_reason, rules = destination.tier, destination.reason, list(destination.rules)
    if tier == TIER_3 and policy.detection.tier3:
        notices.append(tier3_notice(destination))
    if owner := tier3_owner(data, day, policy):
        field, seat = owner
        notices.append(headquarters_notice(field, seat))
        rules.append((f"a buyer headquartered in {seat.name} counts as Tier 3 wherever the goods go", seat.source))
        if tier != TIER_3:
            tier, tier_reason = TIER_3, f"the buyer is headquartered in {seat.name}"

    listed = read_lines(stated_lines, policy.catalogue)
    check_amounts(event, listed, _prefix(event))
    if not noted:
        if listed.held:
            notices.append(unknown_notice(listed))
        if listed.mismatches:
            notices.append(mismatch_notice(listed))

    charges = []
    if listed.booked_tpp and not noted and destination.period is not None:
        rules.append(policy.booking_rule)
        charges.append(
            ChargeDue(
                "country",
                destination.account,
                destination.country,
                destination.period,
                "posted",
                listed.booked_tpp,
            )
        )

    if ascend := ascend_notice(stated_lines, day, policy):
        notice, source = ascend
        notices.append(notice)
        rules.append(("Ascend parts are told of anywhere in the world", source))

    license_required = True if tier == TIER_3 else None
    held = [] if noted else listed.held
    return Assessment(tier, tier_reason, license_required, listed.lines, charges, held, notices, rules, noted)


def _check_countries(event: ShipmentEvent, countries: CountryTable) -> None:
    """Every code that the event states must be a country of the table."""
    errors = []
    for field, code in _stated_countries(event.data):
        if code is not None and code not in countries:
            errors.append(FieldError("unknown_country", _prefix(event) + field, countries.advice(code)))
    if errors:
        raise RejectedRecord(errors, event.key)


def _stated_countries(data: ShipmentData) -> list[tuple[str, str | None]]:
    """Each field of an event that holds a country's code."""
    stated = [("destination", data.get("destination")), ("origin", data.get("origin"))]
    if exporter := data.get("exporter"):
        stated.append(("exporter.country", exporter.get("country")))
    if consignee := data.get("consignee"):
        stated.append(("consignee.country", consignee.get("country")))
        stated.append(("consignee.headquarters", consignee.get("headquarters")))
        if parent := consignee.get("ultimate_parent"):
            stated.append(("consignee.ultimate_parent.country", parent.get("country")))
    if bill_to := data.get("bill_to"):
        stated.append(("bill_to.country", bill_to.get("country")))
    if end_use := data.get("end_use"):
        stated.append(("end_use.model_developer_country", end_use.get("model_developer_country")))
    return stated


def _prefix(event: ShipmentEvent) -> str:
    """Where the data lies in the record: a bare event's data is the record, and holds its id."""
    return "" if "id" in event.data else "data."
