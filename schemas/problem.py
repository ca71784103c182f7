"""An error over HTTP: RFC 9457 problem+json with a stable type."""

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class ProblemError(BaseModel):
    """One thing that is wrong with the request."""

    model_config = ConfigDict(frozen=True)

    reason: str
    field: str
    advice: str


class Problem(BaseModel):
    """What went wrong, and what to do."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="a stable name: `urn:quota-ledger:problem:<name>`")
    title: str
    status: int
    detail: str
    errors: list[ProblemError] = Field(default_factory=list)
