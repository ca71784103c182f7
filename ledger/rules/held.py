"""Lines of a settled family that wait for a person: which they are, and whether a word on their part settles them."""

from collections.abc import Iterator

from ledger.rules.families import Settlement
from ledger.rules.lots import Goods, Lot, part_named
from schemas.shipment_event import Line


def held_lots(settlement: Settlement) -> Iterator[tuple[Lot, str]]:
    """The lines that wait, and why."""
    lots = {lot.number: lot for lot in settlement.lots}
    for number, reason in settlement.held:
        yield lots[number], reason


def waits_for_word(lot: Lot) -> bool:
    """Whether it waits for want of its part's TPP, and not of something that a correction must state."""
    return lot.item.held is not None


def word_counts(settlement: Settlement, word: Line) -> bool:
    """Whether `word` names a part of the shipment that is held for want of its TPP, or would be without a word."""
    return any(map(waits_for_word, _named(settlement, word)))


def word_is_wanted(settlement: Settlement, word: Line) -> bool:
    """Whether some held line waits for a word on the part that `word` names."""
    waiting = {lot.number for lot, _ in held_lots(settlement) if waits_for_word(lot)}
    return any(lot.number in waiting for lot in _named(settlement, word))


def _named(settlement: Settlement, word: Line) -> Iterator[Lot]:
    """The lines of the part that `word` names, as they were before any word."""
    if settlement.standing is None:
        return
    goods = Goods(settlement.standing.assessment)
    named = part_named(word, goods.catalogue)
    for lot in goods.lots:
        if lot.part.name == named.name and named.is_made_by(lot.part.maker):
            yield lot
