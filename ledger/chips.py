"""The catalogue of chips and systems: which part a line names, how much TPP it has, which ECCN the formula gives it.

A class is computed here, not ruled by an agency. The figures rest on Epoch AI's "Data on Machine Learning Hardware"
(CC BY 4.0) and the sources named in each row; `data/NOTICE.md` tells which.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import count

from ledger.errors import WrongCall
from ledger.folding import fold, squeeze
from schemas.shipment_event import TPP_MAX

UNDETERMINED = "undetermined"
"""The class of an item whose die area would decide and is not known."""

CLASS_SOURCE = "S2 Supp. 1 to Part 774, 3A090"
"""Where the formula of the classes stands, as a policy cites it."""

_OTHER_MAKERS = {
    "AMD": ("Advanced Micro Devices",),
    "AWS": ("Amazon", "Annapurna Labs"),
    "Huawei": ("HiSilicon", "华为", "華為", "海思"),
    "Iluvatar CoreX": ("Iluvatar",),
    "Intel": ("Habana",),
}
"""Other names of the catalogue's makers, beside those in its column `vendor`."""

_NAME_MIN = 4
"""Shorter names, and names without a digit, count only with their maker."""

_word = re.compile(r"\w+")
_digit = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Part:
    """One row of the catalogue.

    Attributes:
        name: vendor and model, as they are shown.
        exact_tpp: TPP of one item as its figures give it; None if unknown.
        tpp: the same as a whole number, a fraction rounded up.
        eccn: its class by the formula; None below every limit.
        booked: whether it is charged to a quota; parts made in China never are.
        evidence: `dataset`, `press`, `derived`, `unconfirmed`, or `own` for a user's table.
    """

    name: str
    vendor: str
    names: tuple[str, ...]
    exact_tpp: Fraction | None
    tpp: int | None
    die_area_mm2: Fraction | None
    ics_per_item: int
    data_center: bool
    ascend: bool
    prc_origin: bool
    evidence: str
    source_url: str
    note: str
    eccn: str | None
    booked: bool

    def class_at(self, tpp_each: int) -> str | None:
        """The class of this part if one item had `tpp_each`."""
        return classify(
            Fraction(tpp_each),
            die_area_mm2=self.die_area_mm2,
            ics_per_item=self.ics_per_item,
            data_center=self.data_center,
        )


def classify(
    tpp: Fraction, *, die_area_mm2: Fraction | None = None, ics_per_item: int = 1, data_center: bool = True
) -> str | None:
    """The ECCN by the technical notes of 3A090, asked in this order.

    Args:
        tpp: of one item, exact.
        die_area_mm2: of one chip, non-planar dies only; None if unknown.
        ics_per_item: chips in the item; more than one make it a system, classed by its chips as 4A090.
        data_center: designed or marketed for data centres; if not, Note 2 lets off what lies below 4,800 TPP.

    Returns:
        Such as `3A090.a`, `4A090.b`; `undetermined`; None below every limit.
    """
    each = tpp / ics_per_item
    entry = "3A090" if ics_per_item == 1 else "4A090"
    density = None if die_area_mm2 is None else each / die_area_mm2
    if each >= 4800:  # noqa: PLR2004  the limits read best in their places
        return f"{entry}.a"
    if not data_center or each < 1600:  # noqa: PLR2004
        return None
    if density is None:
        return UNDETERMINED
    if density >= Fraction("5.92"):
        return f"{entry}.a"
    if density >= Fraction("3.2") or (each >= 2400 and density >= Fraction("1.6")):  # noqa: PLR2004
        return f"{entry}.b"
    return None


def is_booked(eccn: str | None) -> bool:
    """Whether items of this class are charged to a quota: level `.a`, and what may be."""
    return eccn is not None and (eccn == UNDETERMINED or eccn.endswith(".a"))


def is_controlled(eccn: str | None) -> bool:
    """Whether items of this class meet 3A090 or 4A090, level `.a` or `.b`, or may."""
    return eccn is not None and (is_booked(eccn) or eccn.endswith(".b"))


class Catalogue:
    """Every known part, found by its names."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = tuple(parts)
        self._makers = _makers_by_phrase(self.parts)
        self._of_maker: dict[tuple[str, str], Part] = {}
        self._by_name: dict[str, Part] = {}
        prefixes: dict[str, list[str]] = {}
        for phrase, maker in self._makers.items():
            prefixes.setdefault(maker, []).append(squeeze(phrase))
        for part in self.parts:
            for name in map(_compared, part.names):
                self._of_maker[part.vendor, name] = part
                if len(name) >= _NAME_MIN and _digit.search(name):
                    self._by_name[name] = part
                for prefix in prefixes[part.vendor]:
                    self._by_name.setdefault(prefix + name, part)
        self.find = lru_cache(maxsize=1024)(self._find)
        self.prc_makers = {part.vendor for part in self.parts} - {p.vendor for p in self.parts if not p.prc_origin}
        self.ascend_words = frozenset(
            name for name, part in self._by_name.items() if part.ascend and re.fullmatch(r"\d+[a-z]+\d*", name)
        )
        """Names of Ascend parts that are one word with digits and letters, such as 910b."""

    def maker(self, vendor: str) -> str | None:
        """The catalogue's name of the maker that a text begins with, such as "NVIDIA Corporation"."""
        text = " ".join(_word.findall(fold(vendor)))
        fitting = [
            phrase
            for phrase in self._makers
            if text == phrase or text.startswith(phrase if not phrase.isascii() else phrase + " ")
        ]
        return self._makers[max(fitting, key=len)] if fitting else None

    def _find(self, vendor: str | None, model: str) -> Part | None:
        """The part that a line names, compared without case, spaces and signs; None if the catalogue has none.

        A maker that the catalogue knows must be the part's own; any other vendor (who assembles or sells) is passed
        over. Remembered as `find`, for every line asks.
        """
        name = _compared(model)
        maker = self.maker(vendor) if vendor else None
        if maker is None or vendor is None:
            return self._by_name.get(name)
        if part := self._of_maker.get((maker, name)):
            return part
        if part := self._by_name.get(_compared(vendor) + name):
            return part
        named = self._by_name.get(name)
        return named if named is not None and named.vendor == maker else None


