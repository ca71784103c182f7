"""Which policies a ledger adopted, as its Redis holds them, and whether it is closed for one more. Writes nothing."""

import asyncio
import json
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.errors import LedgerError
from ledger.policy import Policy, policy_from_document
from ledger.rules.adoptions import Rulebook
from schemas.adoption import Adoption, Closure

_NEWEST = ["adoption", "policy"]
"""Fields of `meta`: another adoption or another state of Redis changes them."""


class Adopted:
    """The adoptions of one ledger. What was read is remembered for as long as it is the newest.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.

    Every method raises LedgerUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._rules: Rulebook | None = None
        self._read_as: Sequence[bytes | None] = ()
        self._reading = asyncio.Lock()
        self._documents: dict[str, bytes] = {}
        self._policies: dict[str, Policy] = {}

    async def number(self) -> int:
        """How many adoptions were decided on, those that were given up among them; 0 in a new ledger."""
        number = await asked(self._redis.hget(self._keys.meta, "adoption"))
        return int(number or 0)

    async def closure(self) -> Closure | None:
        """The adoption that is under way, for which the ledger is closed."""
        mark = await asked(self._redis.hget(self._keys.meta, "adopting"))
        return Closure.model_validate_json(mark) if mark else None

    async def rules(self) -> Rulebook | None:
        """Every adoption up to the newest; None before the first."""
        if await asked(self._redis.hmget(self._keys.meta, _NEWEST)) != self._read_as:
            async with self._reading:  # for all who ask meanwhile
                await self._read_anew()
        return self._rules

    async def _read_anew(self) -> None:
        read = self._redis.pipeline()  # at one moment: Redis may go back between two
        read.hmget(self._keys.meta, _NEWEST)
        read.hgetall(self._keys.adoptions)
        read_as, found = await asked(read.execute())
        if read_as != self._read_as:
            self._rules, self._read_as = await self._read(int(read_as[0] or 0), found.values()), read_as

    async def _read(self, number: int, found: Iterable[bytes]) -> Rulebook | None:
        adoptions = sorted(map(Adoption.model_validate_json, found), key=lambda adoption: adoption.number)
        if not adoptions:
            return None
        named = {adoption.policy_sha256 for adoption in adoptions}
        if missing := sorted(named - self._documents.keys() - self._policies.keys()):
            documents = await asked(self._redis.hmget(self._keys.policies, missing))
            self._documents |= {sha256: text for sha256, text in zip(missing, documents, strict=True) if text}
        return await asyncio.to_thread(Rulebook, number, adoptions, self._policy)

    def _policy(self, sha256: str) -> Policy:
        """A policy that was adopted, made ready when it is first asked for."""
        if sha256 not in self._policies:
            if sha256 not in self._documents:
                raise LedgerError(f"policy {sha256} was adopted, but Redis has lost its document: fill it again")
            self._policies[sha256] = policy_from_document(json.loads(self._documents.pop(sha256)))
        return self._policies[sha256]
