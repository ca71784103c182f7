"""From what was noticed to the alert that is told, with an id that is the same however often it is told."""

import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ledger.policy import Policy
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.levels import Crossing
from schemas.quota_alert import AlertKind, QuotaAlert, Severity
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent

CRITICAL_FROM_LEVEL = 90


def alert_id(kind: AlertKind, *parts: object) -> str:
    """A deterministic id: a digest of the kind and of what makes this alert one of a kind."""
    told = "\n".join([kind, *map(str, parts)])
    return "al_" + hashlib.sha256(told.encode()).hexdigest()[:32]


def notice_alerts(
    event: ShipmentEvent, assessment: Assessment, policy: Policy, recorded_at: datetime
) -> list[QuotaAlert]:
    """What the event alone gives rise to, whatever the balances are: one alert a kind."""
    country = event.data.get("destination")
    query = urlencode({"source": event.source, "id": event.id})
    return [
        _told_of(
            event,
            assessment,
            policy,
            recorded_at,
            alert_id=alert_id(notice.kind, event.key),
            kind=notice.kind,
            severity=notice.severity,
            country=country,
            account=f"country:{country}",
            period=policy.period_of(event.shipped_at.date()),
            incident_key=f"{notice.kind}/{event.key}",
            message=notice.message,
            evidence=notice.evidence,
            url=f"/v1/decisions?{query}",
        )
        for notice in assessment.notices
    ]


def crossing_alert(
    crossing: Crossing,
    charge: ChargeDue,
    event: ShipmentEvent,
    *,
    assessment: Assessment,
    policy: Policy,
    recorded_at: datetime,
) -> QuotaAlert:
    """A country's account reached a level, passed its cap, or came back."""
    cap = policy.account_cap(charge.account, charge.period)
    assert cap is not None, f"{charge.account} crossed a level without a cap"
    country = charge.country or ""
    name = policy.countries[country].name
    used = crossing.used_tpp
    figures = f"{used:,} of {cap:,} TPP in {charge.period}"
    share = f"{100 * used / cap:.1f} %" if cap else "all and more"
    severity: Severity = "critical"
    if crossing.kind == "quota.exceeded":
        message = f"{name} is past its cap: {figures} ({share})."
    elif crossing.kind == "quota.recovered":
        severity, message = "info", f"{name} is back below {crossing.level} % of its cap: {figures} ({share})."
    else:
        severity = "critical" if crossing.level >= CRITICAL_FROM_LEVEL else "warning"
        message = f"{name} reached {crossing.level} % of its cap: {figures} ({share})."
    return _told_of(
        event,
        assessment,
        policy,
        recorded_at,
        alert_id=alert_id(crossing.kind, charge.account, charge.period, crossing.level, policy.sha256, crossing.armed),
        kind=crossing.kind,
        severity=severity,
        country=charge.country,
        account=charge.account,
        period=charge.period,
        level=crossing.level,
        used_tpp=used,
        cap_tpp=cap,
        used_ratio=round(used / cap, 6) if cap else None,
        incident_key=f"quota/{charge.account}/{charge.period}",
        message=message,
        evidence={"armed": crossing.armed, "charged_tpp": charge.tpp},
        url=f"/v1/quotas/{country}?period={charge.period}",
    )


def reject_alert(
    rejected: RejectedRecord, *, place: str, occurred_at: datetime, recorded_at: datetime, policy: Policy
) -> QuotaAlert:
    """A record was parked. `place` is its topic/partition/offset, which is also its name in the rejects."""
    kind: AlertKind = "event.conflict" if rejected.reason == "conflict" else "event.rejected"
    evidence: dict[str, Any] = {"place": place, "reason": rejected.reason, "detail": rejected.detail[:500]}
    return QuotaAlert(
        alert_id=alert_id(kind, place),
        kind=kind,
        severity="warning",
        event_key=rejected.event_key,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        incident_key=f"{kind}/{place}",
        message=f"The record at {place} was parked ({rejected.reason}): {rejected.detail[:200]}",
        evidence=evidence,
    )


def _told_of(
    event: ShipmentEvent, assessment: Assessment, policy: Policy, recorded_at: datetime, /, **told: Any
) -> QuotaAlert:
    """An alert that an event gave rise to."""
    return QuotaAlert(
        tier=assessment.tier,
        event_key=event.key,
        shipment_id=event.data.get("shipment_id"),
        occurred_at=event.shipped_at,
        recorded_at=recorded_at,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        **told,
    )
