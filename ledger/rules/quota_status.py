"""An account's balance and the policy -> the status that is told of it. Pure: today comes in as an argument."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol

from ledger.policy import Policy
from ledger.rules.channels import account_limits
from ledger.rules.describe import status_of
from ledger.rules.forecast import BookedByDay, forecast
from ledger.rules.levels import Limits
from schemas.decision import Tier
from schemas.meter_status import MeterKind, MeterStatus
from schemas.quota_status import Forecast, Freshness, LevelCrossed, QuotaStatus

H100_TPP = 15_832

_NO_TIER: Tier = 1
"""Of an account that is no country's: none is barred."""


class Balance(Protocol):
    """What is read of an account's balance. Amounts in TPP; None where a balance of the past does not tell it."""

    @property
    def posted_tpp(self) -> int: ...  # noqa: D102
    @property
    def reserved_tpp(self) -> int: ...  # noqa: D102
    @property
    def held_lines(self) -> int | None: ...  # noqa: D102
    @property
    def last_posted_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def crossed(self) -> Mapping[int, datetime] | None: ...  # noqa: D102


def quota_status(
    country: str,
    period: str,
    balance: Balance | None,
    policy: Policy,
    *,
    today: date,
    freshness: Freshness,
    by_day: BookedByDay | None = None,
) -> QuotaStatus:
    """How much of a country's quota is used in a period.

    Tier and cap are those of today; of a past period, those of its last day; of one to come, those of its first. What
    is reserved counts as used where the policy says so; it is never available.

    Args:
        country: a code that the policy's table knows.
        period: one that the policy counts by.
        balance: None if nothing ever touched the account, which is a balance of zero.
        policy: the one in force.
        today: the day of the question, UTC.
        freshness: how far the ledger had read when the balance was.
        by_day: what was booked on the account, where it `can_be_foreseen`; None makes no forecast.

    Raises:
        WrongCall: the policy counts by no such period.
    """
    day, period_end = _day_and_end(policy, period, today)
    standing = policy.standing(country, day)
    tier, cap = standing.tier, standing.cap_tpp
    posted = balance.posted_tpp if balance else 0
    reserved = balance.reserved_tpp if balance else 0
    limits = Limits(cap, policy.levels, policy.reserved_counts)
    used = limits.used(posted, reserved)
    crossed = balance.crossed if balance else {}
    levels = policy.levels if cap else ()
    return QuotaStatus(
        country=country,
        name=standing.name,
        tier=tier,
        period=period,
        cap_tpp=cap,
        posted_tpp=posted,
        reserved_tpp=reserved,
        available_tpp=_available(cap, posted, reserved),
        used_ratio=_ratio(used, cap),
        h100_equivalents=round(posted / H100_TPP, 1),
        status=status_of(tier, cap, used, policy.levels),
        thresholds=None if crossed is None else _thresholds(levels, crossed),
        held_lines=balance.held_lines if balance else 0,
        last_posted_at=balance.last_posted_at if balance else None,
        period_end=period_end,
        forecast=None if by_day is None else _forecast(by_day, limits, used, policy.period_days(period), today),
        regime=policy.regime_on(day),
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        freshness=freshness,
    )


def can_be_foreseen(policy: Policy, country: str, period: str, today: date) -> bool:
    """Whether a country's account has a forecast, or may have: the period is today's, and there is a cap."""
    return policy.period_of(today) == period and bool(policy.standing(country, today).cap_tpp)


@lru_cache(maxsize=256)
def _forecast(by_day: BookedByDay, limits: Limits, used: int, days: tuple[date, date], today: date) -> Forecast | None:
    """When an account will be used up. Remembered, for every country's is told anew ten times a second."""
    if limits.cap_tpp is None:
        return None
    counted = by_day.used(reserved_counts=limits.reserved_counts)
    return forecast(counted, limits.cap_tpp - used, first=days[0], today=today, last=days[1])


@lru_cache(maxsize=64)
def _day_and_end(policy: Policy, period: str, today: date) -> tuple[date, datetime]:
    """The day of a period by which it is told, and when it is over."""
    last = policy.period_days(period)[1]
    return policy.day_within(period, today), datetime.combine(last + timedelta(days=1), time(), UTC)


def meter_status(
    kind: MeterKind, account: str, period: str, balance: Balance, policy: Policy, *, today: date
) -> MeterStatus:
    """How much of a meter is used in a period, by the cap that the policy sets for it.

    Args:
        kind: the account's.
        account: its name.
        period: one in which it was ever touched.
        balance: what is booked on it.
        policy: the one in force.
        today: the day of the question, UTC.
    """
    limits = account_limits(policy, account, period, today)
    cap, used = limits.cap_tpp, limits.used(balance.posted_tpp, balance.reserved_tpp)
    crossed = balance.crossed or {}
    levels = limits.levels if kind != "uveu" else tuple(sorted(crossed))
    return MeterStatus(
        account=account,
        kind=kind,
        period=period,
        cap_tpp=cap,
        posted_tpp=balance.posted_tpp,
        reserved_tpp=balance.reserved_tpp,
        available_tpp=_available(cap, balance.posted_tpp, balance.reserved_tpp),
        used_ratio=_ratio(used, cap),
        status=None if kind == "uveu" else status_of(_NO_TIER, cap, used, levels),
        thresholds=_thresholds(levels, crossed),
        last_posted_at=balance.last_posted_at,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
    )


def _available(cap: int | None, posted: int, reserved: int) -> int | None:
    return None if cap is None else max(0, cap - posted - reserved)


def _ratio(used: int, cap: int | None) -> float | None:
    return round(used / cap, 6) if cap else None


def _thresholds(levels: Sequence[int], crossed: Mapping[int, datetime]) -> list[LevelCrossed]:
    return [LevelCrossed(level=level, crossed_at=crossed.get(level)) for level in levels]
