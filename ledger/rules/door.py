"""What is wrong with an event that is well-formed: codes that are no countries, amounts past every ledger, no period.

It is asked only of an event that a quick look found wrong, so that every error is told at once; of a record that is no
event, `with_countries` tells the codes beside what its reader found.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from ledger.errors import WrongCall
from ledger.policy import Policy
from ledger.rules.parties import COUNTRY_FIELDS, countries_stated
from ledger.rules.parts import read_lines
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import STATES_ITEMS, TPP_MAX, ShipmentEvent


def refusal(event: ShipmentEvent, policy: Policy) -> RejectedRecord:
    """Every error in an event that has one."""
    errors = [*_countries(event, policy)]
    if event.type in STATES_ITEMS:
        errors += _amounts(event, policy)
    if event.type == "ledger.adjusted":
        errors += _adjustment(event, policy)
    return RejectedRecord(errors, event.key)


def with_countries(failure: RejectedRecord, value: bytes, policy: Policy, *, binary: bool) -> RejectedRecord:
    """The refusal of a record that is no event, which also names the codes in it that are no countries.

    Args:
        failure: what the reader found, which knows no countries.
        value: the record's bytes.
        policy: whose table of countries is asked.
        binary: whether they are the data alone of a CloudEvent in binary mode.
    """
    stated: Any = None
    with suppress(ValueError, RecursionError):
        stated = json.loads(value)
    structured = not binary and isinstance(stated, dict) and "specversion" in stated
    data, prefix = stated.get("data") if structured else stated, "data." if binary or structured else ""
    named = {error.field for error in failure.errors}
    unknown = _unknown_countries(((field, _text_at(data, field)) for field in COUNTRY_FIELDS), prefix, policy)
    errors = [*failure.errors, *(error for error in unknown if error.field not in named)]
    return RejectedRecord(errors, failure.event_key)


def _text_at(data: Any, field: str) -> str | None:
    """The text at a dotted path, whatever the data is; None if none stands there."""
    for name in field.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, str) else None


def _countries(event: ShipmentEvent, policy: Policy) -> Iterator[FieldError]:
    stated = zip(COUNTRY_FIELDS, countries_stated(event.data), strict=True)
    return _unknown_countries(stated, event.data_prefix, policy)


def _unknown_countries(stated: Iterable[tuple[str, str | None]], prefix: str, policy: Policy) -> Iterator[FieldError]:
    for field, code in stated:
        if code is not None and code not in policy.countries:
            yield FieldError("unknown_country", prefix + field, policy.countries.advice(code))


def _amounts(event: ShipmentEvent, policy: Policy) -> Iterator[FieldError]:
    """Amounts that no ledger can hold exactly: a line's product, or the sum of a shipment."""
    lines = event.data.get("lines") or ()
    items, booked_tpp, largest_tpp, _ = read_lines(lines, policy.catalogue)
    for number, (line, item) in enumerate(zip(lines, items, strict=True)):
        if (tpp := (item.tpp_each or 0) * (line.get("quantity") or 0)) > TPP_MAX:
            advice = f"{item.part} comes to {tpp} TPP; one event may state at most {TPP_MAX}"
            yield FieldError("number_out_of_range", f"{event.data_prefix}lines.{number}.quantity", advice)
    if booked_tpp > TPP_MAX >= largest_tpp:
        advice = f"the lines come to {booked_tpp} TPP; one event may state at most {TPP_MAX}"
        yield FieldError("number_out_of_range", f"{event.data_prefix}lines", advice)


def _adjustment(event: ShipmentEvent, policy: Policy) -> Iterator[FieldError]:
    country, period = event.data.get("country"), event.data.get("period")
    assert country is not None  # the reader refuses such an event
    assert period is not None
    yield from _unknown_countries([("country", country)], event.data_prefix, policy)
    try:
        policy.period_days(period)
    except WrongCall as wrong:
        yield FieldError("bad_value", f"{event.data_prefix}period", str(wrong))
