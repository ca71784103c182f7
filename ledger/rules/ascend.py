"""Huawei's Ascend parts, found in what a line says of its item: by the catalogue, by name, or by the maker alone.

Company names outside the lines are never searched: "Ascendant Logistics" ships other things. What is found is an alert,
never a charge. Texts are compared as they look (`ledger/folding.py`), with or without signs between the letters.
"""

import re
from collections.abc import Sequence

from ledger.chips import Catalogue
from ledger.folding import fold, shorten
from ledger.rules.assessment import SHOWN_MAX, AscendSign, Case, Item, Notice
from schemas.quota_alert import Severity

FIELDS = ("vendor", "model", "description", "part_number", "sku")
"""The fields of a line that are searched."""

ATLAS_SERIES = range(200, 951)
"""The numbers of Huawei's Atlas products that carry Ascend chips."""

_LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A letter of an alphabet. Chinese is written without spaces: its names, and those beside them, may touch a letter."""

_GAP = r"(?: ?(?:[^\w\s.,;:!?]|_){0,3} ?|[.,;:!?])"
"""What may stand between two letters of a name: a space, up to three signs, signs in spaces, no sentence's end."""

_HINTS = ("ascend", "昇腾", "昇騰", "升腾", "升騰", "atlas", "cloudmatrix")
"""One of these stands in text without signs if a name can be found in it."""


def _spaced(name: str) -> str:
    return _GAP.join(name)


_ASCEND = re.compile(
    rf"(?:(?:(?<!{_LETTER})|(?<=\dx)|(?<=huawei)){_spaced('ascend')}(?!{_LETTER})|[昇升]{_GAP}[腾騰])(?P<small>{_GAP}310(?!\d))?"
)
_PRODUCT = re.compile(
    rf"(?:(?<!{_LETTER})|(?<=huawei))(?:{_spaced('atlas')}{_GAP}(?P<series>\d{{3}})(?!\d)|{_spaced('cloudmatrix')}(?!{_LETTER}))"
)
_NUMBER = re.compile(rf"{_GAP}\d")
_HUAWEI = re.compile(rf"(?<!{_LETTER}){_spaced('huawei')}|[华華]{_GAP}[为為]")
_spaces = re.compile(r"\s+")
_signs = re.compile(r"[\W_]+")
_ascii_signs = {code: None for code in range(128) if not chr(code).isalnum()}
_words = re.compile(r"[a-z0-9]+")


def find_ascend(
    texts: tuple[str | None, ...], catalogue: Catalogue, *, weights: bool = False
) -> tuple[AscendSign, ...]:
    """Every sign of an Ascend part in what a line says, the strongest first: by the catalogue, by name, by the maker.

    Args:
        texts: of each of `FIELDS`.
        catalogue: of known parts.
        weights: the line holds model weights: their maker makes them no part.
    """
    vendor, model = texts[:2]
    part = None if model is None else catalogue.find(vendor, model)
    found = _search_texts(texts, catalogue)
    if part is not None and part.ascend:
        number = "310" if part.eccn is None and part.tpp is not None else "other"
        return (AscendSign("model", part.name, "catalogue", number), *found)
    if found or part is not None or weights:
        return found
    for field, text in (("vendor", vendor), ("model", model)):
        if text and catalogue.maker(text) == "Huawei":
            return (AscendSign(field, shorten(text), "maker", None),)
    return ()


def ascend_notice(case: Case, items: Sequence[Item]) -> list[Notice]:
    """The alert about Ascend parts in a shipment; none if there are none to tell of.

    By the maker alone it is a warning, of the 310 class alone information, else critical. `evidence.basis` is what the
    agency's words were on that day.
    """
    rule = case.standings.detection.ascend
    if rule is None:
        return []
    found: list[tuple[Severity, int, AscendSign]] = []
    for number, item in enumerate(items):
        if item.ascend:
            severity = _severity(item.ascend)
            if severity != "info" or rule.class_310:
                found += [(severity, number, sign) for sign in item.ascend]
    if not found:
        return []
    found.sort(key=lambda told: _GRAVEST_FIRST.index(told[0]))
    severity, number, first = found[0]
    fitting = [entry for entry in rule.basis if entry.holds(case.day)]
    evidence: dict[str, object] = {"basis": fitting[-1].basis} if fitting else {}
    evidence["source"] = case.policy.cite(fitting[-1] if fitting else rule)
    evidence["matches"] = [
        {"line": line, "field": sign.field, "found": sign.found, "by": sign.by} for _, line, sign in found[:SHOWN_MAX]
    ]
    how = {"catalogue": "by the catalogue", "name": "by name", "maker": "by its maker alone"}[first.by]
    message = f"Line {number + 1} holds an Ascend part ({how}): {first.found!r} in {first.field}."
    return [Notice("ascend.detected", severity, message, evidence)]


_GRAVEST_FIRST: tuple[Severity, ...] = ("critical", "warning", "info")


def _severity(signs: Sequence[AscendSign]) -> Severity:
    """By the maker alone a warning; of the 310 class, and no other, information."""
    if signs[0].by == "maker":
        return "warning"
    numbers = {sign.number for sign in signs}
    return "info" if "310" in numbers and "other" not in numbers else "critical"


def _search_texts(texts: tuple[str | None, ...], catalogue: Catalogue) -> tuple[AscendSign, ...]:
    """Search all fields at a glance, and one by one only if there is something."""
    together = fold(" ; ".join(filter(None, texts)))
    letters = together.translate(_ascii_signs) if together.isascii() else _signs.sub("", together)
    if not any(hint in letters for hint in _HINTS) and not any(word in together for word in catalogue.ascend_words):
        return ()
    folded = [(field, text, _spaces.sub(" ", fold(text))) for field, text in zip(FIELDS, texts, strict=True) if text]
    by_huawei = any(_HUAWEI.search(text) for _, _, text in folded) or catalogue.maker(texts[0] or "") == "Huawei"
    found = []
    for field, text, plain in folded:
        found += [AscendSign(field, shorten(text), "name", _number(plain, match)) for match in _ASCEND.finditer(plain)]
        if by_huawei and any(
            match["series"] is None or int(match["series"]) in ATLAS_SERIES for match in _PRODUCT.finditer(plain)
        ):
            found.append(AscendSign(field, shorten(text), "name", None))
        if not catalogue.ascend_words.isdisjoint(_words.findall(plain)):
            found.append(AscendSign(field, shorten(text), "catalogue", "other"))
    return tuple(sorted(dict.fromkeys(found), key=lambda sign: sign.by))


def _number(plain: str, match: re.Match[str]) -> str | None:
    if match["small"]:
        return "310"
    return "other" if _NUMBER.match(plain, match.end()) else None
