"""A person's word on held lines: what one item of a part has, so that its line can be booked.

A word counts for every line of the statement that is held because nobody knows its TPP. Lines that are held for want of
something else (a consignee, holdings) wait for a correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.rules.lots import Goods, part_named
from ledger.rules.parts import count_as_resolved
from schemas.decision import Outcome
from schemas.shipment_event import TPP_MAX, Line, ShipmentEvent


@dataclass(slots=True)
class Resolution:
    """What one event's words came to.

    Attributes:
        tpp: what the lines that follow it are charged with.
        followed, overruled: how many lines follow it, and how many would if no later word were there.
        refused: how many would come to more than one event may state.
    """

    tpp: int = 0
    followed: int = 0
    overruled: int = 0
    refused: int = 0

    @property
    def outcome(self) -> Outcome:
        """As its decision tells it."""
        if self.followed:
            return "applied"
        return "superseded" if self.overruled else "void"

    @property
    def told(self) -> list[str]:
        """Why, in sentences a person understands."""
        sentences = []
        if self.overruled:
            sentences.append("A later word on the same part stands.")
        if self.refused:
            sentences.append(f"By it the goods would come to more than the {TPP_MAX:,} TPP that one event may state.")
        return sentences or ([] if self.followed else ["No line of the shipment is held for want of this part's TPP."])


def resolve(goods: Goods, events: Sequence[ShipmentEvent]) -> list[Resolution]:
    """Let each held line follow the last word on its part; returns what each event came to.

    A word that would bring its line, or all lines together, past what one event may state leaves the line held: the
    sums of a ledger stay exact.

    Args:
        goods: nothing of them taken away yet.
        events: the resolutions in the order in which they were said.
    """
    found = [Resolution() for _ in events]
    words = _words(goods, events)
    booked_tpp = goods.tpp
    for lot in goods.lots:
        fitting = [
            (number, line)
            for (number, maker), line in words.get(lot.part.name, {}).items()
            if lot.item.held is not None and lot.part.is_made_by(maker)
        ]
        if not fitting:
            continue
        standing, word = fitting[-1]
        for number in {number for number, _ in fitting} - {standing}:
            found[number].overruled += 1
        tpp_each, vendor = word.get("tpp_each"), lot.line.get("vendor") or word.get("vendor")
        assert tpp_each is not None  # the reader refuses such an event
        item = count_as_resolved(lot.item, vendor, tpp_each, goods.catalogue)
        tpp = lot.left * tpp_each if item.booked else 0
        if lot.left * tpp_each > TPP_MAX or booked_tpp + tpp > TPP_MAX:
            found[standing].refused += 1
            continue
        lot.item = item
        booked_tpp += tpp
        found[standing].tpp += tpp
        found[standing].followed += 1
    return found


_Said = dict[tuple[int, str | None], Line]
"""(number of the event, maker) -> the last line of that event on one part, in the order in which they were said."""


def _words(goods: Goods, events: Sequence[ShipmentEvent]) -> dict[str | int | None, _Said]:
    """What was said of each part, by its name."""
    words: dict[str | int | None, _Said] = {}
    for number, event in enumerate(events):
        for line in event.data.get("lines") or ():
            named = part_named(line, goods.catalogue)
            said = words.setdefault(named.name, {})
            said.pop((number, named.maker), None)
            said[number, named.maker] = line
    return words
