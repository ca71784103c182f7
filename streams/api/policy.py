"""GET /v1/policy: the policy in force, with everything that was loaded with it, and those that were before."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from schemas.adoption import Adoption, Closure
from schemas.decision import Regime
from streams.api.answers import adopted_rules
from streams.api.freshness import tagged
from streams.api.parts import PartsHere
from streams.api.problems import documented

router = APIRouter(prefix="/v1", tags=["policy"])


class PolicyInForce(BaseModel):
    """The policy that was adopted last."""

    policy_id: str
    policy_sha256: str = Field(description="of `document` in canonical JSON")
    adoptions: list[Adoption] = Field(description="every policy that was adopted, oldest first; the last is in force")
    adopting: Closure | None = Field(description="the adoption for which the ledger is closed; null while it is open")
    title: str
    levels: list[int] = Field(description="alert levels, percent of the cap")
    period: str | None = Field(description="the period of today; null outside all periods")
    regime: Regime | None = Field(description="the rule that governs today")
    document: dict[str, Any] = Field(description="the policy, the chips and the countries, as adopted")


@router.get("/policy", response_model=PolicyInForce, responses=documented())
async def show_policy(request: Request, parts: PartsHere) -> Response:
    """The policy in force, and since when which ruled."""
    rules, adopting = await adopted_rules(parts.reader), await parts.reader.closure()
    policy = rules.in_force
    today = parts.clock().astimezone(UTC).date()
    answer = PolicyInForce(
        policy_id=policy.id,
        policy_sha256=policy.sha256,
        adoptions=list(rules.adoptions),
        adopting=adopting,
        title=policy.title,
        levels=list(policy.levels),
        period=policy.period_of(today),
        regime=policy.regime_on(today),
        document=policy.document(),
    )
    return tagged(request, answer)
