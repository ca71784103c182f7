"""What would be told if an event were booked now. Books nothing."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from ledger.policy import Policy
from ledger.rules.alerts import crossing_alerts, notice_alerts
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.channels import limits_of
from ledger.rules.follower import Following
from ledger.rules.levels import Marks, settle
from schemas.decision import Tier
from schemas.quota_alert import QuotaAlert
from schemas.shipment_event import ShipmentEvent

Standing = tuple[int, int, Marks]
"""An account as it stands: TPP posted, TPP reserved, and its levels."""


def foreseen_alerts(
    event: ShipmentEvent,
    judged: Assessment | Following,
    charges: Sequence[ChargeDue],
    policy: Policy,
    *,
    standing: Mapping[tuple[str, str], Standing],
    at: datetime,
    tier: Tier | None,
    measured_since: Callable[[str, str, date], str] | None = None,
) -> list[QuotaAlert]:
    """The alerts that booking this event would give rise to.

    Args:
        event: the event.
        judged: its judgement under `policy`.
        charges: what it would change.
        policy: the policy it was judged under.
        standing: (account, period) -> how it stands now; one that is absent stands at zero.
        at: the moment of the booking.
        tier: of the goods that are moved; None if that is not known.
        measured_since: says since when an account and period are measured as they are on a day, by which alerts have
            their ids; None for a policy that is not in force: levels stand as if it had measured all so far.
    """
    told = notice_alerts(event, judged, policy, at) if isinstance(judged, Assessment) else []
    now: dict[tuple[str, str], Standing] = {}
    today = at.date()
    for charge in charges:
        if charge.carried:
            continue
        place = charge.account, charge.period
        limits = limits_of(policy, charge, today)
        posted, reserved, marks = now.get(place) or standing.get(place, (0, 0, {}))
        if measured_since is None and place not in now:
            marks, _ = settle({}, limits, limits.used(posted, reserved), at)
        if charge.state == "posted":
            posted += charge.tpp
        else:
            reserved += charge.tpp
        marks, crossings = settle(marks, limits, limits.used(posted, reserved), at)
        now[place] = posted, reserved, marks
        told += crossing_alerts(
            crossings,
            charge,
            event,
            limits=limits,
            tier=tier,
            policy=policy,
            recorded_at=at,
            measured_since=measured_since(charge.account, charge.period, today) if measured_since else None,
        )
    return told
