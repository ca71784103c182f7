"""/livez and /readyz, open to all: whether this process lives, and whether the ledger behind it can be relied on."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ledger.errors import LedgerUnavailable
from schemas.quota_status import Freshness
from streams.api.answers import policy_in_force
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer, documented

router = APIRouter(tags=["health"])

_KAFKA_WAIT_S = 1.0


class Alive(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Balances can be asked for."""

    status: Literal["ready"] = "ready"
    redis: Literal["ok"] = "ok"
    kafka: Literal["ok", "away"] = Field(description="away: balances can be read, nothing new comes in")
    policy_id: str
    policy_sha256: str
    freshness: Freshness


@router.get("/livez")
async def livez() -> Alive:
    """Whether this process answers."""
    return Alive()


@router.get("/readyz", responses={503: documented()[503]})
async def readyz(parts: PartsHere) -> Ready:
    """Whether balances can be asked for and are being kept; 503 says why not."""
    try:
        policy = await policy_in_force(parts.reader)
        freshness = await parts.reader.freshness()
        stopped = await parts.reader.stopped_workers()
        closure = await parts.reader.closure()
    except LedgerUnavailable as failure:
        raise _not_ready(str(failure)) from None
    if stopped:
        raise _not_ready("; ".join(stopped))
    if closure:
        raise _not_ready(closure.sentence())
    kafka: Literal["ok", "away"] = "ok" if await _kafka_listens(parts.settings.kafka_bootstrap) else "away"
    return Ready(kafka=kafka, policy_id=policy.id, policy_sha256=policy.sha256, freshness=freshness)


def _not_ready(why: str) -> ProblemAnswer:
    return ProblemAnswer(503, "not-ready", why, headers={"Retry-After": "5"})


async def _kafka_listens(bootstrap: str) -> bool:
    for broker in bootstrap.split(","):
        host, _, port = broker.rpartition(":")
        try:
            async with asyncio.timeout(_KAFKA_WAIT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:  # a time-out is one too
            continue
        writer.close()
        return True
    return False
