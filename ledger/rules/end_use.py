"""What the chips will do: training or running a model whose developer sits in Tier 3."""

from datetime import date

from ledger.policy import Policy
from ledger.rules.assessment import Notice
from schemas.shipment_event import EndUse

_NO_MODEL = ("hpc", "resale")
"""Purposes that neither train nor run a model."""


def end_use_notice(end_use: EndUse, day: date, policy: Policy) -> tuple[Notice, str] | None:
    """The alert about a model from Tier 3, with the source of the rule; None if none is stated."""
    rule, country, purpose = policy.detection.end_use, end_use.get("model_developer_country"), end_use.get("purpose")
    if rule is None or country is None or purpose in _NO_MODEL or not rule.holds(day):
        return None
    developer = policy.standing(country, day)
    if developer.tier != 3:  # noqa: PLR2004  a tier's number is its name
        return None
    model = end_use.get("model") or "a model"
    message = f"The chips are to train or run {model}, whose developer sits in {developer.name}: {developer.reason}."
    source = policy.cite(rule)
    evidence = {"model": end_use.get("model"), "developer_country": country, "purpose": purpose, "source": source}
    return Notice("prc_model.end_use", "critical", message, evidence), source
