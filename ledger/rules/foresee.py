"""What would be told if an event were booked now. Books nothing."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ledger.policy import Policy
from ledger.rules.alerts import crossing_alerts, notice_alerts
from ledger.rules.assessment import Assessment
from ledger.rules.channels import limits_of
from ledger.rules.levels import Marks, settle
from schemas.quota_alert import QuotaAlert
from schemas.shipment_event import ShipmentEvent


def foreseen_alerts(
    event: ShipmentEvent,
    assessment: Assessment,
    policy: Policy,
    standing: Mapping[tuple[str, str], tuple[int, Marks]],
    at: datetime,
    *,
    measured_since: Callable[[str, str], str] | None = None,
) -> list[QuotaAlert]:
    """The alerts that booking this event would give rise to.

    Args:
        event: the event.
        assessment: its judgement under `policy`.
        policy: the policy it was judged under.
        standing: (account, period) -> its use in TPP and its levels now; an account that is absent stands at zero.
        at: the moment of the booking.
        measured_since: names the adoption since which an account and period are measured as they are, by which alerts
            have their ids; None for a policy that is not in force.
    """
    told = notice_alerts(event, assessment, policy, at)
    for charge in assessment.charges:
        if charge.carried:
            continue
        used, marks = standing.get((charge.account, charge.period), (0, {}))
        limits = limits_of(policy, charge)
        _, crossings = settle(marks, limits, used + charge.tpp, at)
        told += crossing_alerts(
            crossings,
            charge,
            event,
            limits=limits,
            tier=assessment.tier,
            policy=policy,
            recorded_at=at,
            measured_since=measured_since(charge.account, charge.period) if measured_since else None,
        )
    return told
