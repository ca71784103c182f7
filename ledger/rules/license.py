"""Whether a licence is required, as far as a policy says. Whether one was given is not asked here."""

from ledger.chips import is_controlled
from ledger.policy import Policy
from ledger.policy_document import NamedCountry, Tier3License, TiersLicense, ZoneLicense, last_that_fits
from ledger.rules.assessment import Assessment, Case
from ledger.rules.parties import normalised
from ledger.rules.tier import TIER_3
from schemas.decision import Tier

Answer = tuple[bool | None, tuple[str, str] | None]
"""True, false, or None where the policy does not say; and the (rule, source) that says so."""

_SILENT: Answer = (None, None)


def license_required(assessment: Assessment) -> Answer:
    """Whether the goods of an event need a licence, as far as the policy it was assessed under says."""
    policy = assessment.case.policy
    if not assessment.items:
        return _SILENT
    rule, booked = policy.license, any(item.booked for item in assessment.items)
    if isinstance(rule, ZoneLicense):
        return _by_zone(rule, assessment)
    return _by_tier(policy, assessment.tier, assessment.case.channel, booked=booked)


def _by_tier(policy: Policy, tier: Tier, channel: str, *, booked: bool) -> Answer:
    """Tier 3 needs one, whatever the items are; or tiers and channels decide, for booked items alone."""
    rule = policy.license
    if isinstance(rule, Tier3License):
        return (True, ("Tier 3 needs a licence", policy.cite(rule))) if tier == TIER_3 else _SILENT
    assert isinstance(rule, TiersLicense)
    if not booked:
        return _SILENT
    if tier != 1 and channel in rule.channels:
        return True, (f"items of level .a need a licence for Tier {tier}", policy.cite(rule))
    if tier == 1 and channel in rule.tier1_free:
        return False, (f"{channel.upper()} needs no licence for Tier 1", policy.cite(rule))
    return _SILENT


def _by_zone(rule: ZoneLicense, assessment: Assessment) -> Answer:
    """Asked for items of level .a and .b, and those that may be."""
    if not any(is_controlled(item.eccn) for item in assessment.items):
        return _SILENT
    case, owner = assessment.case, assessment.owner
    if owner is not None and owner[1].tier == TIER_3:
        said = f"a buyer headquartered in {owner[1].name} needs a licence wherever the goods go"
        return True, (said, case.policy.cite(case.standings.detection.headquarters or rule))
    if named := last_that_fits(rule.named, case.destination.country, case.day):
        return _by_name(named, case)
    groups, source = case.destination.groups, case.policy.cite(rule)
    if not groups.isdisjoint(rule.inside) and groups.isdisjoint(rule.outside):
        return True, (f"{case.destination.name} is in the licence zone", source)
    return False, (f"{case.destination.name} is outside the licence zone", source)


def _by_name(named: NamedCountry, case: Case) -> Answer:
    """A country outside the zone that needs one by name, except for listed parties and their subsidiaries."""
    consignee, country = case.data.get("consignee"), case.destination.name
    parent = consignee.get("ultimate_parent") if consignee else None
    parties = {normalised(party.get("name") or "") for party in (consignee, parent) if party} - {""}
    for listed in named.listed:
        for name in listed.names:
            if normalised(name) in parties and listed.holds(case.day):
                return False, (f"{name} is listed: it needs no licence for {country}", case.policy.cite(listed))
    return True, (f"{country} needs a licence by name", case.policy.cite(named))
