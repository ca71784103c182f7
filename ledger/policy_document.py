"""What a policy's TOML file may say, and how it is read: one file, or one that states only what differs from another.

Nothing is answered here; `policy.py` does that.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from ledger.errors import WrongCall
from ledger.folding import shorten
from ledger.periods import begins_quarter, ends_quarter, period_kind
from schemas.decision import Tier
from schemas.fields import advice_of
from schemas.shipment_event import TPP_MAX

POLICIES = Path(__file__).parent / "data" / "policies"
"""The policies that come with the product."""

Channel = Literal["license", "lpp", "nveu", "uveu", "aia", "acm", "nac", "aca", "none"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
DEFAULT_CHANNEL: Channel = "license"

Tpp = Annotated[int, Field(ge=0, le=TPP_MAX)]
Percent = Annotated[int, Field(ge=1, le=100)]
Countries = Annotated[list[str], Field(min_length=1)]

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_GROUP = re.compile(r"[A-E](:[1-9])?")

_ADDED = ("tiers", "groups", "caps")
"""Lists that go on after those of the policy that is extended; of entries that fit, the last counts."""

_NARROWING = frozenset({"countries", "valid_from", "valid_to"})
"""What makes an entry one of some countries or days."""

_OWN = ("id", "title")
"""What each policy says for itself."""


def _a_group(name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise ValueError("write a Country Group, such as D:5 or B")
    return name


def _a_name(name: str) -> str:
    if not any(map(str.isalnum, name)):
        raise ValueError("write the party's name")
    return name


CountryGroup = Annotated[str, AfterValidator(_a_group)]
PartyName = Annotated[str, AfterValidator(_a_name)]
"""One without a letter would be that of every buyer whose name is not known."""


class InvalidPolicy(WrongCall):
    """A policy's file says what no policy can say.

    Attributes:
        errors: everything that was found, each with file, key and what to write.
    """

    def __init__(self, errors: list[str], file: str) -> None:
        more = f" ({len(errors) - 1} more: quota-ledger policy check {file})" if len(errors) > 1 else ""
        super().__init__(errors[0] + more)
        self.errors = errors


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sourced(Section):
    """What rests on a text. `evidence` is said where a fact is weaker than its source: it is shown with it."""

    source: str
    evidence: Literal["primary", "secondary", "derived", "assumed", "unconfirmed"] | None = None


class Dated(Sourced):
    """What holds from a first to a last day; without one, since ever or for ever."""

    valid_from: date = date.min
    valid_to: date = date.max

    def holds(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.valid_from <= day <= self.valid_to

    @field_validator("valid_to")
    @classmethod
    def _some_day(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("valid_from", date.min)
        if last < first:
            raise ValueError(f"write the last day on which it holds, not one before its first, {first}")
        return last


class RegimeEntry(Dated):
    """The rule that governs, and how."""

    id: str
    status: Literal["announced", "in_force", "not_enforced", "repealed"]


class TierEntry(Dated):
    """Countries that are in another tier than the table says."""

    countries: Countries
    tier: Tier
    reason: str


class GroupsEntry(Dated):
    """Countries that are, or were, in other Country Groups than the table says."""

    countries: Countries
    groups: list[CountryGroup]


class CapEntry(Dated):
    """What a Tier-2 country may use in a period; without countries, each of them."""

    countries: Countries | None = None
    tpp: Tpp


class AscendBasis(Dated):
    """What the agency's words were."""

    basis: Literal["violation", "risk"]


class AscendDetection(Sourced):
    """Huawei's Ascend parts. `class_310`: tell of Ascend 310 and 310P too."""

    class_310: bool
    basis: list[AscendBasis]


class RedFlags(Dated):
    """The red flags, each with its switch."""

    rf05: bool
    rf07: bool
    rf08: bool
    rf25: bool
    rf29: bool
    rf31: bool
    rf33: bool


class Detection(Section):
    """What is watched for; a section left out is switched off."""

    tier3: Dated | None = None
    headquarters: Dated | None = None
    tier2_headquarters: Dated | None = None
    ascend: AscendDetection | None = None
    prc_chip: Dated | None = None
    end_use: Dated | None = None
    weights: Dated | None = None
    red_flags: RedFlags | None = None

    def dated(self) -> dict[str, Dated]:
        """The sections that hold for some days only, by name."""
        return {name: rule for name in Detection.model_fields if isinstance(rule := getattr(self, name), Dated)}

    def on(self, day: date) -> "Detection":
        """What is watched for on a day."""
        return self.model_copy(update={name: None for name, rule in self.dated().items() if not rule.holds(day)})


class LppMeter(Sourced):
    """Small shipments: a limit an ultimate parent and calendar year, and a notice for a large shipment."""

    cap_tpp: Tpp
    near_level: Percent
    notice_tpp: Tpp


