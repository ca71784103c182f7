"""/livez and /readyz, open to all: whether this process lives, and whether the ledger behind it can be relied on."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ledger.errors import LedgerUnavailable
from streams.api.answers import policy_in_force
from streams.api.parts import Parts, PartsHere
from streams.api.problems import ProblemAnswer, documented
from streams.kafka.producer import parse_bootstrap

router = APIRouter(tags=["health"])

_KAFKA_WAIT_S = 1.0


class Alive(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Balances can be asked for."""

    status: Literal["ready"] = "ready"
    notes: list[str] = Field(description="what is wrong but leaves reads right, such as Kafka being away")


@router.get("/livez")
async def livez() -> Alive:
    """Whether this process answers."""
    return Alive()


@router.get("/readyz", responses={503: documented()[503]})
async def readyz(parts: PartsHere) -> Ready:
    """Whether balances can be asked for and are being kept; 503 says why not."""
    reasons = await _reasons_against(parts)
    if reasons:
        raise ProblemAnswer(503, "not-ready", "; ".join(reasons), headers={"Retry-After": "5"})
    notes = []
    if not await _kafka_listens(parts.settings.kafka_bootstrap):
        notes.append("Kafka is away: balances can be read, nothing new comes in")
    return Ready(notes=notes)


async def _reasons_against(parts: Parts) -> list[str]:
    try:
        await parts.reader.ping()
        stopped = await parts.reader.stopped_workers()
        await policy_in_force(parts.reader)
    except LedgerUnavailable as failure:
        return [str(failure)]
    return stopped


async def _kafka_listens(bootstrap: str) -> bool:
    for broker in parse_bootstrap(bootstrap):
        host, _, port = broker.rpartition(":")
        try:
            async with asyncio.timeout(_KAFKA_WAIT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:  # a time-out is one too
            continue
        writer.close()
        return True
    return False
