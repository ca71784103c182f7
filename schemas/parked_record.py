"""What lies on `shipments.rejected`, as `quota-ledger rejected` tells it: why, and what became of it since."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field

from schemas.decision import Outcome
from schemas.rejected_record import REJECT_REASONS


class ParkedRecord(BaseModel):
    """One rejected record."""

    place: str = Field(description="`topic/partition/offset` of the original: what names a reject")
    reason: str = Field(description=f"one of {', '.join(REJECT_REASONS)}")
    detail: str = Field(description="which field, what was found, what to do")
    event_key: str | None = Field(description="`source#id`, where it could be read")
    parked_at: AwareDatetime
    size_bytes: int = Field(description="of the value")
    replay_of: str | None = Field(description="the reject that this record is a replay of")
    rejected_again: str | None = Field(description="the reject that the last replay of this record became")
    known: Literal["same", "other"] | None = Field(
        description="whether the ledger holds an event of its key now, and whether that says the same"
    )
    outcome: Outcome | None = Field(description="what the ledger made of that event")


class ParkedRecordList(BaseModel):
    """Rejected records, oldest first."""

    items: list[ParkedRecord]
    next: None = None


class ParkedHeader(BaseModel):
    """A header of the original. What is no UTF-8 is told with replacement characters."""

    name: str
    value: str


class ParkedOriginal(BaseModel):
    """One rejected record, whole."""

    record: ParkedRecord
    key_base64: str | None
    headers: list[ParkedHeader] = Field(description="as they came")
    value_base64: str
    value_text: str | None = Field(description="the value, where it is a text that can be shown")
    cut: bool = Field(description="whether it was too large to be parked whole; the rest lies where `place` says")


class Replay(BaseModel):
    """What a replay of one rejected record comes to."""

    place: str
    event_key: str | None
    becomes: Literal["taken", "repeated", "rejected", "left"] = Field(
        description="an event; nothing, for the ledger holds it already; rejected again; it is not replayed"
    )
    told: str = Field(description="what it is charged, or why it is not, in words")


class ReplayList(BaseModel):
    """Replays, oldest reject first."""

    written: bool = Field(description="whether records were written by this call")
    items: list[Replay]
