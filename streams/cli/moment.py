"""A moment as it is written on the command line. Knows no clock."""

from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from ledger.errors import WrongCall

_MOMENT = TypeAdapter(datetime)


def read_moment(option: str, text: str) -> datetime:
    """The moment that an option names; one without an offset is of UTC.

    Raises:
        WrongCall: it names none.
    """
    try:
        moment = _MOMENT.validate_python(text)
    except ValidationError:
        raise WrongCall(f"{option}: {text!r} is no time; write one such as 2026-11-22T09:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