class NveuCap(Dated):
    """What a company may have installed in a country by the end of each quarter between two days.

    Such limits have an end: what is installed counts in every quarter up to the last one that has a limit.
    """

    valid_to: date
    tpp: Tpp

    @field_validator("valid_from", "valid_to")
    @classmethod
    def _whole_quarters(cls, day: date, info: ValidationInfo) -> date:
        if info.field_name == "valid_from" and not begins_quarter(day):
            raise ValueError("write the first day of a quarter, such as 2026-01-01")
        if info.field_name == "valid_to" and not ends_quarter(day):
            raise ValueError("write the last day of a quarter, such as 2026-03-31")
        return day


class NveuMeter(Sourced):
    """National validated end users."""

    caps: Annotated[list[NveuCap], Field(min_length=1)]


class UveuMeter(Sourced):
    """Universal validated end users: percent of all that the holder owns."""

    country_percent: Percent
    outside_tier1_percent: Percent
    outside_us_percent: Percent


class Channels(Sourced):
    """Which channels debit the country, and which have a meter of their own."""

    debit_country: list[Channel]
    lpp: LppMeter | None = None
    nveu: NveuMeter | None = None
    uveu: UveuMeter | None = None


class Tier3License(Sourced):
    """Nothing is said of licences but that Tier 3 needs one."""

    rule: Literal["tier-3"]


class TiersLicense(Sourced):
    """Tiers 2 and 3 need one under some channels, Tier 1 none under others."""

    rule: Literal["tiers-2-and-3"]
    channels: list[Channel]
    tier1_free: list[Channel]


class ListedParties(Dated):
    """Parties for whom a country named below needs none, however their names are spelled."""

    names: Annotated[list[PartyName], Field(min_length=1)]


class NamedCountry(Dated):
    """Countries outside the zone that need one all the same."""

    countries: Countries
    listed: list[ListedParties] = []


class ZoneLicense(Sourced):
    """Destinations in some Country Groups and in none of others need one, and buyers headquartered in Tier 3."""

    rule: Literal["zone"]
    inside: Annotated[list[CountryGroup], Field(min_length=1)]
    outside: list[CountryGroup]
    named: list[NamedCountry] = []


class PolicyText(Section):
    """What a policy's TOML file says."""

    id: str
    title: str
    period: str
    levels: Annotated[list[Percent], Field(min_length=1)]
    reserved_counts: bool = False
    regimes: list[RegimeEntry] = []
    tiers: list[TierEntry] = []
    groups: list[GroupsEntry] = []
    caps: list[CapEntry] = []
    channels: Channels
    license: Annotated[Tier3License | TiersLicense | ZoneLicense, Field(discriminator="rule")]
    detection: Detection

    @field_validator("id")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not _ID.fullmatch(name):
            raise ValueError("write small letters, digits, dots and hyphens, 64 at most, such as my-policy")
        return name

    @field_validator("period")
    @classmethod
    def _a_kind(cls, period: str) -> str:
        return period_kind(period)

    @field_validator("levels")
    @classmethod
    def _rising(cls, levels: list[int]) -> list[int]:
        if levels != sorted(set(levels)):
            raise ValueError("write each level once, the lowest first")
        return levels


class _ForCountries(Protocol):
    @property
    def countries(self) -> list[str] | None: ...

    def holds(self, day: date) -> bool: ...


_Entry = TypeVar("_Entry", bound=_ForCountries)


def last_that_fits(entries: Sequence[_Entry], country: str, day: date) -> _Entry | None:
    """Of the entries that are of a country, or of all, the last that holds on a day; None if none does."""
    for entry in reversed(entries):
        if (entry.countries is None or country in entry.countries) and entry.holds(day):
            return entry
    return None


def shipped_policies() -> list[str]:
    """The ids of the policies that come with the product."""
    return sorted(path.stem for path in POLICIES.glob("*.toml"))


