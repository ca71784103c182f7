"""Huawei's Ascend parts, found in what a line says of its item: by the catalogue, by name, or by the maker alone.

Company names outside the lines are never searched: "Ascendant Logistics" ships other things. What is found is an alert,
never a charge. Texts are compared as they look (`ledger/folding.py`), with or without signs between the letters.
"""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from ledger.chips import Catalogue
from ledger.folding import fold, shorten
from ledger.policy import Policy
from ledger.rules.assessment import Notice
from ledger.rules.parts import SHOWN_MAX, is_weights
from schemas.quota_alert import Severity
from schemas.shipment_event import Line

FIELDS = ("vendor", "model", "description", "part_number", "sku")
"""The fields of a line that are searched."""

ATLAS_SERIES = range(200, 951)
"""The numbers of Huawei's Atlas products that carry Ascend chips."""

_LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A letter of an alphabet: a Chinese character beside a name neither begins nor ends its word."""

_GAP = r"(?: ?(?:[^\w\s.,;:!?]|_)? ?|[.,;:!?])"
"""What may stand between two letters of a name: a space, a sign, a sign in spaces, no sentence's end."""

_HINTS = ("ascend", "昇腾", "昇騰", "升腾", "升騰", "atlas", "cloudmatrix")
"""One of these stands in text without signs if a name can be found in it."""


def _spaced(name: str) -> str:
    return _GAP.join(name)


_ASCEND = re.compile(
    rf"(?:(?<!{_LETTER})|(?<=\dx)|(?<=huawei))(?:{_spaced('ascend')}(?!{_LETTER})|[昇升]{_GAP}[腾騰])(?P<small>{_GAP}310(?!\d))?"
)
_PRODUCT = re.compile(
    rf"(?:(?<!{_LETTER})|(?<=huawei))(?:{_spaced('atlas')}{_GAP}(?P<series>\d{{3}})(?!\d)|{_spaced('cloudmatrix')}(?!{_LETTER}))"
)
_NUMBER = re.compile(rf"{_GAP}\d")
_HUAWEI = re.compile(rf"(?<!{_LETTER})(?:{_spaced('huawei')}|[华華]{_GAP}[为為])")
_spaces = re.compile(r"\s+")
_signs = re.compile(r"[\W_]+")
_ascii_signs = {code: None for code in range(128) if not chr(code).isalnum()}
_words = re.compile(r"[a-z0-9]+")


class Finding(NamedTuple):
    """One sign of an Ascend part in a line.

    Attributes:
        by: `catalogue`, `name` or `maker`.
        number: `310` if the name says so, `other` if it says another, None if it says none.
    """

    field: str
    found: str
    by: str
    number: str | None


def find_ascend(line: Line, catalogue: Catalogue) -> tuple[Finding, ...]:
    """Every sign of an Ascend part in a line, the strongest first."""
    eccn = line.get("eccn")
    texts = (line.get("vendor"), line.get("model"), line.get("description"), line.get("part_number"), line.get("sku"))
    return _search(texts, eccn is not None and is_weights(eccn), catalogue)


def ascend_notice(lines: Sequence[Line], day: date, policy: Policy) -> tuple[Notice, str] | None:
    """The alert about Ascend parts in a shipment, with the source of the rule; None if there are none to tell of.

    By the maker alone it is a warning, of the 310 class alone information, else critical. `evidence.basis` is what the
    agency's words were on that day.
    """
    rule = policy.detection.ascend
    if rule is None:
        return None
    found: list[tuple[Severity, int, Finding]] = []
    for number, line in enumerate(lines):
        if findings := find_ascend(line, policy.catalogue):
            severity = _severity(findings)
            if severity != "info" or rule.class_310:
                found += [(severity, number, finding) for finding in findings]
    if not found:
        return None
    found.sort(key=lambda sign: _GRAVEST_FIRST.index(sign[0]))
    severity, number, first = found[0]
    fitting = [entry for entry in rule.basis if entry.holds(day)]
    source = policy.cite(fitting[-1] if fitting else rule)
    evidence: dict[str, object] = {"basis": fitting[-1].basis} if fitting else {}
    evidence["source"] = source
    evidence["matches"] = [
        {"line": line, "field": hit.field, "found": hit.found, "by": hit.by} for _, line, hit in found[:SHOWN_MAX]
    ]
    how = {"catalogue": "by the catalogue", "name": "by name", "maker": "by its maker alone"}[first.by]
    message = f"Line {number + 1} holds an Ascend part ({how}): {first.found!r} in {first.field}."
    return Notice("ascend.detected", severity, message, evidence), source


_GRAVEST_FIRST: tuple[Severity, ...] = ("critical", "warning", "info")


def _severity(findings: Sequence[Finding]) -> Severity:
    """By the maker alone a warning; of the 310 class, and no other, information."""
    if findings[0].by == "maker":
        return "warning"
    numbers = {finding.number for finding in findings}
    return "info" if "310" in numbers and "other" not in numbers else "critical"


@lru_cache(maxsize=1024)
def _search(
    texts: tuple[str | None, ...],
    weights: bool,  # noqa: FBT001  by position: it is a key of what is remembered
    catalogue: Catalogue,
) -> tuple[Finding, ...]:
    """Look at the catalogue, then at the names, then at the maker. Remembered, for lines repeat."""
    vendor, model = texts[:2]
    part = None if model is None else catalogue.find(vendor, model)
    found = _search_texts(texts, catalogue)
    if part is not None and part.ascend:
        number = "310" if part.eccn is None and part.tpp is not None else "other"
        return (Finding("model", part.name, "catalogue", number), *found)
    if found or part is not None or weights:
        return found
    for field, text in (("vendor", vendor), ("model", model)):
        if text and catalogue.maker(text) == "Huawei":
            return (Finding(field, shorten(text), "maker", None),)
    return ()


def _search_texts(texts: tuple[str | None, ...], catalogue: Catalogue) -> tuple[Finding, ...]:
    """Search all fields at a glance, and one by one only if there is something."""
    together = fold(" ; ".join(filter(None, texts)))
    letters = together.translate(_ascii_signs) if together.isascii() else _signs.sub("", together)
    if not any(hint in letters for hint in _HINTS) and not any(word in together for word in catalogue.ascend_words):
        return ()
    folded = [(field, text, _spaces.sub(" ", fold(text))) for field, text in zip(FIELDS, texts, strict=True) if text]
    by_huawei = any(_HUAWEI.search(text) for _, _, text in folded) or catalogue.maker(texts[0] or "") == "Huawei"
    found = []
    for field, text, plain in folded:
        found += [Finding(field, shorten(text), "name", _number(plain, match)) for match in _ASCEND.finditer(plain)]
        if by_huawei and (match := _PRODUCT.search(plain)):
            series = match["series"]
            if series is None or int(series) in ATLAS_SERIES:
                found.append(Finding(field, shorten(text), "name", None))
        if not catalogue.ascend_words.isdisjoint(_words.findall(plain)):
            found.append(Finding(field, shorten(text), "catalogue", "other"))
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.by))


def _number(plain: str, match: re.Match[str]) -> str | None:
    if match["small"]:
        return "310"
    return "other" if _NUMBER.match(plain, match.end()) else None
