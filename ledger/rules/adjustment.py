"""A person's booking: so much TPP, more or less, on a country in a period. It belongs to no shipment."""

from ledger.errors import WrongCall
from ledger.policy import Policy
from ledger.policy_document import DEFAULT_CHANNEL
from ledger.rules.assessment import Assessment, Case, ChargeDue
from ledger.rules.door import refusal
from ledger.rules.parties import countries_stated
from schemas.shipment_event import ShipmentEvent


def assess_adjustment(event: ShipmentEvent, policy: Policy) -> Assessment:
    """Judge a `ledger.adjusted`: it books what it states, and nothing but its balance is told of.

    Tier and cap that are told of it are those of the period's last day, for it has no day of its own. A balance may be
    brought below zero: what a person books is not cut to what is there, which would depend on the order of events.

    Raises:
        RejectedRecord: with every error found: no such country, no such period in this policy.
    """
    country, period, tpp = event.data.get("country"), event.data.get("period"), event.data.get("tpp")
    assert country is not None  # the reader refuses such an event
    assert period is not None
    assert tpp is not None
    try:
        last = policy.period_days(period)[1]
    except WrongCall:
        raise refusal(event, policy) from None
    if country not in policy.countries or not policy.countries.codes_or_none.issuperset(countries_stated(event.data)):
        raise refusal(event, policy)
    standings = policy.standings_on(last)
    standing = standings[country]
    charges = [ChargeDue("country", standing.account, country, period, "posted", tpp)] if tpp else []
    case = Case(event.data, (), last, standings, standing, DEFAULT_CHANNEL, policy)
    return Assessment(case, standing.tier, None, [], charges, [], [], noted=False)
