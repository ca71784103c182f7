"""Whether a licence is required, as far as a policy says. Whether one was given is not asked here."""

from datetime import date
from functools import lru_cache

from ledger.chips import is_booked
from ledger.policy import Policy, Standing
from ledger.policy_document import NamedCountry, Tier3License, TiersLicense, ZoneLicense
from ledger.rules.parties import normalised
from ledger.rules.parts import PartsList
from schemas.decision import Tier
from schemas.shipment_event import ShipmentData

Answer = tuple[bool | None, tuple[str, str] | None]
"""True, false, or None where the policy does not say; and the (rule, source) that says so."""

_SILENT: Answer = (None, None)


def license_required(
    data: ShipmentData,
    listed: PartsList,
    *,
    destination: Standing,
    tier: Tier,
    owner: Standing | None,
    channel: str,
    day: date,
    policy: Policy,
) -> Answer:
    """Whether these goods need a licence.

    Args:
        data: what was stated.
        listed: the lines as they were read.
        destination: where the goods go.
        tier: that of the shipment, headquarters considered.
        owner: where a Tier-3 headquarters of the buyer is, if it has one.
        channel: the one claimed.
        day: of the shipment.
        policy: the one that is asked.
    """
    rule = policy.license
    if isinstance(rule, ZoneLicense):
        return _by_zone(rule, data, listed, destination=destination, owner=owner, day=day, policy=policy)
    return _by_tier(policy, tier, channel, booked=listed.booked_tpp > 0)


@lru_cache(maxsize=1024)
def _by_tier(policy: Policy, tier: Tier, channel: str, *, booked: bool) -> Answer:
    """Tier 3 needs one, whatever the items are; or tiers and channels decide, for booked items alone. Remembered."""
    rule = policy.license
    if isinstance(rule, Tier3License):
        return (True, ("Tier 3 needs a licence", policy.cite(rule))) if tier == 3 else _SILENT  # noqa: PLR2004  a tier's number is its name
    assert isinstance(rule, TiersLicense)
    if not booked:
        return _SILENT
    if tier != 1 and channel in rule.channels:
        return True, (f"items of level .a need a licence for Tier {tier}", policy.cite(rule))
    if tier == 1 and channel in rule.tier1_free:
        return False, (f"{channel.upper()} needs no licence for Tier 1", policy.cite(rule))
    return _SILENT


def _by_zone(
    rule: ZoneLicense,
    data: ShipmentData,
    listed: PartsList,
    *,
    destination: Standing,
    owner: Standing | None,
    day: date,
    policy: Policy,
) -> Answer:
    """Asked for items of level .a and .b, and those that may be."""
    if not listed.booked_tpp and not any(_is_controlled(line.eccn) for line in listed.lines):
        return _SILENT
    if owner is not None:
        headquarters = policy.detection.headquarters
        said = f"a buyer headquartered in {owner.name} needs a licence wherever the goods go"
        return True, (said, policy.cite(headquarters or rule))
    for named in rule.named:
        if destination.country in named.countries and named.holds(day):
            return _by_name(named, data, destination, day, policy)
    return _by_groups(policy, destination.country, day)


@lru_cache(maxsize=4096)
def _by_groups(policy: Policy, country: str, day: date) -> Answer:
    """Whether a destination lies in the zone on a day. Remembered, for every event asks."""
    rule, destination = policy.license, policy.standing(country, day)
    assert isinstance(rule, ZoneLicense)
    if not destination.groups.isdisjoint(rule.inside) and destination.groups.isdisjoint(rule.outside):
        return True, (f"{destination.name} is in the licence zone", policy.cite(rule))
    return False, (f"{destination.name} is outside the licence zone", policy.cite(rule))


def _by_name(named: NamedCountry, data: ShipmentData, destination: Standing, day: date, policy: Policy) -> Answer:
    """A country outside the zone that needs one by name, except for listed parties and their subsidiaries."""
    consignee = data.get("consignee")
    parent = consignee.get("ultimate_parent") if consignee else None
    parties = {normalised(party.get("name") or "") for party in (consignee, parent) if party}
    for listed in named.listed:
        for name in listed.names:
            if normalised(name) in parties and listed.holds(day):
                return False, (f"{name} is listed: it needs no licence for {destination.name}", policy.cite(listed))
    return True, (f"{destination.name} needs a licence by name", policy.cite(named))


def _is_controlled(eccn: str | None) -> bool:
    return is_booked(eccn) or (eccn is not None and eccn.endswith(".b"))
