"""What an event deserves under a policy. Pure: no balance is known here, nothing is written, no clock is read.

Every event comes by here, so only what is done is worked out; what is said of it is `describe.py`'s.
"""

from ledger.policy import Policy
from ledger.policy_document import DEFAULT_CHANNEL
from ledger.rules.ascend import ascend_notice
from ledger.rules.assessment import Assessment, Case, ChargeDue
from ledger.rules.channels import channel_of, charges_due, notice_due
from ledger.rules.door import refusal
from ledger.rules.end_use import end_use_notice
from ledger.rules.parties import TAKE_PART, countries_stated
from ledger.rules.parts import mismatch_notice, prc_chip_notice, read_lines, unknown_notice
from ledger.rules.red_flags import red_flag_notices
from ledger.rules.tier import TIER_3, tier_notices, tier_of_shipment
from ledger.rules.weights import weights_notice
from schemas.decision import ChargeState
from schemas.shipment_event import TPP_MAX, ShipmentEvent

STATEMENTS = frozenset({"shipment.reserved", "shipment.shipped", "shipment.corrected", "compute.used"})
"""The types of events that state goods, where they go and when."""


def assess(event: ShipmentEvent, policy: Policy) -> Assessment:
    """Judge one event that states goods: its tier, its parts, what it charges, and whatever is to be told of it.

    A correction is judged as the shipment that it states: what it corrects is not known here.

    Raises:
        RejectedRecord: with every error found: a code that is no country, an amount beyond `TPP_MAX`.
    """
    data = event.data
    stated_destination, lines = data.get("destination"), data.get("lines")
    assert stated_destination is not None  # the reader refuses such an event
    assert lines is not None
    alone = TAKE_PART.isdisjoint(data)
    codes = policy.countries.codes_or_none
    if stated_destination not in codes or not (alone or codes.issuperset(countries_stated(data))):
        raise refusal(event, policy)
    day = event.shipped_at.date()
    channel = DEFAULT_CHANNEL if alone else channel_of(data)
    standings = policy.standings_on(day)
    case = Case(data, lines, day, standings, standings[stated_destination], channel, policy)
    items, booked_tpp, largest_tpp, remarkable = read_lines(lines, policy.catalogue)
    if largest_tpp > TPP_MAX or booked_tpp > TPP_MAX:
        raise refusal(event, policy)

    noted = event.type == "compute.used"
    tier, owner = (case.destination.tier, None) if alone else tier_of_shipment(case)
    notices = tier_notices(case, owner) if tier == TIER_3 else []
    held: list[tuple[int, str]] = []
    charges: list[ChargeDue] = []
    if noted:
        booked_tpp = 0
    elif remarkable:
        held = [(number, item.held) for number, item in enumerate(items) if item.held is not None]
        notices += unknown_notice(items, held) + mismatch_notice(case, items)
    if booked_tpp:
        state: ChargeState = "reserved" if event.type == "shipment.reserved" else "posted"
        charges, missing = charges_due(case, booked_tpp, state)
        if missing is not None:
            held += [(number, missing) for number, item in enumerate(items) if item.booked]
        if channel == "lpp":
            notices += notice_due(case, booked_tpp)
    if remarkable:
        notices += ascend_notice(case, items) + prc_chip_notice(case, items) + weights_notice(case, items, tier)
    if remarkable or not alone:
        notices += end_use_notice(case) + red_flag_notices(case, booked_tpp)
    return Assessment(case, tier, owner, items, charges, held, notices, noted)