def find_policy(id_or_path: str, beside: Path | None = None) -> Path:
    """The file of a policy: a shipped one by its id, any other by its path.

    Args:
        id_or_path: such as `annual-50k`, or `./mine.toml`.
        beside: a folder that a path may be relative to.

    Raises:
        WrongCall: there is none, with what was probably meant.
    """
    if id_or_path in shipped_policies():
        return POLICIES / f"{id_or_path}.toml"
    path = (beside or Path()) / id_or_path
    try:
        if path.is_file():
            return path
    except OSError as failure:
        raise WrongCall(f"{shorten(id_or_path)} cannot be read: {failure.strerror}") from None
    near = difflib.get_close_matches(id_or_path, shipped_policies(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(shipped_policies())}, or a file's path"
    raise WrongCall(f"there is no policy {id_or_path!r}; {hint}")


def read_stated(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a policy's file states together with what it extends, ready for JSON.

    A table that both have is taken key by key; `tiers`, `groups` and `caps` go on after those of the other, unless they
    are empty or begin with an entry for every country and day; all else replaces it; `false` in the place of a table
    takes it away.

    Raises:
        WrongCall: naming the file, and what to write.
    """
    stated = _read_toml(path)
    base = stated.pop("extends", None)
    if base is None:
        return stated
    file = shown_name(path)
    if not isinstance(base, str):
        raise WrongCall(f"{file}: extends: found {base!r}; write a policy's id or path")
    file_itself = path.resolve()
    if file_itself in extended_by:
        raise WrongCall(f"{file}: extends: {base!r} extends this file in turn; leave one of the two out")
    try:
        found = find_policy(base, path.parent)
    except WrongCall as failure:
        raise WrongCall(f"{file}: extends: {failure}") from None
    inherited = read_stated(found, (*extended_by, file_itself))
    return _on_top({name: value for name, value in inherited.items() if name not in _OWN}, stated, added=_ADDED)


def shown_name(path: Path) -> str:
    """A policy's file as errors name it."""
    return path.name if path.parent == POLICIES else str(path)


def extended_policy(path: Path) -> str | None:
    """The id or path of the policy that a file extends, as it states it.

    Raises:
        WrongCall: the file cannot be read.
    """
    return _read_toml(path).get("extends")


def inherited_entries(path: Path) -> dict[str, int]:
    """How many entries of each list that goes on come before a file's own.

    Raises:
        WrongCall: as `read_stated`.
    """
    stated = _read_toml(path)
    base = stated.get("extends")
    inherited = read_stated(find_policy(base, path.parent)) if base is not None else {}
    return {name: len(inherited.get(name, [])) for name in _ADDED if _goes_on(stated.get(name))}


Wrong = tuple[str, str]
"""A place in a policy, such as `tiers.0.source`, and what is wrong there."""


def read_text(stated: dict[str, Any], file: str, *, also: list[Wrong], inherited: Mapping[str, int]) -> PolicyText:
    """Check what a policy states.

    Args:
        stated: what its file says, with what it extends.
        file: as errors name it.
        also: what else was found wrong with it.
        inherited: as `inherited_entries`, so that errors count a file's own entries from 0.

    Raises:
        InvalidPolicy: with every error.
    """
    try:
        text = PolicyText.model_validate_json(json.dumps(stated))
    except ValidationError as failure:
        found = sorted(failure.errors(include_url=False), key=lambda wrong: wrong["type"] != "extra_forbidden")
        also = [*map(_in_words, found), *also]
    if also:
        raise InvalidPolicy([f"{file}: {_as_in_the_file(place, inherited)}{said}" for place, said in also], file)
    return text


def _as_in_the_file(place: str, inherited: Mapping[str, int]) -> str:
    """A place by the number that an entry has in its own file."""
    table, *rest = place.split(".")
    if not rest or not rest[0].isdigit() or not (before := inherited.get(table)):
        return place
    number = int(rest[0])
    if number < before:
        return f"{place} of what it extends"
    return ".".join((table, str(number - before), *rest[1:]))


def _on_top(base: dict[str, Any], stated: dict[str, Any], added: tuple[str, ...] = ()) -> dict[str, Any]:
    both = dict(base)
    for name, value in stated.items():
        below = base.get(name)
        if isinstance(below, dict) and value is False:
            del both[name]
        elif isinstance(below, dict) and isinstance(value, dict) and _same_rule(below, value):
            both[name] = _on_top(below, value)
        elif isinstance(below, list) and name in added and _goes_on(value):
            both[name] = below + value
        else:
            both[name] = value
    return both


def _goes_on(entries: Any) -> bool:
    """Whether a list leaves anything of the one that it goes on after."""
    if not isinstance(entries, list) or not entries:
        return False
    return not isinstance(entries[0], dict) or not _NARROWING.isdisjoint(entries[0])


def _same_rule(below: dict[str, Any], value: dict[str, Any]) -> bool:
    """Another `rule` has other keys: it replaces the table as a whole."""
    return bool(value.get("rule", below.get("rule")) == below.get("rule"))


def _in_words(wrong: ErrorDetails) -> Wrong:
    keys, given = list(wrong["loc"]), wrong["input"]
    if keys[0] == "license":
        del keys[1:2]  # pydantic puts the rule's name there, which is no key
    place = ".".join(map(str, keys))
    if wrong["type"] == "missing":
        return place, " is missing; state it"
    if wrong["type"] == "extra_forbidden":
        known = _known_keys()
        if keys[-1] in known:
            return place, " is a key of other tables; leave it out"
        near = difflib.get_close_matches(str(keys[-1]), known, n=1)
        return place, " is no key of a policy" + (f"; did you mean {near[0]}?" if near else "; leave it out")
    shown = given if len(str(given)) <= 80 else "a table"  # noqa: PLR2004  longer ones help nobody
    return place, f": found {shown!r}; {advice_of(wrong)}"


def _known_keys() -> list[str]:
    """Every key that some table of a policy has."""
    known, waiting = {"extends"}, [Section]
    while waiting:
        model = waiting.pop()
        known |= set(model.model_fields)
        waiting += model.__subclasses__()
    return sorted(known)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise WrongCall(f"{path}: not TOML in UTF-8: {failure}") from None
    except OSError as failure:
        raise WrongCall(f"{path} cannot be read: {failure.strerror}") from None
    ready: dict[str, Any] = json.loads(json.dumps(stated, default=str))
    return ready
