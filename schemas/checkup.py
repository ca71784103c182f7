"""What `quota-ledger doctor` found: of each thing a ledger needs whether it is as it has to be, and what to do."""

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["ok", "warning", "wrong", "away", "unknown"]


class Check(BaseModel):
    """One thing that was looked at."""

    part: str = Field(description="`redis`, `kafka`, `topics`, `log` or `ledger`")
    state: State = Field(
        description="wrong: something is lost or refused until it is mended; warning: it may come to that; away: it "
        "does not answer; unknown: it could not be asked"
    )
    told: str
    advice: str | None = Field(default=None, description="what to do; null where nothing has to be done")


class Checkup(BaseModel):
    """Everything that was looked at, in the order in which it is best mended."""

    right: bool = Field(description="nothing is wrong or away")
    items: list[Check]
    versions: dict[str, str] = Field(description="of the software and the servers, as far as they are told")
