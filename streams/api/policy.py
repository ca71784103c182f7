"""GET /v1/policy: the policy in force, with everything that was loaded with it."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from schemas.decision import Regime
from streams.api.answers import policy_in_force
from streams.api.freshness import tagged
from streams.api.parts import PartsHere
from streams.api.problems import documented

router = APIRouter(prefix="/v1", tags=["policy"])


class PolicyInForce(BaseModel):
    """The adopted policy."""

    policy_id: str
    policy_sha256: str = Field(description="of `document` in canonical JSON")
    title: str
    levels: list[int] = Field(description="alert levels, percent of the cap")
    period: str | None = Field(description="the period of today; null outside all periods")
    regime: Regime | None = Field(description="the rule that governs today")
    document: dict[str, Any] = Field(description="the policy, the chips and the countries, as adopted")


@router.get("/policy", response_model=PolicyInForce, responses=documented())
async def show_policy(request: Request, parts: PartsHere) -> Response:
    """The policy in force."""
    policy = await policy_in_force(parts.reader)
    today = parts.clock().astimezone(UTC).date()
    answer = PolicyInForce(
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        title=policy.title,
        levels=list(policy.levels),
        period=policy.period_of(today),
        regime=policy.regime_on(today),
        document=policy.document(),
    )
    return tagged(request, answer)
