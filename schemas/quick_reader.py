"""JSON -> an event's fields, quickly: the reader of the hot path, derived from the one definition of the event.

It decides nothing. What it reads, pydantic would have read to the same values; whatever it refuses, or is not sure of,
pydantic reads, and names what is wrong.
"""

import re
import types
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AwareDatetime
from typing_extensions import TypedDict, is_typeddict

from schemas.shipment_event import WireEvent

SIZE_MAX = 4096
"""Bytes of a value that are read here: no number in it is too long for pydantic."""

NESTED_MAX = 150
"""Objects and lists that one value may hold here: nothing in it lies too deep for pydantic."""

_POINT = ord(".")
_rounded = re.compile(rb"\.\d{7}")
"""Parts of a microsecond, which the two round differently."""


def derived(stated: Any) -> Any:
    """A type as pydantic knows it -> the same type as msgspec knows it.

    Raises:
        TypeError: the type holds something that this function has no translation for.
    """
    origin, arguments = get_origin(stated), get_args(stated)
    if stated in (str, int, type(None)) or origin is Literal:
        return stated
    if stated is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if is_typeddict(stated):
        hints = get_type_hints(stated, include_extras=True)
        make: Any = TypedDict
        return make(stated.__name__, {name: derived(hint) for name, hint in hints.items()}, total=False)
    if origin in (Union, types.UnionType):
        return Union[tuple(map(derived, arguments))]  # noqa: UP007  of a tuple
    if origin is list:
        return types.GenericAlias(list, derived(arguments[0]))
    if origin is Annotated:
        limits = dict(_limit(constraint) for field in arguments[1:] for constraint in field.metadata)
        return Annotated[derived(arguments[0]), msgspec.Meta(**limits)]
    raise TypeError(f"no quick reader for {stated!r}")


def _limit(constraint: Any) -> tuple[str, Any]:
    for kind, name in ((Ge, "ge"), (Le, "le"), (MinLen, "min_length"), (MaxLen, "max_length")):
        if isinstance(constraint, kind):
            return name, getattr(constraint, name)
    raise TypeError(f"no quick reader for {constraint!r}")


_decode = msgspec.json.Decoder(derived(WireEvent)).decode


def read_quickly(value: bytes) -> Any:
    """The fields of one JSON object, as `WireEvent` names them; None if pydantic is to look at it."""
    size = len(value)
    if size > 2 * NESTED_MAX and (size > SIZE_MAX or value.count(b"{") + value.count(b"[") > NESTED_MAX):
        return None
    if _POINT in value and _rounded.search(value):
        return None
    try:
        if not value.isascii():
            value.decode()  # unknown fields are passed over unread
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
