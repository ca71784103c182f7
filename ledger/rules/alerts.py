"""From what was noticed to the alert that is told, with an id that is the same however often it is told."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ledger.policy import Policy
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.levels import Crossing, Limits
from schemas.adoption import Adoption
from schemas.decision import Tier
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
            assessment.tier,
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


def expired_alert(
    reservation: ShipmentEvent, expired_tpp: int, tier: Tier | None, policy: Policy, recorded_at: datetime
) -> QuotaAlert:
    """A reservation's time is over: what was left of it is free."""
    country, expires_at = reservation.data.get("destination"), reservation.data.get("expires_at")
    query = urlencode({"source": reservation.source, "id": reservation.id})
    return _told_of(
        reservation,
        tier,
        policy,
        recorded_at,
        alert_id=alert_id("reservation.expired", reservation.key),
        kind="reservation.expired",
        severity="info",
        country=country,
        account=f"country:{country}",
        period=policy.period_of(reservation.shipped_at.date()),
        incident_key=f"reservation.expired/{reservation.key}",
        message=f"The reservation {reservation.key} has expired: {expired_tpp:,} TPP that it held are free.",
        evidence={"expired_tpp": expired_tpp, "expires_at": expires_at.isoformat() if expires_at else None},
        url=f"/v1/decisions?{query}",
    )


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
    tier: Tier | None,
    policy: Policy,
    recorded_at: datetime,
    measured_since: str | None = None,
) -> list[QuotaAlert]:
    """An account reached levels, passed its cap, or came back, by an event.

    Args:
        crossings: what happened, in order.
        charge: the one by which it did.
        event: the charge's.
        limits: what the levels are measured by.
        tier: of the event; None if it has none of its own.
        policy: the one in force, whose levels they are.
        recorded_at: the moment of the posting.
        measured_since: since when the account's limits are these; since the policy was adopted if None.
    """
    since = measured_since or policy.sha256
    return [
        _told_of(event, tier, policy, recorded_at, **told)
        for told in _crossed(crossings, charge, limits, policy, since)
    ]


def remeasured_alerts(
    crossings: Sequence[Crossing],
    unchanged: ChargeDue,
    *,
    at: datetime,
    limits: Limits,
    policy: Policy,
    measured_since: str,
) -> list[QuotaAlert]:
    """An account stands otherwise because it is measured by other limits, though nothing was charged.

    Args:
        crossings: what happened, in order.
        unchanged: the account, as a charge of nothing.
        at: since when it is measured so: of an adoption, or the beginning of the day on which its cap changed.
        limits: what the levels are measured by from now on.
        policy: the one in force from now on.
        measured_since: since when the limits were those under which the crossing began; a recovery ends one of earlier.
    """
    country, period, day = unchanged.country, unchanged.period, at.date()
    if policy.counts_by(period):
        day = policy.day_within(period, day)
    tier = policy.tier_on(country, day)[0] if country is not None and country in policy.countries else None
    return [
        QuotaAlert(
            tier=tier,
            occurred_at=at,
            recorded_at=at,
            policy_id=policy.id,
            policy_sha256=policy.sha256,
            **told,
        )
        for told in _crossed(crossings, unchanged, limits, policy, measured_since)
    ]


def adopted_alert(adoption: Adoption, name: str, before: Adoption) -> QuotaAlert:
    """A policy was adopted in the place of another.

    Args:
        adoption: of the new one.
        name: what tells this adoption from others: the policy's SHA-256, with the number if it was adopted before.
        before: the adoption until now.
    """
    return QuotaAlert(
        alert_id=alert_id("policy.adopted", name),
        kind="policy.adopted",
        severity="info",
        occurred_at=adoption.adopted_at,
        recorded_at=adoption.adopted_at,
        policy_id=adoption.policy_id,
        policy_sha256=adoption.policy_sha256,
        incident_key=f"policy.adopted/{adoption.number}",
        message=(
            f"The policy {adoption.policy_id} was adopted in the place of {before.policy_id}: it judges what comes "
            "onto the topic from now on, and measures every account."
        ),
        evidence={
            "number": adoption.number,
            "from": dict(adoption.begins),
            "before": {"policy_id": before.policy_id, "policy_sha256": before.policy_sha256},
            "actor": adoption.actor,
            "reason": adoption.reason,
        },
        url="/v1/policy",
    )


def _crossed(
    crossings: Sequence[Crossing], charge: ChargeDue, limits: Limits, policy: Policy, measured_since: str
) -> Iterator[dict[str, Any]]:
    """What is told of each crossing, whatever brought it about."""
    cap = limits.cap_tpp
    rule = "quota" if charge.kind == "country" else charge.kind
    for crossing in crossings:
        assert cap is not None or crossing.kind == "recovered", f"{charge.account} crossed a level without a cap"
        kind = ALERT_KINDS.get((charge.kind, crossing.kind))
        if kind is not None:
            yield {
                "alert_id": alert_id(
                    kind, charge.account, charge.period, crossing.level, measured_since, crossing.armed
                ),
                "kind": kind,
                "severity": _severity(crossing, charge),
                "country": charge.country,
                "account": charge.account,
                "period": charge.period,
                "level": crossing.level,
                "used_tpp": crossing.used_tpp,
                "cap_tpp": cap,
                "used_ratio": round(crossing.used_tpp / cap, 6) if cap else None,
                "incident_key": f"{rule}/{charge.account}/{charge.period}",
                "message": _crossing_in_words(crossing, charge, cap, policy),
                "evidence": {"armed": crossing.armed, "charged_tpp": charge.tpp} | _lowest_of(limits),
                "url": _url_of(charge),
            }


def _lowest_of(limits: Limits) -> dict[str, int]:
    """The lowest level: an incident is over when the use is below it."""
    return {"lowest_level": min(limits.levels)} if limits.levels else {}


def _severity(crossing: Crossing, charge: ChargeDue) -> Severity:
    if crossing.kind == "exceeded":
        return "critical"
    if crossing.kind == "recovered":
        return "info"
    return "critical" if charge.kind == "country" and crossing.level >= CRITICAL_FROM_LEVEL else "warning"


def _crossing_in_words(crossing: Crossing, charge: ChargeDue, cap_tpp: int | None, policy: Policy) -> str:
    country = charge.country or ""
    name = policy.countries[country].name if country in policy.countries else charge.account
    if cap_tpp is None:
        return f"{name} is measured by no cap in {charge.period} any more: {crossing.used_tpp:,} TPP are used."
    share = f"{100 * crossing.used_tpp / cap_tpp:.1f} %" if cap_tpp else "all and more"
    figures = f"{crossing.used_tpp:,} of {cap_tpp:,} TPP in {charge.period} ({share})"
    if charge.kind != "country":
        what = f"The {charge.kind.upper()} account {charge.account.partition(':')[2]}"
        if crossing.kind == "exceeded":
            licence = " This shipment needed a licence." if charge.tpp else ""
            return f"{what} is past its limit: {figures}.{licence}"
        return f"{what} is near its limit: {figures}."
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
        url=f"/v1/alerts?{urlencode({'kind': kind})}",
    )


def _told_of(
    event: ShipmentEvent, tier: Tier | None, policy: Policy, recorded_at: datetime, /, **told: Any
) -> QuotaAlert:
    """An alert that an event gave rise to."""
    return QuotaAlert(
        tier=tier,
        event_key=event.key,
        shipment_id=event.data.get("shipment_id"),
        occurred_at=event.moment or recorded_at,
        recorded_at=recorded_at,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        **told,
    )
