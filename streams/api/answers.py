"""Questions about quotas and their answers, for HTTP and for the command line alike. Knows neither of them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

from ledger.book.account import AccountBalance
from ledger.book.read import Reader
from ledger.errors import LedgerUnavailable, WrongCall
from ledger.policy import Policy, load_policy, shipped_policies
from ledger.rules.adoptions import Rulebook
from ledger.rules.describe import describe
from ledger.rules.forecast import BookedByDay
from ledger.rules.foresee import foreseen_alerts
from ledger.rules.quota_status import can_be_foreseen, quota_status
from schemas.decision import Decision
from schemas.entry import EntryList
from schemas.quota_status import LedgerStatus, QuotaList, QuotaStatus
from schemas.shipment_event import ShipmentEvent
from streams.settings import Settings


class UnknownCountry(WrongCall):
    """No country of the policy's table has this code."""


async def adopted_rules(reader: Reader) -> Rulebook:
    """The adopted policies.

    Raises:
        LedgerUnavailable: none is adopted yet, or Redis does not answer.
    """
    rules = await reader.rules()
    if rules is None:
        raise LedgerUnavailable("no policy is adopted yet: the first worker of a ledger adopts one when it starts")
    return rules


async def policy_in_force(reader: Reader) -> Policy:
    """The policy that was adopted last.

    Raises:
        LedgerUnavailable: as `adopted_rules`.
    """
    return (await adopted_rules(reader)).in_force


async def quota_list(reader: Reader, period: str | None, today: date) -> QuotaList:
    """Every country's balance in a period, the current one if None, by country code.

    A period by which only an earlier policy counted is answered under that: what was booked in it stays there.

    Raises:
        WrongCall: no adopted policy counts by such a period.
        LedgerUnavailable: as `adopted_rules`.
    """
    rules = await adopted_rules(reader)
    policy, period = _policy_and_period(rules, period, today)
    freshness = await reader.freshness()  # before the balances: it may tell less than they hold, never more
    found = await reader.balances(period)
    balances = {country: found.get(f"country:{country}") for country in sorted(policy.countries)}
    by_day = await _booked_by_day(reader, rules, balances, period, today)
    items = [
        quota_status(country, period, balance, policy, today=today, freshness=freshness, by_day=by_day.get(country))
        for country, balance in balances.items()
    ]
    return QuotaList(items=items, freshness=freshness)


async def ledger_status(reader: Reader, period: str | None, today: date) -> LedgerStatus:
    """Every country's balance in a period, and the events that are not settled.

    Raises:
        WrongCall, LedgerUnavailable: as `quota_list`.
    """
    found = await quota_list(reader, period, today)
    waiting, held = await reader.unsettled()
    return LedgerStatus(items=found.items, freshness=found.freshness, waiting=waiting, held=held)


async def quota_of(reader: Reader, country: str, period: str | None, today: date) -> QuotaStatus:
    """One country's balance in a period, the current one if None.

    Raises:
        UnknownCountry: with a hint at the likely one.
        WrongCall, LedgerUnavailable: as `quota_list`.
    """
    rules = await adopted_rules(reader)
    check_country(rules.in_force, country)
    policy, period = _policy_and_period(rules, period, today)
    freshness = await reader.freshness()
    balance = await reader.balance(f"country:{country}", period)
    by_day = await _booked_by_day(reader, rules, {country: balance}, period, today)
    return quota_status(country, period, balance, policy, today=today, freshness=freshness, by_day=by_day.get(country))


async def past_quota_of(
    reader: Reader, country: str, period: str | None, *, as_of: datetime | None, known_at: datetime | None
) -> QuotaStatus:
    """One country's balance as it was: tier, cap and, if no period is named, the period are those of that day.

    Args:
        reader: the ledger's.
        country: its code.
        period: None for that of the day.
        as_of: count what occurred up to that moment, by what the events say; None counts whatever was known.
        known_at: count what was posted up to that moment, under the policy of then; None counts all. One of the two
            is given.

    Raises:
        UnknownCountry, WrongCall, LedgerUnavailable: as `quota_of`.
    """
    rules = await adopted_rules(reader)
    if known_at is not None:
        rules = rules.known_at(known_at)
    check_country(rules.in_force, country)
    moment = as_of or known_at
    assert moment is not None
    day = moment.astimezone(UTC).date()
    policy, period = _policy_and_period(rules, period, day)
    freshness = await reader.freshness()
    balance = await reader.entries.balance(f"country:{country}", period, as_of=as_of, known_at=known_at)
    status = quota_status(country, period, balance, policy, today=day, freshness=freshness)
    return status.model_copy(update={"as_of": as_of, "known_at": known_at})


