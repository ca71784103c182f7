"""Red flags: what a careful seller would ask about. Each looks at what was stated, and at nothing else.

The list was collected from summaries of the agency's guidance; a policy switches each of them on or off.
"""

from typing import Any, NamedTuple

from ledger.chips import Catalogue
from ledger.folding import fold, shorten, squeeze
from ledger.policy import Policy
from ledger.rules.assessment import SHOWN_MAX, Case, Notice
from ledger.rules.channels import just_below
from schemas.quota_alert import AlertKind
from schemas.shipment_event import Consignee, Line

WATCHED_GROUPS = frozenset({"D:1", "D:4", "D:5"})
INTERMEDIARIES = frozenset({"trading_firm", "reseller", "freight_forwarder"})


class _Flag(NamedTuple):
    """One that shows: its switch, a sentence, and what matched."""

    switch: str
    said: str
    matched: dict[str, Any]


def red_flag_notices(case: Case, booked_tpp: int) -> list[Notice]:
    """Every red flag that shows. `booked_tpp` is what the shipment is charged with; 0 for a use, which is none."""
    data, policy = case.data, case.policy
    consignee, end_use, bill_to = data.get("consignee"), data.get("end_use"), data.get("bill_to")
    site = end_use.get("site") if end_use else None
    flags: list[_Flag] = []
    if site is not None and not site.strip():
        flags.append(_Flag("rf05", "The place of installation is left empty.", {"field": "end_use.site"}))
    if consignee is not None:
        flags += _rf07_headquarters(consignee, case)
        role = consignee.get("role")
        if role in INTERMEDIARIES and (not end_use or end_use.get("purpose") == "unknown"):
            said = f"The consignee is a {role.replace('_', ' ')}, and the end use is not known."
            flags.append(_Flag("rf08", said, {"role": role}))
        if role == "freight_forwarder":
            flags.append(_Flag("rf25", "A freight forwarder is the consignee.", {"role": role}))
    for line in case.lines:
        if line.get("declared_as"):
            flags += _rf29_declared_otherwise(case)
            break
    if bill_to is not None and not (site and site.strip()):
        flags += _rf31_billed_elsewhere(bill_to.get("country"), case)
    if case.channel == "lpp":
        flags += _rf33_just_below(booked_tpp, policy)
    switches = case.standings.detection.red_flags
    if not flags or switches is None:
        return []
    source = policy.cite(switches)
    return [
        Notice(_KINDS[flag.switch], "info", flag.said, {**flag.matched, "source": source})
        for flag in flags
        if getattr(switches, flag.switch)
    ]


_KINDS: dict[str, AlertKind] = {
    "rf05": "redflag.rf05",
    "rf07": "redflag.rf07",
    "rf08": "redflag.rf08",
    "rf25": "redflag.rf25",
    "rf29": "redflag.rf29",
    "rf31": "redflag.rf31",
    "rf33": "redflag.rf33",
}


def _rf07_headquarters(consignee: Consignee, case: Case) -> list[_Flag]:
    country = consignee.get("country")
    groups = case.standings[country].groups & WATCHED_GROUPS if country else ()
    reasons = []
    if not consignee.get("headquarters"):
        reasons.append("does not say where it is headquartered")
    if groups:
        reasons.append(f"is located in Country Group {' and '.join(sorted(groups))}")
    if not reasons:
        return []
    said = f"The consignee {' and '.join(reasons)}."
    return [_Flag("rf07", said, {"country": country, "groups": sorted(groups)})]


def _rf29_declared_otherwise(case: Case) -> list[_Flag]:
    lines, catalogue = case.lines, case.policy.catalogue
    found = [
        (number, declared)
        for number, line in enumerate(lines)
        if (declared := line.get("declared_as")) and declared.strip() and not _is_the_same(line, declared, catalogue)
    ]
    if not found:
        return []
    number, declared = found[0]
    shown = [
        {"line": n, "item": shorten(_item(lines[n]) or ""), "declared_as": shorten(said)}
        for n, said in found[:SHOWN_MAX]
    ]
    return [_Flag("rf29", f"Line {number + 1} is declared as {shorten(declared)!r}.", {"lines": shown})]


def _rf31_billed_elsewhere(country: str | None, case: Case) -> list[_Flag]:
    if country is None or country == case.destination.country:
        return []
    billed = f"Billed to {case.policy.countries[country].name}, shipped to {case.destination.name}"
    matched = {"bill_to": country, "field": "end_use.site"}
    return [_Flag("rf31", f"{billed}, and no place of installation is told.", matched)]


def _rf33_just_below(booked_tpp: int, policy: Policy) -> list[_Flag]:
    meter = policy.channels.lpp
    below = just_below(booked_tpp, meter) if meter is not None else None
    if below is None:
        return []
    name, limit_tpp = below
    said = f"{booked_tpp:,} TPP stays just below the LPP {name} of {limit_tpp:,}."
    return [_Flag("rf33", said, {"tpp": booked_tpp, "limit_tpp": limit_tpp})]


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
