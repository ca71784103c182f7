"""What comes back: a return takes the items that it lists, a cancel or a return without lines takes all that is left.

Nobody takes more than is left, so nothing falls below zero. What a return lists beyond that is void.
"""

from dataclasses import dataclass, field

from ledger.rules.lots import Goods
from schemas.shipment_event import ShipmentEvent


@dataclass(slots=True)
class Taken:
    """What one event took away.

    Attributes:
        tpp: what the items were charged with.
        uncharged: items that were charged with nothing, among them held ones.
        told: what was listed and not there, one sentence a line.
    """

    tpp: int = 0
    uncharged: int = 0
    told: list[str] = field(default_factory=list)


def take_back(goods: Goods, event: ShipmentEvent) -> Taken:
    """Take away what a return or cancel names."""
    lines = event.data.get("lines")
    if lines is None or event.type == "shipment.cancelled":
        return _take_all(goods)
    taken = Taken()
    for number, line in enumerate(lines):
        quantity, found = line.get("quantity"), 0
        assert quantity is not None  # the reader refuses such an event
        for lot, items in goods.take(line):
            found += items
            taken.tpp += items * lot.tpp_each
            taken.uncharged += 0 if lot.tpp_each else items
        if found < quantity:
            name = line.get("model") or "such items"
            taken.told.append(f"Line {number + 1}: {found:,} of {quantity:,} x {name} were left.")
    return taken


def _take_all(goods: Goods) -> Taken:
    taken = Taken(tpp=goods.tpp, uncharged=sum(lot.left for lot in goods.lots if not lot.tpp_each))
    for lot in goods.lots:
        lot.left = 0
    return taken
