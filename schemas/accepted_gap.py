"""A gap in the log that a person gave up: records that were deleted before they were applied. A setting's value."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class AcceptedGap(BaseModel):
    """Offsets of one partition that will never be applied, and whose decision that was."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    partition: str = Field(description="`<topic>:<number>`", pattern=r"^.+:[0-9]+$")
    first: int = Field(alias="from", ge=0, description="the offset that was to be applied next")
    last: int = Field(alias="to", ge=0, description="the last that is given up: the log begins after it")
    topic_id: str | None = Field(default=None, description="which topic of that name, if the broker tells")
    actor: str
    reason: str
    accepted_at: AwareDatetime
