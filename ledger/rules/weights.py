"""Model weights of class 4E091: they have no TPP and are never booked, but are told of outside Tier 1."""

from collections.abc import Sequence

from ledger.rules.assessment import SHOWN_MAX, Case, Item, Notice
from ledger.rules.parts import WEIGHTS
from schemas.decision import Tier
from schemas.quota_alert import Severity


def weights_notice(case: Case, items: Sequence[Item], tier: Tier) -> list[Notice]:
    """The alert about weights that leave Tier 1; none if there are none."""
    rule = case.standings.detection.weights
    if rule is None or tier == 1:
        return []
    found = [number for number, item in enumerate(items) if item.eccn == WEIGHTS]
    if not found:
        return []
    message = f"Line {found[0] + 1} holds model weights of class 4E091 for Tier {tier}."
    shown = [{"line": number, "part": items[number].part} for number in found[:SHOWN_MAX]]
    severity: Severity = "critical" if tier == 3 else "warning"  # noqa: PLR2004  a tier's number is its name
    return [Notice("weights.controlled", severity, message, {"lines": shown, "source": case.policy.cite(rule)})]
