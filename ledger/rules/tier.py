"""The tier of a shipment: Tier 3 is told of, and so are buyers headquartered in it wherever the goods go.

Which country is in which tier on a day is the policy's.
"""

from typing import Literal

from ledger.policy import Standing
from ledger.rules.assessment import Case, Notice
from schemas.decision import Tier
from schemas.shipment_event import Consignee

TIER_2: Literal[2] = 2
TIER_3: Literal[3] = 3


def tier_of_shipment(case: Case) -> tuple[Tier, tuple[str, Standing] | None]:
    """The tier of a shipment, the destination's or the buyer's if that is worse.

    Returns:
        The tier, and the field that names the headquarters by which it is worse, or one in Tier 3, with that country.
    """
    destination, consignee = case.destination, case.data.get("consignee")
    if consignee is None:
        return destination.tier, None
    detection = case.standings.detection
    if detection.headquarters is not None and (owner := _owner_in(TIER_3, consignee, case)):
        return TIER_3, owner
    # which country's quota the next debits is not said by any text: the destination's, as ever
    if destination.tier == 1 and detection.tier2_headquarters is not None:  # noqa: SIM102  a rule, then its facts
        if owner := _owner_in(TIER_2, consignee, case):
            return TIER_2, owner
    return destination.tier, None


def tier_notices(case: Case, owner: tuple[str, Standing] | None) -> list[Notice]:
    """The alerts that a destination in Tier 3, and an owner headquartered in it, give rise to."""
    notices, destination = [], case.destination
    if destination.tier == TIER_3 and case.standings.detection.tier3:
        said = f"{destination.name} is in Tier 3: {destination.reason}."
        where = {"destination": destination.country, "reason": destination.reason, "source": destination.source}
        notices.append(Notice("tier3.shipment", "critical", said, where))
    if owner is not None and owner[1].tier == TIER_3:
        field, seat = owner
        who = "consignee" if field == "consignee.headquarters" else "consignee's ultimate parent"
        said = f"The {who} is headquartered in {seat.name}, which is in Tier 3: {seat.reason}."
        where = {"field": field, "country": seat.country, "reason": seat.reason, "source": seat.source}
        notices.append(Notice("hq.tier3", "critical", said, where))
    return notices


def _owner_in(tier: Tier, consignee: Consignee, case: Case) -> tuple[str, Standing] | None:
    """Who of the buyer's owners sits in a tier on that day, and where: the nearest first."""
    seat = consignee.get("headquarters")
    if seat is not None and (standing := case.standings[seat]).tier == tier:
        return "consignee.headquarters", standing
    parent = consignee.get("ultimate_parent")
    seat = parent.get("country") if parent else None
    if seat is not None and (standing := case.standings[seat]).tier == tier:
        return "consignee.ultimate_parent.country", standing
    return None
