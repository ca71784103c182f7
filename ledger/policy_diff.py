"""Where two policies decide otherwise, and on which days.

Compared is what holds on a day, not how it is written: the tier, cap and Country Groups of each country, whether it
needs a licence by name, every other entry that holds, and of chips what counts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from ledger.policy import Policy
from ledger.policy_document import ZoneLicense, last_that_fits
from ledger.policy_sheet import entries
from schemas.policy import Difference, PolicyDiff

_BY_COUNTRY = ("tiers", "caps", "groups", "license.named", "license.named.listed")
"""Tables that are compared by what they come to for each country."""

_WHOLE = ("period", "levels", "reserved_counts")
"""Keys of the file that rest on no source."""

_FIRST = ("tier", "groups", *_WHOLE)
"""What is told first; the rest goes by its name."""

_DAY = timedelta(days=1)

Subject = tuple[str, str]
"""What is decided, and of which country or part; the latter is empty for what a policy decides as a whole."""

Said = list[dict[str, Any]]


def difference(policy: Policy, against: Policy) -> PolicyDiff:
    """Everything that differs, by what it is and from which day; countries that differ alike stand together."""
    return PolicyDiff(
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        against_id=against.id,
        against_sha256=against.sha256,
        items=_together(_spans(policy, against)),
    )


def boundaries(*policies: Policy) -> list[date]:
    """The days on which an answer can change, in order; the first is the beginning of all days."""
    days = {date.min}
    for policy in policies:
        for entry in entries(policy):
            days |= {entry.first} | ({entry.last + _DAY} if entry.last < date.max else set())
    return sorted(days)


def said_on(policy: Policy, day: date) -> Mapping[Subject, Said]:
    """What a policy decides on a day."""
    said: dict[Subject, Said] = defaultdict(list)
    for name in _WHOLE:
        said[name, ""].append({name: getattr(policy.text, name)})
    for entry in entries(policy):
        if entry.holds(day) and entry.place not in _BY_COUNTRY:
            said[entry.place, ""].append({name: _in_order(value) for name, value in entry.says.items()})
    for country in policy.countries:
        standing = policy.standing(country, day)
        said["tier", country].append({"tier": standing.tier, "cap_tpp": standing.cap_tpp})
        said["groups", country].append({"groups": sorted(standing.groups)})
        if isinstance(policy.license, ZoneLicense) and (named := last_that_fits(policy.license.named, country, day)):
            listed = sorted({name for entry in named.listed if entry.holds(day) for name in entry.names})
            said["license.named", country].append({"license": "by name", "listed": listed})
    for part in policy.catalogue.parts:
        counted = {"tpp_each": part.tpp, "eccn": part.eccn, "ascend": part.ascend, "prc_origin": part.prc_origin}
        size = {"die_area_mm2": part.die_area_mm2 and float(part.die_area_mm2), "ics_per_item": part.ics_per_item}
        sold = {"data_center": part.data_center, "names": list(part.names)}
        said["part", part.name].append(counted | size | sold)
    return said


def _in_order(value: Any) -> Any:
    """A list of channels or Country Groups says the same in any order."""
    return sorted(value) if isinstance(value, list) else value


_Span = tuple[Subject, date, date, Said, Said]
"""A subject, the first and the last day, and what either policy says on them."""


def _spans(policy: Policy, against: Policy) -> Iterator[_Span]:
    """Each subject that differs, for as long as it differs in the same way."""
    days = boundaries(policy, against)
    running: dict[Subject, tuple[date, tuple[Said, Said]]] = {}
    for day in days:
        said, other = said_on(policy, day), said_on(against, day)
        differing = {
            subject: (said.get(subject, []), other.get(subject, []))
            for subject in said.keys() | other.keys()
            if said.get(subject) != other.get(subject)
        }
        for subject, (since, pair) in list(running.items()):
            if differing.get(subject) != pair:
                del running[subject]
                yield subject, since, day - _DAY, *pair
        for subject, pair in differing.items():
            running.setdefault(subject, (day, pair))
    for subject, (since, pair) in running.items():
        yield subject, since, date.max, *pair


def _order(span: _Span) -> tuple[int, Subject, date]:
    subject, first, *_ = span
    return (_FIRST.index(subject[0]) if subject[0] in _FIRST else len(_FIRST)), subject, first


def _together(spans: Iterator[_Span]) -> list[Difference]:
    """Spans that say the same of several countries or parts as one."""
    alike: dict[str, tuple[_Span, list[str]]] = {}
    for span in sorted(spans, key=_order):
        (what, of), *rest = span
        _, members = alike.setdefault(repr((what, *rest)), (span, []))
        members += [of] if of else []
    return [
        Difference(
            what=what,
            of=members,
            valid_from=None if first == date.min else first,
            valid_to=None if last == date.max else last,
            policy=said,
            against=other,
        )
        for ((what, _), first, last, said, other), members in alike.values()
    ]
