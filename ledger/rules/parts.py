"""What the lines of a shipment are: part, TPP, class, and whether they are booked or held."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from msgspec.structs import replace

from ledger.chips import UNDETERMINED, Catalogue, classify, is_booked, is_controlled
from ledger.folding import shorten
from ledger.rules.ascend import find_ascend
from ledger.rules.assessment import SHOWN_MAX, Case, Item, Notice
from schemas.shipment_event import Line

WEIGHTS = "4E091"


def read_lines(lines: Sequence[Line], catalogue: Catalogue) -> tuple[list[Item], int, int, bool]:
    """Read every line of a shipment by the catalogue.

    Returns:
        Each line's item; the TPP that is booked in all; the largest TPP of one line; whether any line may be to be told
        of.
    """
    items: list[Item] = []
    booked_tpp = largest_tpp = 0
    remarkable = False
    for line in lines:
        item, told = _item(
            line.get("vendor"),
            line.get("model"),
            line.get("tpp_each"),
            line.get("eccn"),
            line.get("description"),
            line.get("part_number"),
            line.get("sku"),
            catalogue,
        )
        items.append(item)
        if told or line.get("declared_as"):
            remarkable = True
        if item.tpp_each is not None:
            tpp = item.tpp_each * (line.get("quantity") or 0)
            if tpp > largest_tpp:  # noqa: PLR1730  every line comes by here
                largest_tpp = tpp
            if item.booked:
                booked_tpp += tpp
    return items, booked_tpp, largest_tpp, remarkable


@lru_cache(maxsize=4096)
def _item(  # noqa: PLR0917  by position: they are the key of what is remembered
    vendor: str | None,
    model: str | None,
    stated_tpp: int | None,
    eccn: str | None,
    description: str | None,
    part_number: str | None,
    sku: str | None,
    catalogue: Catalogue,
) -> tuple[Item, bool]:
    """What an item is, by all that a line says of it, and whether it is to be told of. Remembered, for lines repeat."""
    weights = eccn is not None and eccn.strip().upper().startswith(WEIGHTS)
    texts = (vendor, model, description, part_number, sku)
    shown = shorten(" ".join(filter(None, (vendor, model or part_number or sku or description)))) or _NAMELESS
    item = Item(shown, None, WEIGHTS, "stated")
    if not weights:
        item = _counted(vendor, model, stated_tpp, shown, catalogue)
    signs = find_ascend(texts, catalogue, weights=weights)
    told = weights or bool(signs) or item.prc_made or item.held is not None or item.known_tpp is not None
    return replace(item, ascend=signs), told


def _counted(vendor: str | None, model: str | None, stated_tpp: int | None, shown: str, catalogue: Catalogue) -> Item:
    """The item and its TPP.

    A known part counts by the catalogue, or by the TPP that the line states if that is more. A model that the catalogue
    does not know, or knows no TPP of, is held. Without a model the stated TPP decides alone.
    """
    if model is None:
        return _counted_as_stated(Item(shown, None, None, "stated"), vendor, stated_tpp or 0, catalogue)
    part = catalogue.find(vendor, model)
    if part is None:
        return Item(shown, None, None, "unknown", held=f"{shown} is not in the catalogue")
    if part.tpp is None:
        reason = f"no TPP of {part.name} is known"
        return Item(part.name, None, None, part.evidence, prc_made=part.prc_origin, held=reason)
    known_tpp = None if stated_tpp in (None, part.tpp) else part.tpp
    if stated_tpp is not None and stated_tpp > part.tpp:
        eccn = part.class_at(stated_tpp)
        booked = is_booked(eccn) and not part.prc_origin
        return Item(part.name, stated_tpp, eccn, "stated", booked, part.prc_origin, known_tpp)
    return Item(part.name, part.tpp, part.eccn, part.evidence, part.booked, part.prc_origin, known_tpp)


def count_as_resolved(item: Item, vendor: str | None, tpp_each: int, catalogue: Catalogue) -> Item:
    """A held item as a person's word has it: its class by that TPP alone. Made in China, it stays unbooked."""
    return replace(_counted_as_stated(item, vendor, tpp_each, catalogue), held=None)


def _counted_as_stated(item: Item, vendor: str | None, tpp_each: int, catalogue: Catalogue) -> Item:
    eccn = classify(Fraction(tpp_each))
    prc_made = item.prc_made or (vendor is not None and catalogue.maker(vendor) in catalogue.prc_makers)
    booked = is_booked(eccn) and not prc_made
    return replace(item, tpp_each=tpp_each, eccn=eccn, evidence="stated", booked=booked, prc_made=prc_made)


def unknown_notice(items: Sequence[Item], held: Sequence[tuple[int, str]]) -> list[Notice]:
    """The alert about lines that are held; none if none is."""
    if not held:
        return []
    first = items[held[0][0]].part
    others = f" and {len(held) - 1} more" if len(held) > 1 else ""
    said = f"The TPP of {first}{others} is not known: held, nothing is booked for it until a person says what it is."
    shown = [{"line": number, "part": items[number].part, "reason": reason} for number, reason in held[:SHOWN_MAX]]
    return [Notice("part.unknown", "warning", said, {"lines": shown})]


def mismatch_notice(case: Case, items: Sequence[Item]) -> list[Notice]:
    """The alert about stated TPP that differ from the catalogue's; none if none do."""
    shown = [
        {"line": number, "part": item.part, "stated_tpp_each": line.get("tpp_each"), "catalogue_tpp": item.known_tpp}
        for number, (line, item) in enumerate(zip(case.lines, items, strict=True))
        if item.known_tpp is not None
    ]
    if not shown:
        return []
    part, stated_tpp, known_tpp = shown[0]["part"], shown[0]["stated_tpp_each"], shown[0]["catalogue_tpp"]
    said = f"{part} is stated with {stated_tpp:,} TPP each, the catalogue says {known_tpp:,}: the larger counts."
    return [Notice("tpp.mismatch", "warning", said, {"lines": shown[:SHOWN_MAX]})]


def prc_chip_notice(case: Case, items: Sequence[Item]) -> list[Notice]:
    """The alert about parts designed in China that meet 3A090, or may, Ascend apart; none if there are none."""
    rule = case.standings.detection.prc_chip
    if rule is None:
        return []
    found = [
        number for number, item in enumerate(items) if item.prc_made and not item.ascend and is_controlled(item.eccn)
    ]
    if not found:
        return []
    first = items[found[0]]
    meets = "may meet 3A090 (its die area is not known); if so" if first.eccn == UNDETERMINED else "meets 3A090:"
    said = f"{first.part} was designed in China and {meets} a breach is presumed in its making."
    shown = [{"line": n, "part": items[n].part, "eccn": items[n].eccn} for n in found[:SHOWN_MAX]]
    return [Notice("redflag.prc_chip", "info", said, {"lines": shown, "source": case.policy.cite(rule)})]


_NAMELESS = "an item without a name"
