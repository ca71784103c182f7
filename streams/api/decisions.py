"""GET /v1/decisions: what became of an event. POST /v1/assessments: what would become of one."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from schemas.decision import Decision
from schemas.problem import Problem
from schemas.quota_status import Freshness
from streams.api.admission import read_body
from streams.api.answers import assessment_of, policy_in_force, shipped_policy
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer, documented
from streams.api.shipments import binary_attributes, event_body, read_one

router = APIRouter(prefix="/v1", tags=["decisions"])


class NotSeen(Problem):
    """The ledger has not seen an event; how far it has read says whether to ask again."""

    freshness: Freshness


@router.get("/decisions", responses=documented(404, 422, models={404: NotSeen}))
async def show_decision(
    parts: PartsHere,
    source: Annotated[str, Query(min_length=1, description="the event's source")],
    event_id: Annotated[str, Query(alias="id", min_length=1, description="its id under that source")],
) -> Decision:
    """What became of an event."""
    freshness = await parts.reader.freshness()
    decision = await parts.reader.decision(source, event_id)
    if decision is None:
        detail = f"{source}#{event_id} is not in the ledger: not sent, not read yet, or parked in the rejects"
        raise ProblemAnswer(404, "unknown-event", detail, kind=NotSeen, freshness=freshness)
    return decision


@router.post("/assessments", responses=documented(413, 422), openapi_extra=event_body(several=False))
async def assess_event(
    request: Request,
    parts: PartsHere,
    policy: Annotated[str | None, Query(description="a shipped policy's id; the one in force if absent")] = None,
) -> Decision:
    """What the ledger would make of an event, planned for whatever day: tier, charges, alerts. Nothing is booked."""
    attributes, body = binary_attributes(request), await read_body(request)
    rules = await shipped_policy(policy, parts.settings) if policy else await policy_in_force(parts.reader)
    event = read_one(body, attributes, rules)
    return await assessment_of(parts.reader, event, rules, parts.clock())
