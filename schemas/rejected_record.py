"""Why a record cannot become an event: the reason, the field, what was found and what to do.

A rejected record is parked with its bytes on the topic `shipments.rejected`; nothing else waits for it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

RejectReason = Literal[
    "tombstone",
    "too_large",
    "not_json",
    "too_deep",
    "not_an_object",
    "confluent_framing",
    "connect_envelope",
    "unknown_type",
    "missing_field",
    "bad_value",
    "bad_time",
    "unknown_country",
    "number_out_of_range",
    "in_the_future",
    "conflict",
    "internal_error",
]

REJECT_REASONS: tuple[RejectReason, ...] = get_args(RejectReason)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a record.

    Attributes:
        reason: the class of the error.
        field: where it was found, as a dotted path (`data.lines.0.quantity`); empty for the record as a whole.
        advice: what was found and what to write instead, one sentence.
    """

    reason: RejectReason
    field: str
    advice: str

    def __str__(self) -> str:
        return f"{self.field}: {self.advice}" if self.field else self.advice


class RejectedRecord(Exception):  # noqa: N818  the field's word: a record is rejected
    """A record that cannot be an event. Trying again does not help: park it.

    Attributes:
        errors: everything found wrong, at least one; the first gives the reason.
        event_key: `source#id` where it could be read, else None.
    """

    def __init__(self, errors: list[FieldError], event_key: str | None = None) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors
        self.event_key = event_key

    @property
    def reason(self) -> RejectReason:
        """The reason under which the record is parked: that of the first error."""
        return self.errors[0].reason

    @property
    def detail(self) -> str:
        """Every error in words: which field, what was found, what to do."""
        return str(self)


def conflict(event_key: str) -> RejectedRecord:
    """The refusal of an event whose key is known with another content."""
    advice = "an event with this source and id is known with another content; give the new one an id of its own"
    return RejectedRecord([FieldError("conflict", "id", f"{event_key}: {advice}")], event_key)
