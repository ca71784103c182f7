"""From what was noticed to the alert that is told, with an id that is the same however often it is told."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ledger.policy import Policy
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.levels import Crossing, Limits
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


ALERT_KINDS: dict[tuple[str, str], AlertKind] = {
    ("country", "near"): "quota.near_cap",
    ("country", "exceeded"): "quota.exceeded",
    ("country", "recovered"): "quota.recovered",
    ("lpp", "near"): "lpp.near_limit",
    ("lpp", "exceeded"): "lpp.exceeded",
    ("nveu", "exceeded"): "nveu.exceeded",
    ("uveu", "exceeded"): "uveu.exceeded",
}
"""What a crossing of an account of some kind is called; what is not here is not told (a meter's recovery)."""


def crossing_alerts(
    crossings: Sequence[Crossing],
    charge: ChargeDue,
    event: ShipmentEvent,
    *,
    limits: Limits,
    assessment: Assessment,
    policy: Policy,
    recorded_at: datetime,
) -> list[QuotaAlert]:
    """An account reached levels, passed its cap, or came back.

    Args:
        crossings: what happened, in order.
        charge: the one by which it did.
        event: the charge's.
        limits: what the levels are measured by.
        assessment: of the event.
        policy: the one in force.
        recorded_at: the moment of the posting.
    """
    cap, told = limits.cap_tpp, []
    rule = "quota" if charge.kind == "country" else charge.kind
    for crossing in crossings:
        assert cap is not None, f"{charge.account} crossed a level without a cap"
        kind = ALERT_KINDS.get((charge.kind, crossing.kind))
        if kind is not None:
            alert = _told_of(
                event,
                assessment,
                policy,
                recorded_at,
                alert_id=alert_id(kind, charge.account, charge.period, crossing.level, policy.sha256, crossing.armed),
                kind=kind,
                severity=_severity(crossing, charge),
                country=charge.country,
                account=charge.account,
                period=charge.period,
                level=crossing.level,
                used_tpp=crossing.used_tpp,
                cap_tpp=cap,
                used_ratio=round(crossing.used_tpp / cap, 6) if cap else None,
                incident_key=f"{rule}/{charge.account}/{charge.period}",
                message=_crossing_in_words(crossing, charge, cap, policy),
                evidence={"armed": crossing.armed, "charged_tpp": charge.tpp},
                url=_url_of(charge),
            )
            told.append(alert)
    return told


def _severity(crossing: Crossing, charge: ChargeDue) -> Severity:
    if crossing.kind == "exceeded":
        return "critical"
    if crossing.kind == "recovered":
        return "info"
    return "critical" if charge.kind == "country" and crossing.level >= CRITICAL_FROM_LEVEL else "warning"


def _crossing_in_words(crossing: Crossing, charge: ChargeDue, cap_tpp: int, policy: Policy) -> str:
    share = f"{100 * crossing.used_tpp / cap_tpp:.1f} %" if cap_tpp else "all and more"
    figures = f"{crossing.used_tpp:,} of {cap_tpp:,} TPP in {charge.period} ({share})"
    if charge.kind != "country":
        what = f"The {charge.kind.upper()} account {charge.account.partition(':')[2]}"
        if crossing.kind == "exceeded":
            return f"{what} is past its limit: {figures}. This shipment needed a licence."
        return f"{what} is near its limit: {figures}."
    name = policy.countries[charge.country or ""].name
    if crossing.kind == "exceeded":
        return f"{name} is past its cap: {figures}."
    if crossing.kind == "recovered":
        return f"{name} is back below {crossing.level} % of its cap: {figures}."
    return f"{name} reached {crossing.level} % of its cap: {figures}."


def _url_of(charge: ChargeDue) -> str:
    if charge.kind == "country":
        return f"/v1/quotas/{charge.country}?period={charge.period}"
    return f"/v1/accounts?{urlencode({'kind': charge.kind, 'period': charge.period})}"


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
