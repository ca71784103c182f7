"""One booking on one account, as the API answers it: what moved, by how much, because of what, and when."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.decision import ChargeState
from schemas.quota_status import Freshness
from schemas.shipment_event import EventType

Cause = EventType | Literal["tick"]
"""The type of the event for which something was booked, or `tick`: a reservation's time was over."""


class Entry(BaseModel):
    """One booking. Amounts are integers of TPP; all entries of an account and state sum up to its balance."""

    model_config = ConfigDict(frozen=True)

    account: str
    period: str
    state: ChargeState
    event_key: str = Field(description="of the event for which it was booked; of a tick, the reservation's")
    cause: Cause
    shipment_id: str | None
    tpp: int = Field(description="after_tpp - before_tpp")
    before_tpp: int
    after_tpp: int
    occurred_at: AwareDatetime = Field(
        description="from when on it counts, to the second, by what the events say: shipped_at, else time, else the "
        "record's Kafka time; a correction or resolution counts from the time of the shipment that it speaks of, and "
        "nothing before that"
    )
    recorded_at: AwareDatetime = Field(description="when it was posted")
    policy_id: str
    policy_sha256: str
    topic: str | None = Field(description="where the event's record lies; null of a tick")
    partition: int | None
    offset: int | None
    entry: int = Field(description="number of the journal entry: a run that was posted as one")


class EntryList(BaseModel):
    """A page of one account's entries; `next` asks for the following ones, null where there are none."""

    model_config = ConfigDict(frozen=True)

    items: list[Entry]
    next: str | None
    freshness: Freshness
