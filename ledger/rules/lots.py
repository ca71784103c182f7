"""What a statement of goods holds, line by line: how many items of each are left, and what each of them counts."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ledger.chips import Catalogue
from ledger.folding import fold, squeeze
from ledger.rules.assessment import Assessment, Item
from schemas.shipment_event import Line


class PartName(NamedTuple):
    """What a line calls its part, so that lines of several events can be told to be of one.

    Attributes:
        name: the catalogue's, else the folded model; without a model the TPP of one item.
        maker: None if the line does not say, or the catalogue's name says it.
    """

    name: str | int | None
    maker: str | None

    def is_made_by(self, maker: str | None) -> bool:
        """Whether it may be of a maker: unless both are told, and differ."""
        return self.maker is None or maker is None or self.maker == maker


def part_named(line: Line, catalogue: Catalogue) -> PartName:
    """What a line calls its part."""
    return _part_named(line.get("vendor"), line.get("model"), line.get("tpp_each"), catalogue)


@lru_cache(maxsize=4096)
def _part_named(vendor: str | None, model: str | None, tpp_each: int | None, catalogue: Catalogue) -> PartName:
    """Remembered, for lines repeat."""
    part = None if model is None else catalogue.find(vendor, model)
    if part is not None:
        return PartName(part.name, None)
    maker = (catalogue.maker(vendor) or _compared(vendor)) if vendor else None
    return PartName(tpp_each if model is None else _compared(model), maker)


def _compared(name: str) -> str:
    folded = fold(name)
    return squeeze(folded) or folded


@dataclass(slots=True)
class Lot:
    """The items of one line.

    Attributes:
        number: of the line, from 0.
        item: what each of them is.
        left: how many were neither returned nor cancelled.
    """

    number: int
    line: Line
    part: PartName
    item: Item
    left: int

    @property
    def tpp_each(self) -> int:
        """What one of them is charged with; 0 if items of its class are not, or nobody can count it yet."""
        return (self.item.tpp_each or 0) if self.item.booked else 0


class Goods:
    """The lots of a statement as it was judged, until something is taken away from them or a held one is resolved.

    Attributes:
        lots: in the order of the lines.
        catalogue: the one by which the statement was judged, and by which parts are told apart.
    """

    def __init__(self, assessment: Assessment) -> None:
        self.catalogue = catalogue = assessment.case.policy.catalogue
        self.lots = [
            Lot(number, line, part_named(line, catalogue), item, line.get("quantity") or 0)
            for number, (line, item) in enumerate(zip(assessment.case.lines, assessment.items, strict=True))
        ]
        self._by_name: dict[str | int | None, deque[Lot]] = {}
        for lot in self.lots:
            self._by_name.setdefault(lot.part.name, deque()).append(lot)

    @property
    def tpp(self) -> int:
        """What all that is left is charged with."""
        return sum(lot.left * lot.tpp_each for lot in self.lots)

    def take(self, line: Line) -> Iterator[tuple[Lot, int]]:
        """Take away what a line of another event lists, from the first lot of its part on: (lot, how many items).

        The part is the same of the catalogue; else the same model by its folded name, and the same maker where both
        say one. A line without a model takes from those without a model that state the same TPP each.
        """
        named, missing = part_named(line, self.catalogue), line.get("quantity") or 0
        lots = self._by_name.get(named.name) or deque()
        while lots and not lots[0].left:
            lots.popleft()
        for lot in lots:
            if not missing:
                return
            if lot.left and named.is_made_by(lot.part.maker):
                items = min(missing, lot.left)
                lot.left -= items
                missing -= items
                yield lot, items
