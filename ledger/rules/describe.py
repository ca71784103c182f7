"""An assessment in words: the decision that the API answers and `explain` prints.

It takes the balances before the event as an argument; nothing is judged anew here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from ledger.policy import Policy
from ledger.rules.assessment import AssessedLine, Assessment, ChargeDue
from ledger.rules.channels import limits_of
from ledger.rules.license import license_required
from ledger.rules.opening import opening
from ledger.rules.reasons import rules_that_spoke
from ledger.rules.tier import TIER_3
from schemas.decision import Charge, DecidedLine, Decision, HeldLine, Outcome, RuleApplied, Status, Tier
from schemas.quota_alert import QuotaAlert
from schemas.shipment_event import ShipmentEvent

_CLOSING: dict[Status, str] = {
    "prohibited": "shipments to Tier 3 are prohibited",
    "unlimited": "there is no cap",
    "exceeded": "over the cap",
    "exhausted": "the cap is used up",
    "near_cap": "near the cap",
    "open": "within the cap",
}


def status_of(tier: Tier, cap_tpp: int | None, used_tpp: int, levels: Sequence[int]) -> Status:
    """How an account stands: the first word that fits.

    Args:
        tier: of its country.
        cap_tpp: None without a cap.
        used_tpp: what is used of it.
        levels: the account's alert levels, percent.
    """
    if tier == TIER_3:
        return "prohibited"
    if cap_tpp is None:
        return "unlimited"
    if used_tpp > cap_tpp:
        return "exceeded"
    if used_tpp == cap_tpp:
        return "exhausted"
    return "near_cap" if levels and used_tpp * 100 >= min(levels) * cap_tpp else "open"


def describe(
    event: ShipmentEvent,
    assessment: Assessment,
    policy: Policy,
    *,
    outcome: Outcome | None,
    balances: Mapping[tuple[str, str], int],
    alerts: Sequence[QuotaAlert],
    recorded_at: datetime | None,
) -> Decision:
    """The decision on one event.

    Args:
        event: what was stated.
        assessment: what `assess` made of it under `policy`.
        policy: the same.
        outcome: None in an assessment, where nothing is booked.
        balances: TPP used before this event, by (account, period); absent is 0.
        alerts: what is told because of it.
        recorded_at: when the record was written; None where there is none.
    """
    day = assessment.case.day
    license_needed, _ = license_required(assessment)
    charges = [
        _charge(due, balances.get((due.account, due.period), 0), day, policy)
        for due in assessment.charges
        if not due.carried
    ]
    return Decision(
        event_key=event.key,
        outcome=outcome,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        regime=policy.regime_on(day),
        tier=assessment.tier,
        tier_reason=assessment.tier_reason,
        license_required=license_needed,
        lines=[
            DecidedLine(part=line.part, tpp_each=line.tpp_each, tpp=line.tpp, eccn=line.eccn, evidence=line.evidence)
            for line in assessment.lines
        ],
        charges=charges,
        held=[HeldLine(line=number, reason=reason) for number, reason in assessment.held],
        alerts=list(alerts),
        fits=_fits(assessment, charges),
        rules=[RuleApplied(rule=rule, source=source) for rule, source in rules_that_spoke(assessment)],
        receipt=_receipt(event, assessment, charges, license_needed, policy),
        event_sha256=event.content_sha256(),
        recorded_at=recorded_at,
    )


def _charge(due: ChargeDue, before_tpp: int, day: date, policy: Policy) -> Charge:
    assert due.country is not None
    standing = policy.standing(due.country, day)
    cap_tpp = standing.cap_tpp if due.kind == "country" else limits_of(policy, due).cap_tpp
    after_tpp = before_tpp + due.tpp
    return Charge(
        kind=due.kind,
        account=due.account,
        country=due.country,
        period=due.period,
        state=due.state,
        tpp=due.tpp,
        before_tpp=before_tpp,
        after_tpp=after_tpp,
        cap_tpp=cap_tpp,
        status=status_of(standing.tier, cap_tpp, after_tpp, policy.levels_of(due.kind)),
    )


def _fits(assessment: Assessment, charges: Sequence[Charge]) -> bool | None:
    """False when prohibited or past a limit, None while something is held."""
    if assessment.tier == TIER_3 or any(charge.status in ("prohibited", "exceeded") for charge in charges):
        return False
    return None if assessment.held else True


def _receipt(
    event: ShipmentEvent,
    assessment: Assessment,
    charges: Sequence[Charge],
    license_needed: bool | None,  # noqa: FBT001  three answers
    policy: Policy,
) -> list[str]:
    sentences, held = [opening(event, assessment)], dict(assessment.held)
    for number, line in enumerate(assessment.lines):
        sentences.append(f"Line {number + 1}: {_line_in_words(line, held.get(number), noted=assessment.noted)}.")
    sentences += [_charge_in_words(charge, policy) for charge in charges]
    if any(due.carried for due in assessment.charges):
        sentences.append("It counts in every later quarter too.")
    if not charges and assessment.case.channel not in policy.debit_country:
        sentences.append(f"The channel {assessment.case.channel} does not debit the country.")
    if not charges:
        sentences.append("Nothing is booked." if not assessment.noted else "Use is noted and never booked.")
    if assessment.tier == TIER_3 and assessment.items:
        sentences.append("Prohibited: the destination or the buyer's headquarters is in Tier 3.")
    if license_needed is not None:
        sentences.append(f"A licence is {'' if license_needed else 'not '}required.")
    sentences += [f"Alert: {notice.message}" for notice in assessment.notices]
    return sentences


def _line_in_words(line: AssessedLine, held: str | None, *, noted: bool) -> str:
    if held is not None:
        return f"{line.part} is held, {held}"
    if line.tpp is None or not line.tpp_each:
        return f"{line.part} has no TPP that counts"
    booked = "booked" if line.booked and not noted else "not booked"
    evidence = "as stated" if line.evidence == "stated" else f"evidence {line.evidence}"
    return (
        f"{line.tpp // line.tpp_each:,} x {line.part} at {line.tpp_each:,} TPP ({evidence}) are {line.tpp:,} TPP, "
        f"{line.eccn or 'below 3A090'}, {booked}"
    )


def _charge_in_words(charge: Charge, policy: Policy) -> str:
    name = policy.countries[charge.country or ""].name if charge.kind == "country" else charge.account
    moved = f"{name} {charge.period}: {charge.before_tpp:,} + {charge.tpp:,} = {charge.after_tpp:,} TPP"
    if charge.cap_tpp:
        moved += f", {charge.after_tpp / charge.cap_tpp:.1%} of {charge.cap_tpp:,}"
    return f"{moved}: {_CLOSING[charge.status]}."
