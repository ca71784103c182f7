"""The table of countries: codes, names, and the tier each had on 15 January 2025.

Changes by date are the policy's. Codes are ISO 3166-1 alpha-2 in capitals, and `XK`; nothing else is one, but a near
miss is told what was probably meant.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ledger.errors import WrongCall
from ledger.folding import fold, shorten, squeeze
from schemas.decision import Tier

TIER_OF_CLASS: dict[str, Tier] = {"1": 1, "2": 2, "3": 3, "US": 1}
"""The United States and its territories are no export destinations; they answer Tier 1."""

_OTHER_NAMES = {
    "GB": "UK, Great Britain, Britain, England, Scotland, Wales, Northern Ireland",
    "US": "United States of America, America",
    "AE": "UAE, Emirates, Dubai, Abu Dhabi",
    "BO": "Plurinational State of Bolivia",
    "CD": "DRC, DR Congo, Zaire, ZR, Democratic Republic of the Congo",
    "CI": "Ivory Coast",
    "CN": "PRC, Mainland China, People's Republic of China",
    "CV": "Cape Verde",
    "CZ": "Czech Republic",
    "DE": "Deutschland, DD, Federal Republic of Germany",
    "ES": "España",
    "FR": "FX",
    "GR": "EL, Hellas",
    "IR": "Islamic Republic of Iran",
    "KP": "DPRK, Democratic People's Republic of Korea",
    "KR": "Korea, Republic of Korea, ROK",
    "LA": "Lao People's Democratic Republic",
    "MK": "Macedonia",
    "MM": "Burma, BU",
    "MO": "Macau",
    "NL": "Holland, The Netherlands",
    "PH": "The Philippines",
    "PS": "Palestine",
    "RS": "YU, CS",
    "RU": "Russia, SU",
    "SY": "Syrian Arab Republic",
    "SZ": "Swaziland",
    "TL": "East Timor, TP",
    "TR": "Turkey",
    "TW": "Chinese Taipei, Taiwan Province of China",
    "TZ": "United Republic of Tanzania",
    "VA": "Vatican, Holy See",
    "VN": "Viet Nam",
    "XK": "Republic of Kosovo, KO, KV, UNK",
}
"""Names and withdrawn codes that people write, by the code that is meant."""

_ALIKE_MIN = 0.8
"""How much of a misspelt name must agree before it is taken for a hint."""


@dataclass(frozen=True, slots=True)
class Country:
    """One row of the table.

    Attributes:
        tier: that of 15 January 2025.
        united_states: whether it is the United States or a territory of theirs.
        groups: the Country Groups of 23 July 2026.
        basis: why this tier, as half a sentence.
        evidence: `primary`, `secondary` or `assumed`.
        source: key and place of the text, as in `S1 §742.6`.
    """

    iso2: str
    iso3: str
    name: str
    tier: Tier
    united_states: bool
    groups: frozenset[str]
    basis: str
    evidence: str
    source: str
    note: str


class CountryTable(dict[str, Country]):
    """Every country by its two-letter code."""

    def hint(self, found: str) -> str | None:
        """The code that was probably meant by `found`, which is none itself."""
        name = squeeze(fold(found))
        if code := self._codes_by_name.get(name):
            return code
        near = difflib.get_close_matches(name, self._codes_by_name, n=1, cutoff=_ALIKE_MIN) if len(name) > 3 else []  # noqa: PLR2004  codes are too short to be near each other
        return self._codes_by_name[near[0]] if near else None

    def advice(self, found: str) -> str:
        """What to write instead of `found`, one sentence."""
        code = self.hint(found)
        meant = f"did you mean {code} ({self[code].name})?" if code else "such as IN for India"
        return f"{shorten(found)!r} is no country code; write two capitals of ISO 3166-1 alpha-2: {meant}"

    @cached_property
    def codes_or_none(self) -> frozenset[str | None]:
        """What a field that may hold a country's code may hold."""
        return frozenset((*self, None))

    @cached_property
    def _codes_by_name(self) -> dict[str, str]:
        names = {}
        for code, country in self.items():
            for name in (code, country.iso3, country.name, *_OTHER_NAMES.get(code, "").split(",")):
                if name:
                    names[squeeze(fold(name))] = code
        return names


def read_countries(rows: Sequence[Mapping[str, str]]) -> CountryTable:
    """Build the table from the rows of `countries.csv`.

    Raises:
        WrongCall: a row lacks a column or names a tier that is none.
    """
    table = CountryTable()
    for number, row in enumerate(rows, start=2):
        try:
            table[row["iso2"]] = Country(
                iso2=row["iso2"],
                iso3=row["iso3"],
                name=row["name"],
                tier=TIER_OF_CLASS[row["tier"]],
                united_states=row["tier"] == "US",
                groups=frozenset(row["groups"].split(";")) - {""},
                basis=row["basis"],
                evidence=row["evidence"],
                source=row["source"],
                note=row["note"],
            )
        except KeyError as missing:
            raise WrongCall(f"countries.csv, line {number}: {missing} is no column or no tier (1, 2, 3, US)") from None
    return table
