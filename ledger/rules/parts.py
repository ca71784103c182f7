"""What the lines of a shipment are: part, TPP, class, and whether they are booked or held.

Nothing here looks for Ascend parts, and no line's text but vendor, model, eccn and tpp_each decides anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from ledger.chips import Catalogue, classify, is_booked
from ledger.folding import shorten
from ledger.rules.assessment import AssessedLine, Notice
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import TPP_MAX, Line, ShipmentEvent

WEIGHTS = "4E091"

SHOWN_MAX = 20
"""Lines that one alert lists."""


@dataclass(slots=True)
class PartsList:
    """The lines of one event as they were read.

    Attributes:
        held: (line, reason) of what nobody can count yet.
        mismatches: (line, stated, catalogue's) of a stated TPP that differs.
        booked_tpp: the sum that is charged.
        largest_tpp: the largest product of any line.
        prc_made, weights: whether any line holds such.
    """

    lines: list[AssessedLine]
    held: list[tuple[int, str]]
    mismatches: list[tuple[int, int, int]]
    booked_tpp: int = 0
    largest_tpp: int = 0
    prc_made: bool = False
    weights: bool = False


def read_lines(lines: Sequence[Line], catalogue: Catalogue) -> PartsList:
    """Read every line of a shipment by the catalogue.

    A known part counts by the catalogue, or by the TPP that the line states if that is more. A model that the catalogue
    does not know, or knows no TPP of, is held. Without a model the stated TPP decides alone.
    """
    listed = PartsList([], [], [])
    for number, line in enumerate(lines):
        quantity, stated = line.get("quantity"), line.get("tpp_each")
        assert quantity is not None  # the reader refuses such a line
        name, each, eccn, evidence, booked, prc_made, known, reason = _item(
            line.get("vendor"), line.get("model"), stated, line.get("eccn"), catalogue
        )
        if name is None:
            name = _shown(line)
        if reason is not None:
            listed.held.append((number, reason or f"{name} is not in the catalogue"))
        if known is not None:
            assert stated is not None
            listed.mismatches.append((number, stated, known))
        tpp = None if each is None else each * quantity
        listed.lines.append(AssessedLine(name, each, tpp, eccn, evidence, booked, prc_made))
        listed.prc_made |= prc_made
        listed.weights |= eccn == WEIGHTS
        if tpp is not None:
            listed.largest_tpp = max(listed.largest_tpp, tpp)
            if booked:
                listed.booked_tpp += tpp
    return listed


class _Item(NamedTuple):
    """What one item of a line is.

    Attributes:
        name: None if it is what the line calls it.
        each: TPP.
        known: the catalogue's TPP, if the line states another.
        reason: why it is held; empty if the catalogue has no such part; None if it is not held.
    """

    name: str | None
    each: int | None
    eccn: str | None
    evidence: str
    booked: bool = False
    prc_made: bool = False
    known: int | None = None
    reason: str | None = None


@lru_cache(maxsize=4096)
def _item(vendor: str | None, model: str | None, stated: int | None, eccn: str | None, catalogue: Catalogue) -> _Item:
    """What an item is, by all that decides it. Remembered, for lines repeat."""
    if eccn is not None and is_weights(eccn):
        return _Item(None, None, WEIGHTS, "stated")
    if model is None:
        return _without_model(vendor, stated or 0, catalogue)
    part = catalogue.find(vendor, model)
    if part is None:
        return _Item(None, None, None, "unknown", reason="")
    if part.tpp is None:
        reason = f"no TPP of {part.name} is known"
        return _Item(part.name, None, None, part.evidence, prc_made=part.prc_origin, reason=reason)
    known = None if stated in (None, part.tpp) else part.tpp
    if stated is not None and stated > part.tpp:
        eccn = part.class_at(stated)
        booked = is_booked(eccn) and not part.prc_origin
        return _Item(part.name, stated, eccn, "stated", booked, part.prc_origin, known)
    return _Item(part.name, part.tpp, part.eccn, part.evidence, part.booked, part.prc_origin, known)


def is_weights(eccn: str) -> bool:
    """Whether a line's stated class is that of model weights, which have no TPP."""
    return eccn.strip().upper().startswith(WEIGHTS)


def refused_amounts(event: ShipmentEvent, listed: PartsList, prefix: str) -> RejectedRecord:
    """The refusal of amounts that no ledger can hold exactly: a line's product, or the sum of a shipment."""
    errors = [
        FieldError(
            "number_out_of_range",
            f"{prefix}lines.{number}.quantity",
            f"{line.part} comes to {line.tpp} TPP; one event may state at most {TPP_MAX}",
        )
        for number, line in enumerate(listed.lines)
        if line.tpp is not None and line.tpp > TPP_MAX
    ]
    if not errors:
        advice = f"the lines come to {listed.booked_tpp} TPP; one event may state at most {TPP_MAX}"
        errors.append(FieldError("number_out_of_range", f"{prefix}lines", advice))
    return RejectedRecord(errors, event.key)


def unknown_notice(listed: PartsList) -> Notice:
    """The alert about lines that are held."""
    first = listed.lines[listed.held[0][0]].part
    others = f" and {len(listed.held) - 1} more" if len(listed.held) > 1 else ""
    return Notice(
        "part.unknown",
        "warning",
        f"The TPP of {first}{others} is not known: held, nothing is booked for it until a person says what it is.",
        {
            "lines": [
                {"line": number, "part": listed.lines[number].part, "reason": reason}
                for number, reason in listed.held[:SHOWN_MAX]
            ]
        },
    )


def mismatch_notice(listed: PartsList) -> Notice:
    """The alert about a stated TPP that differs from the catalogue's."""
    number, stated, known = listed.mismatches[0]
    return Notice(
        "tpp.mismatch",
        "warning",
        f"{listed.lines[number].part} is stated with {stated:,} TPP each, the catalogue says {known:,}: "
        "the larger counts.",
        {
            "lines": [
                {"line": number, "part": listed.lines[number].part, "stated_tpp_each": stated, "catalogue_tpp": known}
                for number, stated, known in listed.mismatches[:SHOWN_MAX]
            ]
        },
    )


def _without_model(vendor: str | None, stated: int, catalogue: Catalogue) -> _Item:
    eccn = classify(Fraction(stated))
    prc_made = vendor is not None and catalogue.maker(vendor) in catalogue.prc_makers
    return _Item(None, stated, eccn, "stated", is_booked(eccn) and not prc_made, prc_made)


def _shown(line: Line) -> str:
    """What a line calls its item."""
    name = line.get("model") or line.get("part_number") or line.get("sku") or line.get("description")
    return shorten(" ".join(filter(None, (line.get("vendor"), name)))) or "an item without a name"
