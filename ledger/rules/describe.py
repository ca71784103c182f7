"""What the ledger makes of an event: the decision that the API answers and `explain` prints.

What it charges, the balances before it and its family come in as arguments; nothing is judged or settled anew here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from ledger.policy import Policy
from ledger.rules.assessment import AssessedLine, Assessment, Case, ChargeDue, assessed_lines
from ledger.rules.channels import limits_of
from ledger.rules.follower import Following
from ledger.rules.license import license_required
from ledger.rules.reasons import rules_that_spoke
from ledger.rules.receipt import receipt
from ledger.rules.related import Place, Related
from ledger.rules.tier import TIER_3
from schemas.decision import Charge, DecidedLine, Decision, HeldLine, Outcome, RuleApplied, Status, Tier
from schemas.quota_alert import QuotaAlert
from schemas.shipment_event import ShipmentEvent


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
    judged: Assessment | Following,
    policy: Policy,
    *,
    related: Related,
    outcome: Outcome | None,
    booked: Sequence[ChargeDue],
    balances: Mapping[Place, tuple[int, int]],
    alerts: Sequence[QuotaAlert],
    recorded_at: datetime | None,
) -> Decision:
    """The decision on one event.

    Of a return, cancel or resolution, tier, licence and rules are those of the goods that it is about.

    Args:
        event: what was stated.
        judged: what `judge` made of it under `policy`.
        policy: the same.
        related: how it stands among the events that it is tied to, now.
        outcome: None in an assessment, where nothing is booked.
        booked: what it changed on accounts when it was booked, or would.
        balances: TPP posted and reserved before this event, by (account, period); absent is 0.
        alerts: what is told because of it.
        recorded_at: when the record was written; None where there is none.
    """
    about = judged if isinstance(judged, Assessment) else related.about
    held = related.family.held if related.family is not None and related.stands else ()
    charges = _charges(booked, balances, related)
    lines = _lines(judged, related)
    license_needed = license_required(about)[0] if about is not None else None
    return Decision(
        event_key=event.key,
        outcome=outcome,
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        regime=policy.regime_on(about.case.day) if about is not None else None,
        tier=about.tier if about is not None else None,
        tier_reason=about.tier_reason if about is not None else None,
        license_required=license_needed,
        lines=[
            DecidedLine(part=line.part, tpp_each=line.tpp_each, tpp=line.tpp, eccn=line.eccn, evidence=line.evidence)
            for line in lines
        ],
        charges=charges,
        held=[HeldLine(line=number, reason=reason) for number, reason in held],
        alerts=list(alerts),
        fits=_fits(judged, related, charges),
        rules=[RuleApplied(rule=rule, source=source) for rule, source in rules_that_spoke(about)] if about else [],
        receipt=receipt(
            event,
            judged,
            policy,
            related=related,
            lines=lines,
            booked=booked,
            charges=charges,
            license_needed=license_needed if isinstance(judged, Assessment) else None,
        ),
        event_sha256=event.content_sha256(),
        recorded_at=recorded_at,
    )


def _lines(judged: Assessment | Following, related: Related) -> list[AssessedLine]:
    """The event's lines as they count now: a held one that somebody resolved counts by that word."""
    if isinstance(judged, Following):
        return assessed_lines(judged.lines, judged.items)
    if related.stands and related.family is not None and related.family.lots:
        return assessed_lines(judged.case.lines, [lot.item for lot in related.family.lots])
    return judged.lines


def _charges(booked: Sequence[ChargeDue], balances: Mapping[Place, tuple[int, int]], related: Related) -> list[Charge]:
    """What the event changed, account by account; its status is that of the account after all of it.

    A change that goes on through later quarters (`nveu` is cumulative) is shown in the first of them.
    """
    now = dict(balances)
    shown: list[tuple[ChargeDue, int]] = []
    carried: dict[tuple[str, str], int] = {}
    for due in booked:
        posted, reserved = now.get((due.account, due.period), (0, 0))
        now[due.account, due.period] = (
            (posted + due.tpp, reserved) if due.state == "posted" else (posted, reserved + due.tpp)
        )
        if due.tpp and not (due.kind == "nveu" and carried.get((due.account, due.state)) == due.tpp):
            shown.append((due, posted if due.state == "posted" else reserved))
        carried[due.account, due.state] = due.tpp
    accounts = related.accounts() if shown else {}
    return [
        _charge(due, before_tpp, now[due.account, due.period], accounts[due.account, due.period][1])
        for due, before_tpp in shown
    ]


def _charge(due: ChargeDue, before_tpp: int, now: tuple[int, int], case: Case) -> Charge:
    """One change.

    Args:
        due: what is changed.
        before_tpp: what was posted, or reserved, before.
        now: what is posted and what is reserved after the event.
        case: the statement that debits the account: its day and policy say the cap.
    """
    assert due.country is not None
    policy, limits = case.policy, limits_of(case.policy, due, case.day)
    standing = case.standings[due.country]
    cap_tpp = standing.cap_tpp if due.kind == "country" else limits.cap_tpp
    return Charge(
        kind=due.kind,
        account=due.account,
        country=due.country,
        period=due.period,
        state=due.state,
        tpp=due.tpp,
        before_tpp=before_tpp,
        after_tpp=before_tpp + due.tpp,
        cap_tpp=cap_tpp,
        status=status_of(standing.tier, cap_tpp, limits.used(*now), policy.levels_of(due.kind)),
    )


def _fits(judged: Assessment | Following, related: Related, charges: Sequence[Charge]) -> bool | None:
    """False when prohibited or past a limit, None while something is held, waits, or nothing is added."""
    about = judged if isinstance(judged, Assessment) else related.about
    adds = isinstance(judged, Assessment) or any(charge.tpp > 0 for charge in charges)
    if about is None or not adds or related.share.outcome == "waiting":
        return None
    if about.tier == TIER_3 or any(charge.status in ("prohibited", "exceeded") for charge in charges):
        return False
    return None if related.stands and related.family is not None and related.family.held else True
