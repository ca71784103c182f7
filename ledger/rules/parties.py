"""Companies as the rules tell them apart: by their id, else by name without its legal form, and country."""

import re
from functools import lru_cache

from ledger.folding import fold
from schemas.shipment_event import Consignee, Parent

_LEGAL_FORM_WORDS = (
    "ab ag as asa bhd bv co company corp corporation dmcc fz fzco fze gmbh inc incorporated kk limited llc llp lp "
    "ltd nv oy oyj pjsc plc private psc pte pty pvt sa sas sdn spa srl"
)
_LEGAL_FORMS = frozenset(_LEGAL_FORM_WORDS.split())
"""Words at the end of a name that say what kind of company it is, not which."""

_word = re.compile(r"[^\W_]+")


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
