"""Events that are not settled: they name one that is not known yet, or hold lines that wait for a person."""

from pydantic import BaseModel, ConfigDict, Field


class EventName(BaseModel):
    """An event by its key."""

    model_config = ConfigDict(frozen=True)

    source: str
    id: str

    @property
    def event_key(self) -> str:
        """As it is printed: `source#id`."""
        return f"{self.source}#{self.id}"


class HeldItems(EventName):
    """Items of one line that nobody can count yet; `source` and `id` are those of the event to resolve or correct."""

    shipment_id: str | None
    country: str = Field(description="the destination")
    line: int = Field(description="position in the event's lines, from 0")
    vendor: str | None
    model: str | None
    part: str = Field(description="as it is shown")
    quantity: int = Field(description="items that are left")
    reason: str
    resolvable: bool = Field(description="a word on the part's TPP settles it; else a correction must state what lacks")


class HeldList(BaseModel):
    """Every held line: what `quota-ledger resolve --list --json` prints."""

    model_config = ConfigDict(frozen=True)

    items: list[HeldItems]
    next: None = None
