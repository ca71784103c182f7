"""What a simulation came to: the balances of both policies by country, and the alerts that only one of them tells."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import get_args

from ledger.errors import WrongCall
from ledger.replay.projection import Account, Crossed, Projection
from ledger.replay.simulate import Counted, OneSided, Simulation, country_of
from ledger.rules.describe import status_of
from ledger.rules.levels import OVER, Limits
from schemas.decision import Outcome
from schemas.quota_status import LevelCrossed
from schemas.rejected_record import RejectedRecord
from schemas.simulation import (
    AlertCount,
    OnlyUnder,
    SimulatedCountry,
    SimulatedCrossing,
    SimulatedNotice,
    SimulatedPolicy,
    SimulatedQuota,
    SimulationReport,
)

_COUNTRY = "country:"

Crossings = Mapping[tuple[object, ...], Crossed]
"""By what makes two of them the same alert, whichever policy tells it."""


def report(simulation: Simulation) -> SimulationReport:
    """Both policies side by side."""
    policy, against = simulation.policy, simulation.against
    crossed, other_crossed = _by_name(policy.crossed), _by_name(against.crossed)
    only, only_other = _without(crossed, other_crossed), _without(other_crossed, crossed)
    return SimulationReport(
        records_read=simulation.records_read,
        policy=_policy(policy),
        against=_policy(against),
        items=_countries(policy, against),
        alerts=_alert_counts(
            simulation.told_by_both + _counted(crossed[name] for name in crossed if name in other_crossed),
            simulation.only_policy.counts + _counted(only),
            simulation.only_against.counts + _counted(only_other),
        ),
        only_policy=_only(simulation.only_policy, only),
        only_against=_only(simulation.only_against, only_other),
    )


def _policy(side: Projection) -> SimulatedPolicy:
    return SimulatedPolicy(
        policy_id=side.policy.id,
        policy_sha256=side.policy.sha256,
        title=side.policy.title,
        levels=list(side.policy.levels),
        outcomes={outcome: side.outcomes[outcome] for outcome in get_args(Outcome) if side.outcomes[outcome]},
        repeated=side.outcomes["repeated"],
        rejected=dict(side.rejected),
        accounts=Counter(account.partition(":")[0] for account, _ in side.accounts),
    )


def _countries(policy: Projection, against: Projection) -> list[SimulatedCountry]:
    """A row for each country and period in which either policy charged or held anything."""
    names = against.policy.countries | policy.policy.countries
    moved = {
        (account.removeprefix(_COUNTRY), period)
        for account, period in policy.accounts.keys() | against.accounts.keys()
        if account.startswith(_COUNTRY)
    }
    return [
        SimulatedCountry(
            country=country,
            name=names[country].name,
            period=period,
            policy=_quota(policy, country, period),
            against=_quota(against, country, period),
        )
        for country, period in sorted(moved)
    ]


def _quota(side: Projection, country: str, period: str) -> SimulatedQuota | None:
    """An account as the status of a ledger under that policy would tell it on the day; None if it has no such one."""
    policy, account = side.policy, side.accounts.get((_COUNTRY + country, period), Account())
    try:
        standing = policy.standing(country, policy.day_within(period, side.today))
    except WrongCall:
        return None
    tier, cap_tpp, crossed = standing.tier, standing.cap_tpp, account.first_crossed
    used_tpp = Limits(cap_tpp, policy.levels, policy.reserved_counts).used(account.posted_tpp, account.reserved_tpp)
    return SimulatedQuota(
        tier=tier,
        cap_tpp=cap_tpp,
        posted_tpp=account.posted_tpp,
        reserved_tpp=account.reserved_tpp,
        used_ratio=round(used_tpp / cap_tpp, 6) if cap_tpp else None,
        status=status_of(tier, cap_tpp, used_tpp, policy.levels),
        thresholds=[LevelCrossed(level=level, crossed_at=crossed.get(str(level))) for level in policy.levels]
        if cap_tpp
        else [],
        exceeded_at=crossed.get(OVER),
        held_lines=account.held_lines,
    )


def _by_name(crossings: Iterable[Crossed]) -> Crossings:
    return {(told.kind, told.account, told.period, told.level, told.armed): told for told in crossings}


def _without(crossings: Crossings, others: Crossings) -> list[Crossed]:
    return [told for name, told in crossings.items() if name not in others]


def _counted(crossings: Iterable[Crossed]) -> Counted:
    return Counter((told.kind, told.country) for told in crossings)


def _alert_counts(both: Counted, only_policy: Counted, only_against: Counted) -> list[AlertCount]:
    told = sorted(both.keys() | only_policy.keys() | only_against.keys(), key=lambda name: (name[0], name[1] or ""))
    return [
        AlertCount(
            kind=kind,
            country=country,
            both=both[kind, country],
            only_policy=only_policy[kind, country],
            only_against=only_against[kind, country],
        )
        for kind, country in told
    ]


def _only(one_sided: OneSided, crossings: Iterable[Crossed]) -> OnlyUnder:
    return OnlyUnder(
        crossings=[SimulatedCrossing(**asdict(told)) for told in crossings],
        notices=one_sided.counts.total(),
        examples=[
            SimulatedNotice(
                kind=notice.kind,
                severity=notice.severity,
                country=country_of(item, notice),
                event_key=item.event_key if isinstance(item, RejectedRecord) else item.key,
                occurred_at=None if isinstance(item, RejectedRecord) else item.shipped_at,
                message=notice.message,
            )
            for item, notice in one_sided.examples
        ],
    )
