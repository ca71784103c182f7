"""Which rules spoke on an event, each with its source: what `describe` prints beside what was done."""

from ledger.rules.assessment import Assessment
from ledger.rules.channels import channel_rule
from ledger.rules.license import license_required
from ledger.rules.tier import TIER_3

Rule = tuple[str, str]
"""A rule in words, and its source."""

_TOLD = {
    "lpp.notice": "large shipments under LPP are notified first",
    "ascend.detected": "Ascend parts are told of anywhere in the world",
    "redflag.prc_chip": "a breach is presumed in such parts' making",
    "weights.controlled": "model weights are controlled outside Tier 1",
    "prc_model.end_use": "models from Tier 3 are told of",
}
_RED_FLAGS = "red flags are told of, on stated data only"


def rules_that_spoke(assessment: Assessment) -> list[Rule]:
    """Every rule that had a part in an assessment, from the tier to the red flags."""
    case, policy = assessment.case, assessment.case.policy
    rules = [*case.destination.rules, *_headquarters(assessment)]
    if any(item.booked for item in assessment.items) and not assessment.noted:
        if assessment.charges:
            rules.append(policy.booking_rule)
        if rule := channel_rule(case.channel, policy):
            rules.append(rule)
    if reason := license_required(assessment)[1]:
        rules.append(reason)
    for notice in assessment.notices:
        said = _TOLD.get(notice.kind) or (_RED_FLAGS if notice.kind.startswith("redflag.") else None)
        if said and (spoken := (said, notice.evidence["source"])) not in rules:
            rules.append(spoken)
    return rules


def _headquarters(assessment: Assessment) -> list[Rule]:
    if assessment.owner is None:
        return []
    case, (_, seat) = assessment.case, assessment.owner
    if seat.tier == TIER_3:
        rule, said = case.standings.detection.headquarters, "counts as Tier 3 wherever the goods go"
    else:
        rule, said = case.standings.detection.tier2_headquarters, "counts as Tier 2 in Tier 1 too"
    assert rule is not None  # by it the headquarters was found
    return [(f"a buyer headquartered in {seat.name} {said}", case.policy.cite(rule))]
