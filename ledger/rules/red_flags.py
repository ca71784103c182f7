"""Red flags: what a careful seller would ask about. Each looks at what was stated, and at nothing else.

The list was collected from summaries of the agency's guidance; a policy switches each of them on or off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from ledger.chips import Catalogue
from ledger.folding import fold, shorten, squeeze
from ledger.policy import Policy, Standing
from ledger.rules.ascend import find_ascend
from ledger.rules.assessment import AssessedLine, Notice
from ledger.rules.channels import just_below
from ledger.rules.parts import SHOWN_MAX
from schemas.quota_alert import AlertKind
from schemas.shipment_event import Line, ShipmentData

WATCHED_GROUPS = frozenset({"D:1", "D:4", "D:5"})
INTERMEDIARIES = frozenset({"trading_firm", "reseller", "freight_forwarder"})


@dataclass(slots=True)
class Stated:
    """One shipment as the red flags look at it.

    Attributes:
        booked_tpp: what it would be charged with; 0 for a use, which is no shipment.
    """

    data: ShipmentData
    lines: Sequence[Line]
    destination: Standing
    day: date
    channel: str
    booked_tpp: int
    policy: Policy


Found = tuple[str, dict[str, Any]] | None
"""A sentence and what matched; None if the flag does not show."""


def red_flag_notices(stated: Stated) -> tuple[list[Notice], str] | None:
    """Every red flag that shows, with the source of the rule."""
    switches = stated.policy.detection.red_flags
    if switches is None or not switches.holds(stated.day):
        return None
    shown = [(kind, found) for kind, look in _looked_for(stated.policy) if (found := look(stated))]
    if not shown:
        return None
    source = stated.policy.cite(switches)
    return [Notice(kind, "info", said, {**evidence, "source": source}) for kind, (said, evidence) in shown], source


def may_show(data: ShipmentData, lines: Sequence[Line], channel: str) -> bool:
    """Whether anything is stated that a red flag looks at: most shipments of few words state none."""
    if "consignee" in data or "bill_to" in data or "end_use" in data or channel == "lpp":
        return True
    return any("declared_as" in line for line in lines) if len(lines) > 1 else "declared_as" in lines[0]


def prc_chip_notice(
    lines: Sequence[Line], assessed: Sequence[AssessedLine], day: date, policy: Policy
) -> tuple[Notice, str] | None:
    """The alert about parts designed in China that meet 3A090, Ascend apart; with its source."""
    rule = policy.detection.prc_chip
    if rule is None or not rule.holds(day):
        return None
    found = [
        number
        for number, line in enumerate(assessed)
        if line.prc_made and line.meets_3a090 and not find_ascend(lines[number], policy.catalogue)
    ]
    if not found:
        return None
    source = policy.cite(rule)
    message = f"{assessed[found[0]].part} was designed in China and meets 3A090: a breach is presumed in its making."
    shown = [{"line": n, "part": assessed[n].part, "eccn": assessed[n].eccn} for n in found[:SHOWN_MAX]]
    return Notice("redflag.prc_chip", "info", message, {"lines": shown, "source": source}), source


def _rf05_no_address(stated: Stated) -> Found:
    site = (stated.data.get("end_use") or {}).get("site")
    if site is None or site.strip():
        return None
    return "The place of installation is left empty.", {"field": "end_use.site"}


def _rf07_headquarters(stated: Stated) -> Found:
    consignee = stated.data.get("consignee")
    if consignee is None:
        return None
    reasons, country = [], consignee.get("country")
    if not consignee.get("headquarters"):
        reasons.append("does not say where it is headquartered")
    groups = stated.policy.standing(country, stated.day).groups & WATCHED_GROUPS if country else frozenset()
    if groups:
        reasons.append(f"is located in Country Group {' and '.join(sorted(groups))}")
    if not reasons:
        return None
    return f"The consignee {' and '.join(reasons)}.", {"country": country, "groups": sorted(groups)}


def _rf08_end_user_unknown(stated: Stated) -> Found:
    role = (stated.data.get("consignee") or {}).get("role")
    end_use = stated.data.get("end_use")
    if role not in INTERMEDIARIES or (end_use and end_use.get("purpose") != "unknown"):
        return None
    return f"The consignee is a {role.replace('_', ' ')}, and the end use is not known.", {"role": role}


def _rf25_forwarder(stated: Stated) -> Found:
    role = (stated.data.get("consignee") or {}).get("role")
    return ("A freight forwarder is the consignee.", {"role": role}) if role == "freight_forwarder" else None


def _rf29_declared_otherwise(stated: Stated) -> Found:
    found = [
        (number, declared)
        for number, line in enumerate(stated.lines)
        if (declared := line.get("declared_as"))
        and declared.strip()
        and not _is_the_same(line, declared, stated.policy.catalogue)
    ]
    if not found:
        return None
    number, declared = found[0]
    shown = [
        {"line": n, "item": shorten(_item(stated.lines[n]) or ""), "declared_as": shorten(said)}
        for n, said in found[:SHOWN_MAX]
    ]
    return f"Line {number + 1} is declared as {shorten(declared)!r}.", {"lines": shown}


def _rf31_billed_elsewhere(stated: Stated) -> Found:
    country = (stated.data.get("bill_to") or {}).get("country")
    site = (stated.data.get("end_use") or {}).get("site")
    if country is None or country == stated.destination.country or (site and site.strip()):
        return None
    told = f"Billed to {stated.policy.countries[country].name}, shipped to {stated.destination.name}"
    return f"{told}, and no place of installation is told.", {"bill_to": country, "field": "end_use.site"}


def _rf33_just_below(stated: Stated) -> Found:
    meter = stated.policy.channels.lpp
    if stated.channel != "lpp" or meter is None:
        return None
    below = just_below(stated.booked_tpp, meter)
    if below is None:
        return None
    name, limit = below
    told = f"{stated.booked_tpp:,} TPP stays just below the LPP {name} of {limit:,}."
    return told, {"tpp": stated.booked_tpp, "limit_tpp": limit}


_Flag = tuple[AlertKind, Callable[[Stated], Found]]

_FLAGS: tuple[tuple[str, AlertKind, Callable[[Stated], Found]], ...] = (
    ("rf05", "redflag.rf05", _rf05_no_address),
    ("rf07", "redflag.rf07", _rf07_headquarters),
    ("rf08", "redflag.rf08", _rf08_end_user_unknown),
    ("rf25", "redflag.rf25", _rf25_forwarder),
    ("rf29", "redflag.rf29", _rf29_declared_otherwise),
    ("rf31", "redflag.rf31", _rf31_billed_elsewhere),
    ("rf33", "redflag.rf33", _rf33_just_below),
)


@lru_cache(maxsize=64)
def _looked_for(policy: Policy) -> tuple[_Flag, ...]:
    """The red flags that a policy switches on."""
    return tuple((kind, look) for name, kind, look in _FLAGS if getattr(policy.detection.red_flags, name))


def _item(line: Line) -> str | None:
    return line.get("model") or line.get("part_number") or line.get("sku") or line.get("description")


def _is_the_same(line: Line, declared: str, catalogue: Catalogue) -> bool:
    """Whether goods are declared as what they are: by the catalogue's names, else by one name holding the other."""
    item, vendor = _item(line), line.get("vendor")
    if item is None:
        return True
    part, stated_part = catalogue.find(vendor, item), catalogue.find(vendor, declared)
    if part is not None and stated_part is not None:
        return part is stated_part
    said = squeeze(fold(declared))
    names = (item, *part.names) if part else (item,)
    return any(name in said or said in name for name in map(squeeze, map(fold, names)))
