"""What the lines of a shipment are: part, TPP, class, and whether they are booked or held.

Nothing here looks for Ascend parts, and no line's text but vendor, model, eccn and tpp_each decides anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ledger.chips import Catalogue, Part, classify, is_booked
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
    """

    lines: list[AssessedLine]
    held: list[tuple[int, str]]
    mismatches: list[tuple[int, int, int]]
    booked_tpp: int = 0
    largest_tpp: int = 0


def read_lines(lines: Sequence[Line], catalogue: Catalogue) -> PartsList:
    """Read every line of a shipment by the catalogue.

    A known part counts by the catalogue, or by the TPP that the line states if that is more. A model that the catalogue
    does not know, or knows no TPP of, is held. Without a model the stated TPP decides alone.
    """
    listed = PartsList([], [], [])
    for number, line in enumerate(lines):
        model, stated, quantity, eccn = line.get("model"), line.get("tpp_each"), line.get("quantity"), line.get("eccn")
        assert quantity is not None  # the reader refuses such a line
        if eccn is not None and is_weights(eccn):
            assessed = AssessedLine(_shown(line), None, None, WEIGHTS, "stated", booked=False)
        elif model is None:
            assessed = _without_model(line, stated or 0, quantity, catalogue)
        else:
            part = catalogue.find(line.get("vendor"), model)
            if part is None or part.tpp is None:
                assessed, reason = _unknown(line, part)
                listed.held.append((number, reason))
            elif stated is None or stated == part.tpp:
                assessed = AssessedLine(part.name, part.tpp, part.tpp * quantity, part.eccn, part.evidence, part.booked)
            else:
                listed.mismatches.append((number, stated, part.tpp))
                assessed = _by_the_larger(part, part.tpp, stated, quantity)
        listed.lines.append(assessed)
        if assessed.tpp is not None:
            listed.largest_tpp = max(listed.largest_tpp, assessed.tpp)
            if assessed.booked:
                listed.booked_tpp += assessed.tpp
    return listed


def is_weights(eccn: str) -> bool:
    """Whether a line's stated class is that of model weights, which have no TPP."""
    return eccn.strip().upper().startswith(WEIGHTS)


def check_amounts(event: ShipmentEvent, listed: PartsList, prefix: str) -> None:
    """Refuse amounts that no ledger can hold exactly.

    Raises:
        RejectedRecord: `number_out_of_range`, for a line's product or for the sum of a shipment.
    """
    if listed.largest_tpp <= TPP_MAX and listed.booked_tpp <= TPP_MAX:
        return
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
    raise RejectedRecord(errors, event.key)


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


def _by_the_larger(part: Part, known: int, stated: int, quantity: int) -> AssessedLine:
    """A known part whose stated TPP differs: the larger counts, for the class too."""
    if stated < known:
        return AssessedLine(part.name, known, known * quantity, part.eccn, part.evidence, part.booked)
    eccn = part.class_at(stated)
    booked = is_booked(eccn) and not part.prc_origin
    return AssessedLine(part.name, stated, stated * quantity, eccn, "stated", booked)


def _without_model(line: Line, stated: int, quantity: int, catalogue: Catalogue) -> AssessedLine:
    eccn = classify(Fraction(stated))
    vendor = line.get("vendor")
    prc_made = vendor is not None and catalogue.maker(vendor) in catalogue.prc_makers
    return AssessedLine(_shown(line), stated, stated * quantity, eccn, "stated", is_booked(eccn) and not prc_made)


def _unknown(line: Line, part: Part | None) -> tuple[AssessedLine, str]:
    if part is None:
        shown = _shown(line)
        return AssessedLine(shown, None, None, None, "unknown", booked=False), f"{shown} is not in the catalogue"
    reason = f"no TPP of {part.name} is known"
    return AssessedLine(part.name, None, None, None, part.evidence, booked=False), reason


def _shown(line: Line) -> str:
    """What a line calls its item."""
    name = line.get("model") or line.get("part_number") or line.get("sku") or line.get("description")
    return shorten(" ".join(filter(None, (line.get("vendor"), name)))) or "an item without a name"
