"""How accounts stand that are measured by other limits from now on, what is told of it, and whether all is noted. Pure.

Limits change when a policy is adopted, and on a day from which the policy in force states another cap or tier.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.book.account import AccountBalance, account_of
from ledger.rules.adoptions import Yardstick
from ledger.rules.alerts import remeasured_alerts
from ledger.rules.assessment import ChargeDue
from ledger.rules.levels import LOUD, measure_anew, misplaced, quiet_range
from schemas.decision import ChargeKind
from schemas.quota_alert import QuotaAlert


@dataclass(frozen=True, slots=True)
class Remeasured:
    """What changes with the limits: (field, record as it is, record to write) of each account, and the alerts."""

    rows: list[tuple[str, str, str]]
    alerts: list[QuotaAlert]


def remeasure(records: Mapping[bytes, bytes], before: Yardstick, after: Yardstick, at: datetime) -> Remeasured:
    """Measure every account once by `after`, where its limits are not those that they were all the time.

    Left as they are: accounts whose next change is looked at anyway, for their limit comes with each event (uveu), or
    nothing was shipped in their period.

    Args:
        records: the accounts as they are kept.
        before: what they were measured by until now.
        after: what they are measured by from now on.
        at: since when.
    """
    rows, alerts = [], []
    for name, record in sorted(records.items()):
        field, text = name.decode(), record.decode()
        account, _, period = field.rpartition("|")
        if after.since(account, period) == before.since(account, period):
            continue
        limits = after.limits(account, period)
        balance = account_of(field, record)
        if balance.quiet == LOUD:
            continue
        used_tpp = limits.used(balance.posted_tpp, balance.reserved_tpp)
        marks, crossings = measure_anew(balance.marks, limits, used_tpp, at)
        rows.append((field, text, replace(balance, marks=marks, quiet=quiet_range(marks, limits)).to_record().decode()))
        for crossing in crossings:
            since = before if crossing.kind == "recovered" else after
            alerts += remeasured_alerts(
                [crossing],
                _no_charge(account, period),
                at=at,
                limits=limits,
                policy=after.rules.in_force,
                measured_since=since.since(account, period),
            )
    return Remeasured(rows, alerts)


def misjudged(balance: AccountBalance, measure: Yardstick) -> str | None:
    """What is wrong with the levels that an account has noted; None if nothing is.

    An account to which nothing was shipped has noted none, whatever is carried on to it.
    """
    if balance.last_posted_at is None:
        return None
    limits = measure.limits(balance.account, balance.period)
    used_tpp = limits.used(balance.posted_tpp, balance.reserved_tpp)
    return misplaced(balance.marks, balance.quiet, limits, used_tpp)


def _no_charge(account: str, period: str) -> ChargeDue:
    """An account as a charge of nothing."""
    kind, _, name = account.partition(":")
    kinds: dict[str, ChargeKind] = {"country": "country", "lpp": "lpp", "nveu": "nveu"}
    country = None if kind == "lpp" else name.rpartition(":")[2]
    return ChargeDue(kinds[kind], account, country, period, "posted", 0)
