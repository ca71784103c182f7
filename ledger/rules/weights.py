"""Model weights of class 4E091: they have no TPP and are never booked, but are told of outside Tier 1."""

from collections.abc import Sequence
from datetime import date

from ledger.policy import Policy
from ledger.rules.assessment import AssessedLine, Notice
from ledger.rules.parts import SHOWN_MAX, WEIGHTS
from schemas.decision import Tier
from schemas.quota_alert import Severity


def weights_notice(lines: Sequence[AssessedLine], tier: Tier, day: date, policy: Policy) -> tuple[Notice, str] | None:
    """The alert about weights that leave Tier 1, with the source of the rule; None if there are none."""
    rule = policy.detection.weights
    if rule is None or tier == 1 or not rule.holds(day):
        return None
    found = [number for number, line in enumerate(lines) if line.eccn == WEIGHTS]
    if not found:
        return None
    source = policy.cite(rule)
    message = f"Line {found[0] + 1} holds model weights of class 4E091 for Tier {tier}."
    shown = [{"line": number, "part": lines[number].part} for number in found[:SHOWN_MAX]]
    severity: Severity = "critical" if tier == 3 else "warning"  # noqa: PLR2004  a tier's number is its name
    return Notice("weights.controlled", severity, message, {"lines": shown, "source": source}), source