async def entries_of(
    reader: Reader,
    country: str,
    period: str | None,
    today: date,
    *,
    newest_first: bool,
    cursor: str | None,
    limit: int,
) -> EntryList:
    """A page of what was booked on one country's account in a period, the current one if None.

    Raises:
        UnknownCountry, LedgerUnavailable: as `quota_of`.
        WrongCall: as `quota_of`; the cursor is none of ours.
    """
    rules = await adopted_rules(reader)
    check_country(rules.in_force, country)
    _, period = _policy_and_period(rules, period, today)
    freshness = await reader.freshness()
    items, following = await reader.entries.page(
        f"country:{country}",
        period,
        newest_first=newest_first,
        after=cursor,
        count=limit,
        policy_ids={adoption.policy_sha256: adoption.policy_id for adoption in rules.adoptions},
    )
    return EntryList(items=items, next=following, freshness=freshness)


async def assessment_of(reader: Reader, event: ShipmentEvent, policy: Policy, now: datetime) -> Decision:
    """What the ledger would make of an event if it were booked now, by all that it knows of those tied to it.

    Raises:
        RejectedRecord: the policy cannot judge the event.
        LedgerUnavailable: Redis does not answer.
    """
    rules = await adopted_rules(reader)
    foreseen = await reader.foresee(event, policy, rules)
    standing = {}
    for charge in foreseen.charges:
        if balance := await reader.balance(charge.account, charge.period):
            standing[charge.account, charge.period] = (balance.posted_tpp, balance.reserved_tpp, balance.marks)
    about = foreseen.related.about
    alerts = foreseen_alerts(
        event,
        foreseen.judged,
        foreseen.charges,
        policy,
        standing=standing,
        at=now,
        tier=about.tier if about is not None else None,
        measured_since=rules.measured_since if rules.in_force.sha256 == policy.sha256 else None,
    )
    return describe(
        event,
        foreseen.judged,
        policy,
        related=foreseen.related,
        outcome=None,
        booked=foreseen.charges,
        balances={place: (posted, reserved) for place, (posted, reserved, _) in standing.items()},
        alerts=alerts,
        recorded_at=None,
    )


def check_country(policy: Policy, country: str) -> None:
    """Raise UnknownCountry, with a hint, unless the policy's table has this code."""
    if country not in policy.countries:
        raise UnknownCountry(policy.countries.advice(country))


async def shipped_policy(policy_id: str, settings: Settings) -> Policy:
    """A policy that comes with the product, with the chips that the settings add.

    Raises:
        WrongCall: there is none of this name.
    """
    return await asyncio.to_thread(_shipped_policy, policy_id, settings.chips)


@lru_cache(maxsize=8)
def _shipped_policy(policy_id: str, chips: Path | None) -> Policy:
    if policy_id not in shipped_policies():
        raise WrongCall(f"{policy_id!r} is no shipped policy; there are {', '.join(shipped_policies())}")
    return load_policy(policy_id, chips)


async def _booked_by_day(
    reader: Reader, rules: Rulebook, balances: Mapping[str, AccountBalance | None], period: str, today: date
) -> dict[str, BookedByDay]:
    """What was booked on these countries' accounts, for those whose use can be foreseen: the period is still filled."""
    wanted = {
        country: balance
        for country, balance in balances.items()
        if balance is not None and can_be_foreseen(rules.in_force, country, period, today)
    }
    by_day = await reader.daily.of(wanted.values())
    return {country: by_day[balance.account] for country, balance in wanted.items()}


def _policy_and_period(rules: Rulebook, period: str | None, today: date) -> tuple[Policy, str]:
    """A period, the current one if None, and the policy that counts by it."""
    period = _current_period(rules.in_force, today) if period is None else period
    policy = rules.counting_by(period)
    policy.period_days(period)
    return policy, period


def _current_period(policy: Policy, today: date) -> str:
    period = policy.period_of(today)
    if period is None:
        raise WrongCall(f"{policy.id} counts by no period on {today}; name one, as in period=2026")
    return period
