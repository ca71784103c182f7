"""What `quota-ledger verify` found: whether Redis holds what follows from the topics, and where it does not."""

from typing import Literal

from pydantic import BaseModel, Field

What = Literal["log", "id", "balance", "level", "journal", "family", "wait", "expiry", "reject", "alert"]


class AccountAmounts(BaseModel):
    """What an account holds by one way of counting."""

    posted_tpp: int
    reserved_tpp: int
    held_lines: int | None = Field(default=None, description="null where it does not tell of lines")


class AccountDifference(BaseModel):
    """An account of which the ways of counting differ."""

    account: str
    period: str
    expected: AccountAmounts = Field(description="recomputed from the topic")
    found: AccountAmounts = Field(description="the balance in Redis")
    journal: AccountAmounts = Field(description="the sum of its journal entries")
    bookings: AccountAmounts = Field(description="the sum of its list of bookings")
    breaks_at: int | None = Field(description="first journal entry that states another balance before it")


class Finding(BaseModel):
    """Something that is not as it is to be, or that a person should know."""

    what: What
    name: str = Field(description="which one: a record's place, an event, an entry, an alert")
    told: str


class Verification(BaseModel):
    """A ledger compared with its topics at one moment."""

    right: bool
    records: int = Field(description="read from the topic of shipments")
    events: int = Field(description="that the ledger must know")
    rejects: int = Field(description="records that cannot be applied")
    alerts: int = Field(description="on the topic of alerts, told again or not")
    checkpoints: dict[str, int] = Field(description="the last settled offset of each partition at that moment")
    tick: int = Field(description="minutes since 1970 up to which time had passed; -1 before the first")
    accounts: list[AccountDifference]
    findings: list[Finding] = Field(description="what is wrong besides; of each sort the first")
    counts: dict[What, int] = Field(description="how many are wrong, of each sort")
    notes: list[Finding] = Field(description="what is not wrong, and should be known; the first")
    noted: int = Field(description="how many of those there are")
