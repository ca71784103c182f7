"""The channel under which goods move: which accounts it debits, and by which limit each of them is measured.

A channel never flows over into another: past its limit it is booked where it was claimed.
"""

from datetime import date
from functools import lru_cache

from ledger.periods import CalendarYears, Quarters
from ledger.policy import Policy
from ledger.policy_document import DEFAULT_CHANNEL, LppMeter
from ledger.rules.assessment import Case, ChargeDue, Notice
from ledger.rules.levels import Limits
from ledger.rules.parties import key_of, owner_of
from schemas.decision import ChargeState
from schemas.shipment_event import Consignee, ShipmentData

_years, _quarters = CalendarYears(), Quarters()

_NO_COMPANY = "state the consignee's id, or its name"


def channel_of(data: ShipmentData) -> str:
    """The channel that a shipment claims; an individual licence unless it says another."""
    authorization = data.get("authorization")
    return (authorization.get("kind") if authorization else None) or DEFAULT_CHANNEL


def charges_due(case: Case, tpp: int, state: ChargeState) -> tuple[list[ChargeDue], str | None]:
    """What a shipment charges to which accounts, each of them the same amount.

    Args:
        case: the shipment.
        tpp: what it comes to.
        state: `reserved` if it is a reservation.

    Returns:
        The charges, and why nothing can be charged until more is told; None if all is known.
    """
    destination, channel, policy = case.destination, case.channel, case.policy
    period = destination.period
    if period is None:
        return [], None
    charges = []
    if channel in policy.debit_country:
        charges.append(ChargeDue("country", destination.account, destination.country, period, state, tpp))
    if channel == DEFAULT_CHANNEL:
        return charges, None
    meters, due, missing = policy.channels, None, None
    if channel == "lpp" and meters.lpp:
        due, missing = _lpp(case, tpp, state)
    elif channel == "nveu" and meters.nveu:
        due, missing = _nveu(case, tpp, state)
    elif channel == "uveu" and meters.uveu:
        due, missing = _uveu(case, tpp, state)
    return ([], missing) if missing else (charges + (due or []), None)


def limits_of(policy: Policy, charge: ChargeDue, today: date) -> Limits:
    """What the levels of a charge's account are measured by: the policy's cap, or a share that came with the event."""
    if charge.kind == "uveu":
        return Limits(charge.cap_tpp, policy.levels_of(charge.kind), policy.reserved_counts)
    return account_limits(policy, charge.account, charge.period, today)


def account_limits(policy: Policy, account: str, period: str, today: date) -> Limits:
    """What the policy alone measures an account by on a day. Where it sets no cap, all policies are alike."""
    cap_tpp = policy.account_cap(account, period, today)
    if cap_tpp is None:
        return Limits(None, ())
    return Limits(cap_tpp, policy.levels_of(account.partition(":")[0]), policy.reserved_counts)


def notice_due(case: Case, tpp: int) -> list[Notice]:
    """The alert that a shipment under `lpp` is large enough to be notified before it goes; none if it is not."""
    meter = case.policy.channels.lpp
    if meter is None or tpp < meter.notice_tpp:
        return []
    said = f"{tpp:,} TPP in one shipment under LPP: the agency is to be notified first, from {meter.notice_tpp:,} on."
    evidence = {"tpp": tpp, "notice_tpp": meter.notice_tpp, "source": case.policy.cite(meter)}
    return [Notice("lpp.notice", "info", said, evidence)]


def just_below(tpp: int, meter: LppMeter) -> tuple[str, int] | None:
    """Which of the limits a shipment under `lpp` stays just below, from 95 % of it on: (name, TPP)."""
    for name, limit in (("notice", meter.notice_tpp), ("limit", meter.cap_tpp)):
        if 95 * limit <= 100 * tpp < 100 * limit:
            return name, limit
    return None


@lru_cache(maxsize=64)
def channel_rule(channel: str, policy: Policy) -> tuple[str, str] | None:
    """(rule, source) of what a channel other than an individual licence debits; None for that one."""
    if channel == DEFAULT_CHANNEL:
        return None
    meters = policy.channels
    if channel == "lpp" and meters.lpp:
        limit = f"LPP may bring an ultimate parent {meters.lpp.cap_tpp:,} TPP in a calendar year"
        return limit, policy.cite(meters.lpp)
    if channel == "nveu" and meters.nveu:
        return "a national validated end user has a limit a country and quarter", policy.cite(meters.nveu)
    if channel == "uveu" and meters.uveu:
        return "a universal validated end user has limits in shares of what it owns", policy.cite(meters.uveu)
    debits = "debits" if channel in policy.debit_country else "does not debit"
    return f"the channel {channel} {debits} the country", policy.cite(meters)


def _lpp(case: Case, tpp: int, state: ChargeState) -> tuple[list[ChargeDue], str | None]:
    """An ultimate parent in a calendar year."""
    owner = key_of(owner_of(case.data.get("consignee")))
    if owner is None:
        return [], f"LPP counts by ultimate parent; {_NO_COMPANY}"
    period = _years.of(case.day) or ""
    return [ChargeDue("lpp", f"lpp:{owner}", case.destination.country, period, state, tpp)], None


def _nveu(case: Case, tpp: int, state: ChargeState) -> tuple[list[ChargeDue], str | None]:
    """A company in a country, in the quarter of the shipment and, for it is cumulative, in every later one."""
    company, country = key_of(case.data.get("consignee")), case.destination.country
    if company is None:
        return [], f"NVEU counts by company; {_NO_COMPANY}"
    account = f"nveu:{company}:{country}"
    own, *later = case.policy.nveu_quarters(_quarters.of(case.day) or "")
    charges = [ChargeDue("nveu", account, country, own, state, tpp)]
    charges += [ChargeDue("nveu", account, country, to, state, tpp, carried=True) for to in later]
    return charges, None


def _uveu(case: Case, tpp: int, state: ChargeState) -> tuple[list[ChargeDue], str | None]:
    """A holder's shares of all it owns: in one country and in all outside Tier 1, and outside the United States."""
    meter, consignee, destination = case.policy.channels.uveu, case.data.get("consignee"), case.destination
    assert meter is not None
    holder = key_of(owner_of(consignee))
    if holder is None:
        return [], f"UVEU counts by holder; {_NO_COMPANY}"
    shares = []
    if destination.tier != 1:
        shares += [(destination.country, meter.country_percent), ("outside-tier1", meter.outside_tier1_percent)]
    if not destination.united_states and _seat_is_american(consignee, case.policy):
        shares.append(("outside-us", meter.outside_us_percent))
    if not shares:
        return [], None
    authorization = case.data.get("authorization")
    holdings = authorization.get("holdings_tpp") if authorization else None
    if holdings is None:
        return [], "UVEU limits are shares of what the holder owns; state authorization.holdings_tpp"
    charges = []
    for where, percent in shares:
        account, cap_tpp = f"uveu:{holder}:{where}", percent * holdings // 100
        charges.append(ChargeDue("uveu", account, destination.country, "total", state, tpp, cap_tpp))
    return charges, None


def _seat_is_american(consignee: Consignee | None, policy: Policy) -> bool:
    """Whether the holder is headquartered in the United States."""
    owner = owner_of(consignee)
    if owner is None or consignee is None:
        return False
    seat = owner.get("country") if owner is not consignee else None
    seat = seat or consignee.get("headquarters")
    return seat is not None and policy.countries[seat].united_states
