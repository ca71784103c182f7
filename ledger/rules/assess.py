"""What an event deserves under a policy. Pure: no balance is known here, nothing is written, no clock is read."""

from datetime import date

from ledger.countries import CountryTable
from ledger.policy import Policy, Standing
from ledger.rules.ascend import ascend_notice
from ledger.rules.assessment import Assessment, ChargeDue, Told
from ledger.rules.channels import channel_of, channel_rule, charges_due, notice_due
from ledger.rules.end_use import end_use_notice
from ledger.rules.license import license_required
from ledger.rules.parts import PartsList, mismatch_notice, read_lines, refused_amounts, unknown_notice
from ledger.rules.red_flags import Stated, may_show, prc_chip_notice, red_flag_notices
from ledger.rules.tier import TIER_2, TIER_3, headquarters_notice, tier2_owner, tier3_notice, tier3_owner
from ledger.rules.weights import weights_notice
from schemas.decision import Tier
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import TPP_MAX, ShipmentData, ShipmentEvent

BOOKED_NOW = ("shipment.shipped", "compute.used")
"""The types of events that are judged."""


def assess(event: ShipmentEvent, policy: Policy) -> Assessment:
    """Judge one event: its tier, its parts, what it charges, its licence, and whatever is to be told of it.

    Raises:
        RejectedRecord: with every error found: a type that is not booked yet, a code that is no country, an amount
            beyond `TPP_MAX`.
    """
    if event.type not in BOOKED_NOW:
        advice = f"{event.type} is not booked yet; write {' or '.join(BOOKED_NOW)}"
        raise RejectedRecord([FieldError("unknown_type", "type", advice)], event.key)
    data = event.data
    stated_destination, lines = data.get("destination"), data.get("lines")
    assert stated_destination is not None  # the reader refuses such an event
    assert lines is not None
    _check_countries(event, policy.countries)
    day = event.shipped_at.date()
    destination = policy.standing(stated_destination, day)
    told = Told(destination.rules)

    tier, tier_reason, owner = _tier(data, destination, day, policy, told)
    listed = read_lines(lines, policy.catalogue)
    if listed.largest_tpp > TPP_MAX or listed.booked_tpp > TPP_MAX:
        raise refused_amounts(event, listed, _prefix(event))
    channel, noted = channel_of(data), event.type == "compute.used"
    charges = (
        []
        if noted
        else _book(data, listed, destination=destination, day=day, channel=channel, policy=policy, told=told)
    )

    license_needed, reason = license_required(
        data, listed, destination=destination, tier=tier, owner=owner, channel=channel, day=day, policy=policy
    )
    if reason:
        told.rules.append(reason)

    told.of("Ascend parts are told of anywhere in the world", ascend_notice(lines, day, policy))
    if listed.prc_made:
        told.of("a breach is presumed in such parts' making", prc_chip_notice(lines, listed.lines, day, policy))
    if listed.weights:
        told.of("model weights are controlled outside Tier 1", weights_notice(listed.lines, tier, day, policy))
    if end_use := data.get("end_use"):
        told.of("models from Tier 3 are told of", end_use_notice(end_use, day, policy))
    if may_show(data, lines, channel):
        booked_tpp = 0 if noted else listed.booked_tpp
        if flags := red_flag_notices(Stated(data, lines, destination, day, channel, booked_tpp, policy)):
            notices, source = flags
            told.notices += notices
            told.rules.append(("red flags are told of, on stated data only", source))
    held = [] if noted else listed.held
    return Assessment(
        tier, tier_reason, license_needed, listed.lines, charges, held, told.notices, told.rules, noted, channel
    )


def _tier(
    data: ShipmentData, destination: Standing, day: date, policy: Policy, told: Told
) -> tuple[Tier, str, Standing | None]:
    """The tier of a shipment and why: the destination's, or the buyer's if that is worse; and a Tier-3 owner's seat."""
    if destination.tier == TIER_3 and policy.detection.tier3:
        told.notices.append(tier3_notice(destination))
    if data.get("consignee") is None:
        return destination.tier, destination.reason, None
    if found := tier3_owner(data, day, policy):
        field, owner = found
        told.notices.append(headquarters_notice(field, owner))
        rule = policy.detection.headquarters
        assert rule is not None
        told.rules.append(
            (f"a buyer headquartered in {owner.name} counts as Tier 3 wherever the goods go", policy.cite(rule))
        )
        if destination.tier != TIER_3:
            return TIER_3, f"the buyer is headquartered in {owner.name}", owner
        return destination.tier, destination.reason, owner
    if destination.tier == 1 and (seat := tier2_owner(data, day, policy)):
        rule = policy.detection.tier2_headquarters
        assert rule is not None
        told.rules.append((f"a buyer headquartered in {seat.name} counts as Tier 2 in Tier 1 too", policy.cite(rule)))
        return TIER_2, f"the buyer is headquartered in {seat.name}", None
    return destination.tier, destination.reason, None


def _book(
    data: ShipmentData, listed: PartsList, *, destination: Standing, day: date, channel: str, policy: Policy, told: Told
) -> list[ChargeDue]:
    """What a shipment charges. Lines that nobody can count, or book, are held."""
    if listed.held:
        told.notices.append(unknown_notice(listed))
    if listed.mismatches:
        told.notices.append(mismatch_notice(listed))
    if not listed.booked_tpp:
        return []
    charges, missing = charges_due(data, channel, listed.booked_tpp, destination=destination, day=day, policy=policy)
    if missing:
        listed.held += [(number, missing) for number, line in enumerate(listed.lines) if line.booked]
    if charges:
        told.rules.append(policy.booking_rule)
    if rule := channel_rule(channel, policy):
        told.rules.append(rule)
    told.of("large shipments under LPP are notified first", notice_due(channel, listed.booked_tpp, policy))
    return charges


def _check_countries(event: ShipmentEvent, countries: CountryTable) -> None:
    """Every code that the event states must be a country of the table."""
    errors = [
        FieldError("unknown_country", _prefix(event) + field, countries.advice(code))
        for field, code in _stated_countries(event.data)
        if code is not None and code not in countries
    ]
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
