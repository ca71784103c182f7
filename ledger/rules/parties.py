"""Who takes part in a shipment, and where.

Companies are told apart by their id, else by name without its legal form, and country.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ledger.folding import fold
from schemas.shipment_event import Consignee, Parent, ShipmentData

_LEGAL_FORM_WORDS = (
    "ab ag as asa bhd bv co company corp corporation dmcc fz fzco fze gmbh inc incorporated kk limited llc llp lp "
    "ltd nv oy oyj pjsc plc private psc pte pty pvt sa sas sdn spa srl"
)
_LEGAL_FORMS = frozenset(_LEGAL_FORM_WORDS.split())
"""Words at the end of a name that say what kind of company it is, not which."""

COUNTRY_FIELDS = (
    "destination",
    "origin",
    "exporter.country",
    "consignee.country",
    "consignee.headquarters",
    "consignee.ultimate_parent.country",
    "bill_to.country",
    "end_use.model_developer_country",
)
"""Each field of an event that holds a country's code, in the order of `countries_stated`."""

TAKE_PART = frozenset({"origin", "exporter", "consignee", "bill_to", "authorization", "end_use"})
"""Whatever an event may say of its parties, of their licence and of what they intend. Many events say nothing of it."""

_NOTHING: Mapping[str, Any] = {}

_word = re.compile(r"[^\W_]+")


def countries_stated(data: ShipmentData) -> tuple[str | None, ...]:
    """What the event states in each of `COUNTRY_FIELDS`; None where it states nothing."""
    consignee = data.get("consignee") or _NOTHING
    return (
        data.get("destination"),
        data.get("origin"),
        (data.get("exporter") or _NOTHING).get("country"),
        consignee.get("country"),
        consignee.get("headquarters"),
        (consignee.get("ultimate_parent") or _NOTHING).get("country"),
        (data.get("bill_to") or _NOTHING).get("country"),
        (data.get("end_use") or _NOTHING).get("model_developer_country"),
    )


@lru_cache(maxsize=4096)
def normalised(name: str) -> str:
    """A company's name as it is compared: "The Example Group, Inc." -> "example group"."""
    words = _word.findall(fold(name).replace(".", ""))
    if words[:1] == ["the"]:
        del words[0]
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return " ".join(words)


def owner_of(consignee: Consignee | None) -> Consignee | Parent | None:
    """Who owns the goods in the end: the ultimate parent, if it can be told, else the consignee."""
    if consignee is None:
        return None
    parent = consignee.get("ultimate_parent")
    return parent if parent is not None and key_of(parent) is not None else consignee


def key_of(party: Consignee | Parent | None) -> str | None:
    """What an account of a party is called: its id, else its normalised name and country; None if neither is told."""
    if party is None:
        return None
    stated = party.get("id")
    if stated and (stated := stated.strip()):
        return stated
    name = normalised(party.get("name") or "")
    if not name:
        return None
    country = party.get("country")
    return f"{name}:{country}" if country else name
