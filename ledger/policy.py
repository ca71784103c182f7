"""The policy: which tier, cap and period a country has on a day, and what is watched for.

A policy is one JSON document: what its TOML file says, with the tables of countries, chips and sources. Its SHA-256
names it. What follows from it for an event is `rules/assess.py`.
"""

import csv
import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ledger.chips import CLASS_SOURCE, own_on_top, read_chips, with_makers_as_in
from ledger.countries import read_countries
from ledger.errors import WrongCall
from ledger.periods import Quarters, periods_of_kind, quarters_from
from ledger.policy_document import (
    CapEntry,
    Dated,
    Detection,
    NveuCap,
    Sourced,
    TierEntry,
    Wrong,
    find_policy,
    inherited_entries,
    last_that_fits,
    read_stated,
    read_text,
    shipped_policies,
    shown_name,
)
from schemas.decision import Regime, Tier

__all__ = ["DATA", "Policy", "Standing", "Standings", "load_policy", "policy_from_document", "shipped_policies"]

DATA = Path(__file__).parent / "data"
"""The package's own data files."""

_A_DAY = timedelta(days=1)

_STRETCHES_MAX = 64
"""Stretches of days between two changes of a policy that are remembered."""

_OWN_COLUMNS = ("vendor", "model", "tpp")
"""The columns that a user's chip table cannot do without."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a policy says of one country on one day.

    Attributes:
        account: the country's account, such as `country:IN`.
        period: the period that the day counts in; None outside all.
        cap_tpp: of the whole period; None without a cap, 0 in Tier 3.
        reason: why this tier, half a sentence.
        groups: the Country Groups it is in.
        united_states: whether it is the United States or a territory of theirs.
        rules: (rule, source) of tier and cap.
    """

    country: str
    name: str
    account: str
    period: str | None
    tier: Tier
    reason: str
    source: str
    cap_tpp: int | None
    groups: frozenset[str]
    united_states: bool
    rules: tuple[tuple[str, str], ...]

    @property
    def place(self) -> tuple[str, str] | None:
        """The account and period in which whatever goes there on that day counts; None outside all periods."""
        return None if self.period is None else (self.account, self.period)


class Standings(dict[str, Standing]):
    """What a policy says of each country on a day, by its code: worked out when it is first asked for.

    Few enough lie here to be at hand for every event; by country and day they would be thousands.

    Attributes:
        detection: what is watched for on that day.
    """

    def __init__(self, work_out: Callable[[str, date], Standing], detection: Detection, day: date) -> None:
        super().__init__()
        self._work_out, self._day = work_out, day
        self.detection = detection

    def __missing__(self, country: str) -> Standing:
        """Work it out.

        Raises:
            WrongCall: there is no such country.
        """
        standing = self[country] = self._work_out(country, self._day)
        return standing


