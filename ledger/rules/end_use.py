"""What the chips will do: training or running a model whose developer sits in Tier 3."""

from ledger.folding import shorten
from ledger.rules.assessment import Case, Notice
from ledger.rules.tier import TIER_3

_NO_MODEL = ("hpc", "resale")
"""Purposes that neither train nor run a model."""


def end_use_notice(case: Case) -> list[Notice]:
    """The alert about a model from Tier 3; none if none is stated."""
    rule, end_use = case.standings.detection.end_use, case.data.get("end_use")
    if rule is None or not end_use:
        return []
    country, purpose = end_use.get("model_developer_country"), end_use.get("purpose")
    if country is None or purpose in _NO_MODEL:
        return []
    developer = case.standings[country]
    if developer.tier != TIER_3:
        return []
    model = shorten(end_use.get("model") or "")
    they_run = f"The chips are to train or run {model or 'a model'}"
    said = f"{they_run}, whose developer sits in {developer.name}: {developer.reason}."
    evidence = {"model": model or None, "developer_country": country, "purpose": purpose}
    return [Notice("prc_model.end_use", "critical", said, {**evidence, "source": case.policy.cite(rule)})]