def read_chips(
    rows: Sequence[Mapping[str, str]], *, file: str = "chips.csv", lines: Iterable[int] | None = None
) -> Catalogue:
    """Build the catalogue from the rows of a table.

    Args:
        rows: the table's.
        file: as errors name it.
        lines: where each row stands in the file; below its first line and one below the other if absent.

    Raises:
        WrongCall: with file, line and reason: a figure that is none, or a name that two parts of one maker share.
    """
    parts: list[Part] = []
    owners: dict[tuple[str, str], Part] = {}
    for line, row in zip(lines or count(2), rows, strict=False):
        try:
            part = _read_part(row)
        except ValueError as wrong:
            raise WrongCall(f"{file}, line {line}: {wrong}") from None
        for name in map(_compared, part.names):
            other = owners.setdefault((part.vendor, name), part)
            if other is not part:
                said = f"{part.name} has the name {name!r} of {other.name}; leave it to one"
                raise WrongCall(f"{file}, line {line}: {said}")
        parts.append(part)
    return Catalogue(parts)


def with_makers_as_in(shipped: Sequence[Mapping[str, str]], own: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The user's rows with each maker spelled as the shipped table does, else as it was first written."""
    spellings: dict[str, str] = {}
    for row in (*shipped, *own):
        spellings.setdefault(_compared(row["vendor"]), row["vendor"])
    return [{**row, "vendor": spellings[_compared(row["vendor"])]} for row in own]


def own_on_top(shipped: Sequence[Mapping[str, str]], own: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Both tables as one: a row of the user's replaces the shipped row of that model, and takes over its names."""
    models = {(row["vendor"], _compared(row["model"])) for row in own}
    taken = {(row["vendor"], _compared(name)) for row in own for name in _names(row)}
    kept = []
    for row in shipped:
        if (row["vendor"], _compared(row["model"])) not in models:
            aliases = [name for name in row["aliases"].split(";") if (row["vendor"], _compared(name)) not in taken]
            kept.append({**row, "aliases": ";".join(aliases)})
    return kept + [dict(row) for row in own]


def _read_part(row: Mapping[str, str]) -> Part:
    for column in ("vendor", "model"):
        if not row.get(column, "").strip():
            raise ValueError(f"{column} is empty; write who makes the part and its name")
    die_area = _figure(row, "die_area_mm2")
    ics_per_item = _figure(row, "ics_per_item") or Fraction(1)
    if ics_per_item.denominator != 1:
        raise ValueError("ics_per_item is a whole number of chips")
    exact = _figure(row, "tpp")
    tops, bits = _figure(row, "dense_tops"), _figure(row, "bit_length")
    if exact is None and tops is not None and bits is not None:
        exact = tops * bits
    data_center = _flag(row, "data_center", default=True)
    eccn = None
    if exact is not None:
        eccn = classify(exact, die_area_mm2=die_area, ics_per_item=int(ics_per_item), data_center=data_center)
    prc_origin = _flag(row, "prc_origin", default=False)
    return Part(
        name=f"{row['vendor']} {row['model']}",
        vendor=row["vendor"],
        names=_names(row),
        exact_tpp=exact,
        tpp=None if exact is None else math.ceil(exact),
        die_area_mm2=die_area,
        ics_per_item=int(ics_per_item),
        data_center=data_center,
        ascend=_flag(row, "ascend", default=False),
        prc_origin=prc_origin,
        evidence=row.get("evidence") or "own",
        source_url=row.get("source_url", ""),
        note=row.get("note", ""),
        eccn=eccn,
        booked=is_booked(eccn) and not prc_origin,
    )


def _compared(name: str) -> str:
    return squeeze(fold(name))


def _names(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in (row["model"], *row.get("aliases", "").split(";")) if name.strip())


def _figure(row: Mapping[str, str], column: str) -> Fraction | None:
    text = row.get(column, "").strip()
    if not text:
        return None
    if not re.fullmatch(r"\d{1,16}(\.\d{1,9})?", text):
        raise ValueError(f"{column} is {text!r}; write a plain number, such as 15832 or 2394.4")
    figure = Fraction(text)
    if not 0 < figure <= TPP_MAX:
        raise ValueError(f"{column} is {text}; write a number above 0, at most {TPP_MAX}")
    return figure


def _flag(row: Mapping[str, str], column: str, *, default: bool) -> bool:
    text = row.get(column, "").strip().lower()
    if text not in ("true", "false", ""):
        raise ValueError(f"{column} is {text!r}; write true or false")
    return text == "true" if text else default


def _makers_by_phrase(parts: Iterable[Part]) -> dict[str, str]:
    """Each maker by what a vendor field may begin with, in folded words: `nvidia`, `t head`, `alibaba`."""
    phrases = {}
    for part in parts:
        inside = re.split(r"[()]", part.vendor)
        for name in (part.vendor, *inside, *_OTHER_MAKERS.get(part.vendor, ())):
            if phrase := " ".join(_word.findall(fold(name))):
                phrases[phrase] = part.vendor
    return phrases