class Policy:
    """One policy, ready to be asked. Make it with `load_policy` or `policy_from_document`.

    Attributes:
        text: what its file says, with what it extends.
        sha256: of everything that was loaded, in hex.
        levels: percent of the cap at which alerts are due, rising.
        reserved_counts: whether what is reserved counts as used.
        detection: what is watched for.
        channels: which channels debit the country, and which have a meter of their own.
        debit_country: the channels that debit the country.
        license: when a licence is required.
        booking_rule: (rule, source) of which items are booked.
    """

    def __init__(
        self, document: dict[str, Any], *, file: str = "policy", inherited: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._document = document
        self._citations = {row["key"]: row["short"] for row in document["sources"]}
        self.countries = read_countries(document["countries"])
        self.text = read_text(document["policy"], file, also=self._unknown_names(), inherited=inherited)
        self.id: str = self.text.id
        self.title: str = self.text.title
        self.sha256 = hashlib.sha256(_canonical(document)).hexdigest()
        self.levels: tuple[int, ...] = tuple(self.text.levels)
        self.reserved_counts: bool = self.text.reserved_counts
        self.catalogue = read_chips(document["chips"])
        self.detection = self.text.detection
        self.channels = self.text.channels
        self.debit_country: frozenset[str] = frozenset(self.channels.debit_country)
        self.license = self.text.license
        self._periods = periods_of_kind(self.text.period)
        self.booking_rule = (
            "items of 3A090.a and 4A090.a, or of undetermined class, are booked",
            self.cite(CLASS_SOURCE),
        )
        self._nveu_last = Quarters().of(max((cap.valid_to for cap in self._nveu_caps), default=date.max))
        self.nveu_quarters = lru_cache(maxsize=64)(self._nveu_quarters)
        dated = *self.text.tiers, *self.text.caps, *self.text.groups, *self.detection.dated().values()
        self._changes = sorted(_changes(dated))
        self._standings: dict[tuple[int, str | None], Standings] = {}
        self.standings_on = lru_cache(maxsize=512)(self._standings_on)
        self.account_cap = lru_cache(maxsize=4096)(self._account_cap)
        self.regime_on = lru_cache(maxsize=4096)(self._regime_on)

    def standing(self, country: str, day: date) -> Standing:
        """Everything the policy says of a country on a day.

        Raises:
            WrongCall: there is no such country.
        """
        return self.standings_on(day)[country]

    def _standings_on(self, day: date) -> Standings:
        """The same of every country: one answer for all days of a period from one change of the policy to the next."""
        stretch = bisect_right(self._changes, day), self.period_of(day)
        found = self._standings.get(stretch)
        if found is None:
            if len(self._standings) >= _STRETCHES_MAX:
                self._standings.clear()
            found = self._standings[stretch] = Standings(self.work_out, self.detection.on(day), day)
        return found

    def work_out(self, country: str, day: date) -> Standing:
        """`standing`, not remembered."""
        tier, reason, source = self.tier_on(country, day)
        name = self.countries[country].name
        cap = self._cap_entry(country, day)
        cap_tpp = {1: None, 2: cap.tpp if cap else None, 3: 0}[tier]
        rules = [(f"{name} is in Tier {tier}: {reason}", source)]
        if tier == 2 and cap:  # noqa: PLR2004  a tier's number is its name
            who = "a Tier-2 country" if cap.countries is None else name
            rules.append((f"{who} may use {cap.tpp:,} TPP {self._periods.phrase}", self.cite(cap)))
        return Standing(
            country=country,
            name=name,
            account=f"country:{country}",
            period=self.period_of(day),
            tier=tier,
            reason=reason,
            source=source,
            cap_tpp=cap_tpp,
            groups=self._groups_on(country, day),
            united_states=self.countries[country].united_states,
            rules=tuple(rules),
        )

    def tier_on(self, country: str, day: date) -> tuple[Tier, str, str]:
        """The tier of a country on a day, why, and the source of that.

        Raises:
            WrongCall: there is no such country.
        """
        if country not in self.countries:
            raise WrongCall(self.countries.advice(country))
        entry = last_that_fits(self.text.tiers, country, day)
        if entry is not None:
            return entry.tier, entry.reason, self.cite(entry)
        row = self.countries[country]
        return row.tier, row.basis, self.cite(row.source)

    def cap_on(self, country: str, day: date) -> int | None:
        """The cap in TPP that a country has on a day: None without one (Tier 1), 0 in Tier 3."""
        return self.standing(country, day).cap_tpp

    def _account_cap(self, account: str, period: str, today: date) -> int | None:
        """The cap by which an account's alert levels are measured on a day; before or after the period, on its nearest.

        None where none applies: Tier 1, Tier 3, a period that is none of this policy's, a kind without a meter, or one
        whose cap comes with each event (uveu). What a company may have by the end of a quarter (nveu) holds all
        through it.
        """
        kind, _, name = account.partition(":")
        if kind == "lpp":
            return self.channels.lpp.cap_tpp if self.channels.lpp else None
        if kind == "nveu":
            last = Quarters().days(period)[1]
            fitting = [cap.tpp for cap in self._nveu_caps if cap.holds(last)]
            return fitting[-1] if fitting else None
        if kind != "country" or name not in self.countries or not self.counts_by(period):
            return None
        standing = self.standing(name, self.day_within(period, today))
        return standing.cap_tpp if standing.tier == 2 else None  # noqa: PLR2004

    def cap_changed_on(self, account: str, period: str, today: date) -> date | None:
        """Since which day of a period an account's cap is what it is today; None if it is since the period began."""
        kind, _, country = account.partition(":")
        if kind != "country" or not self.counts_by(period):
            return None
        first, day = self.period_days(period)[0], self.day_within(period, today)
        cap_tpp = self.account_cap(account, period, day)
        for change in sorted(self._changes_for(country), reverse=True):
            if first < change <= day and self.account_cap(account, period, change - _A_DAY) != cap_tpp:
                return change
        return None

    def day_within(self, period: str, day: date) -> date:
        """The day, or the period's nearest to it."""
        first, last = self.period_days(period)
        return min(max(day, first), last)

    def _changes_for(self, country: str) -> set[date]:
        """The days on which a tier or cap of a country begins or has ended."""
        stated: Sequence[TierEntry | CapEntry] = (*self.text.tiers, *self.text.caps)
        return _changes(entry for entry in stated if entry.countries is None or country in entry.countries)

    def levels_of(self, kind: str) -> tuple[int, ...]:
        """The alert levels of a kind of account, percent of its cap, beside the cap itself."""
        if kind == "country":
            return self.levels
        return (self.channels.lpp.near_level,) if kind == "lpp" and self.channels.lpp else ()

    def _nveu_quarters(self, quarter: str) -> Sequence[str]:
        """The quarters in which an installation of one quarter counts: that one and those after it in the table."""
        return quarters_from(quarter, self._nveu_last or quarter)

    def period_of(self, day: date) -> str | None:
        """The period that a day counts in; None outside all."""
        return self._periods.of(day)

    def period_days(self, period: str) -> tuple[date, date]:
        """The first and the last day of a period.

        Raises:
            WrongCall: the text names no period of this policy.
        """
        return self._periods.days(period)

    def counts_by(self, period: str) -> bool:
        """Whether a text names a period of this policy."""
        try:
            self._periods.days(period)
        except WrongCall:
            return False
        return True

    def _regime_on(self, day: date) -> Regime | None:
        """The rule that governs on a day, and whether it is enforced; None before the first."""
        fitting = [entry for entry in self.text.regimes if entry.holds(day)]
        if not fitting:
            return None
        entry = fitting[-1]
        since = None if entry.valid_from == date.min else entry.valid_from.isoformat()
        return Regime(id=entry.id, status=entry.status, since=since, source=self.cite(entry))

    def cite(self, source: str | Sourced) -> str:
        """A source as it is shown: `S1 §742.6` -> `90 FR 4544 §742.6 [S1]`, with what makes its evidence weak."""
        weak = ""
        if isinstance(source, Sourced):
            weak = f" ({source.evidence})" if source.evidence in ("assumed", "unconfirmed") else ""
            source = source.source
        key, place = _key_and_place(source)
        return f"{self._citations[key]}{place}{weak} [{key}]"

    def sources(self, cited: Iterable[str]) -> dict[str, str]:
        """What the keys of some sources stand for, in the order of the table: `S1` -> the document."""
        keys = {_key_and_place(source)[0] for source in cited}
        return {row["key"]: row["document"] for row in self._document["sources"] if row["key"] in keys}

    def document(self) -> dict[str, Any]:
        """Everything that was loaded, ready for JSON. `sha256` is that of its canonical JSON."""
        return self._document

    def _cap_entry(self, country: str, day: date) -> CapEntry | None:
        return last_that_fits(self.text.caps, country, day)

    def _groups_on(self, country: str, day: date) -> frozenset[str]:
        entry = last_that_fits(self.text.groups, country, day)
        return self.countries[country].groups if entry is None else frozenset(entry.groups)

    @property
    def _nveu_caps(self) -> Sequence[NveuCap]:
        return self.channels.nveu.caps if self.channels.nveu else ()

    def _unknown_names(self) -> list[Wrong]:
        """What is wrong with the countries and sources that the policy names: each must be in its table."""
        stated = self._document["policy"]
        unknown = [
            (place, f": {self.countries.advice(country)}")
            for place, countries in _stated_under("countries", stated)
            for country in _texts_in(countries)
            if country not in self.countries
        ]
        unknown += [
            (place, f": {source!r} begins with no key of sources.csv, such as S1")
            for place, source in _stated_under("source", stated)
            if isinstance(source, str) and _key_and_place(source)[0] not in self._citations
        ]
        return unknown + self._empty_groups()

    def _empty_groups(self) -> list[Wrong]:
        """The Country Groups of a licence zone that no country is ever in: misspelt, they would decide nothing."""
        stated = self._document["policy"]
        known = {group for country in self.countries.values() for group in country.groups}
        known |= {group for _, groups in _stated_under("groups", stated.get("groups")) for group in _texts_in(groups)}
        return [
            (place, f": no country is in a Country Group {group!r}")
            for side in ("inside", "outside")
            for place, groups in _stated_under(side, stated.get("license"), "license")
            for group in _texts_in(groups)
            if group not in known
        ]


def load_policy(id_or_path: str, chips: Path | None = None) -> Policy:
    """Load a policy that comes with the product, by its id, or a TOML file, by its path.

    Args:
        id_or_path: such as `annual-50k`, or `./mine.toml`.
        chips: a chip table (CSV) of the user's own, on top of the catalogue.

    Raises:
        WrongCall: naming file, key and what to write.
    """
    path = find_policy(id_or_path)
    chip_rows = _read_table(DATA / "chips.csv")
    if chips is not None:
        lines, own_rows = _read_numbered(chips, needed=_OWN_COLUMNS)
        chip_rows = own_on_top(chip_rows, with_makers_as_in(chip_rows, own_rows))
        shipped = [0] * (len(chip_rows) - len(own_rows))  # they agree among themselves: what is wrong is the user's
        read_chips(chip_rows, file=str(chips), lines=shipped + lines)
    document = {
        "policy": read_stated(path),
        "countries": _read_table(DATA / "countries.csv"),
        "chips": chip_rows,
        "sources": _read_table(DATA / "sources.csv"),
    }
    return Policy(document, file=shown_name(path), inherited=inherited_entries(path))


def policy_from_document(document: dict[str, Any]) -> Policy:
    """The policy that `Policy.document()` came from: same answers, same SHA-256."""
    return Policy(document)


def _changes(entries: Iterable[Dated]) -> set[date]:
    """The days on which entries begin, and those on which they have ended."""
    entries = list(entries)
    begins = {entry.valid_from for entry in entries}
    return begins | {entry.valid_to + _A_DAY for entry in entries if entry.valid_to < date.max}


def _key_and_place(source: str) -> tuple[str, str]:
    """`S1 §742.6` -> (`S1`, ` §742.6`); `S12, 15 CFR 742.6` -> (`S12`, `, 15 CFR 742.6`)."""
    key = source.split(" ", 1)[0].rstrip(",")
    return key, source[len(key) :]


def _stated_under(name: str, value: Any, where: str = "") -> list[tuple[str, Any]]:
    """Whatever stands under a key in a document, with its place."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            place = f"{where}.{key}".lstrip(".")
            found += [(place, inner)] if key == name else _stated_under(name, inner, place)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += _stated_under(name, inner, f"{where}.{number}")
    return found


def _texts_in(value: Any) -> list[str]:
    """The texts of a list; none if it is no list."""
    return [inner for inner in value if isinstance(inner, str)] if isinstance(value, list) else []


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _read_table(path: Path) -> list[dict[str, str]]:
    return _read_numbered(path)[1]


def _read_numbered(path: Path, needed: Sequence[str] = ()) -> tuple[list[int], list[dict[str, str]]]:
    """A table's rows, and the line on which each of them ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [column for column in needed if column not in (rows.fieldnames or ())]
            if missing:
                raise WrongCall(f"{path}, line 1: there is no column {missing[0]}")
            lines, table = [], []
            for row in rows:
                if None in row or None in row.values():
                    raise WrongCall(
                        f"{path}, line {rows.line_num}: as many cells as the first line has columns, please"
                    )
                lines.append(rows.line_num)
                table.append(row)
            return lines, table
    except OSError as failure:
        raise WrongCall(f"{path} cannot be read: {failure.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as failure:
        raise WrongCall(f"{path}: not CSV in UTF-8: {failure}") from None
