"""Where the ledger stands on the log: checkpoints, the log it belongs to, and why a worker gave up."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.errors import PositionLost, WrongCall

NONE = -1
"""The checkpoint of a partition of which nothing is settled."""

LAYOUT = b"2"
"""How a ledger lies in Redis: another number when this version would misread what an older one filled."""

TICK: Literal["tick"] = "tick"
"""The partition, of no topic, on which time passes: its offsets are minutes since 1970."""


def misread(layout: bytes | None, cluster_id: bytes | None) -> str | None:
    """Why this version would misread a ledger; None if it would not.

    Args:
        layout: its number, as the ledger keeps it; None for none.
        cluster_id: of the cluster that it was filled from; one that was filled from none yet needs no number.
    """
    if layout == LAYOUT or layout is cluster_id is None:
        return None
    filled = "before layouts had numbers" if layout is None else f"in layout {layout.decode()}"
    return (
        f"this ledger was filled {filled}, and this version reads layout {LAYOUT.decode()}: start another "
        "ledger (QUOTA_LEDGER), which is filled from the topics, or run the version that filled this one"
    )


class Position:
    """The position of one ledger. Partitions are named `<topic>:<number>`.

    Every method raises LedgerUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)

    async def checkpoints(self, partitions: Sequence[str]) -> dict[str, int]:
        """The last settled offset of each partition, -1 where there is none."""
        if not partitions:
            return {}
        names = [f"checkpoint:{partition}" for partition in partitions]
        found = await asked(self._redis.hmget(self._keys.meta, names))
        return {
            partition: NONE if checkpoint is None else int(checkpoint)
            for partition, checkpoint in zip(partitions, found, strict=True)
        }

    async def note_ends(self, ends: Mapping[str, int], seen_at: datetime) -> None:
        """Leave the end offsets that were seen, by which readers tell how far behind the ledger is.

        Args:
            ends: the offset after each partition's last record.
            seen_at: when; readers trust no old word.
        """
        noted = {f"end:{partition}": str(end) for partition, end in ends.items()}
        await self._note(noted | {"ends_seen_at": seen_at.isoformat()})

    async def check_log(self, identity: Mapping[str, str]) -> None:
        """Compare the log with the one this ledger was filled from; a new ledger remembers it.

        Args:
            identity: `cluster_id` and `topic_id:<topic>`, as far as the broker tells them.

        Raises:
            PositionLost: another cluster, or a topic that was made anew: offsets mean other records now. Or another
                version filled the ledger, and it lies in Redis otherwise.
        """
        await self._check_layout()
        for name, seen in sorted(identity.items()):
            await asked(self._redis.hsetnx(self._keys.meta, name, seen))
            known = await asked(self._redis.hget(self._keys.meta, name))
            if known.decode() != seen:
                raise PositionLost(
                    f"{name} is {seen}, but this ledger was filled from {known.decode()}: its checkpoints mean other "
                    "records. Point it at its own cluster and topics, or start another ledger (QUOTA_LEDGER)"
                )

    async def _check_layout(self) -> None:
        layout, cluster_id = await asked(self._redis.hmget(self._keys.meta, ["layout", "cluster_id"]))
        if layout is None and cluster_id is None:
            await asked(self._redis.hsetnx(self._keys.meta, "layout", cast("Any", LAYOUT)))
        elif why := misread(layout, cluster_id):
            raise PositionLost(why)

    async def remembered(self, names: Sequence[str]) -> dict[str, str]:
        """Those of these ids of the log that the ledger was filled from which it knows; see `check_log`."""
        found = await asked(self._redis.hmget(self._keys.meta, names)) if names else []
        return {name: known.decode() for name, known in zip(names, found, strict=True) if known is not None}

    async def note_stopped(self, worker: str, reason: str) -> None:
        """Say for the readiness endpoint why a worker stays out of the group."""
        await self._note({f"stopped:{worker}": reason})

    async def clear_stopped(self, worker: str) -> None:
        """The worker is back."""
        await asked(self._redis.hdel(self._keys.meta, f"stopped:{worker}"))

    async def check_redis(self) -> None:
        """Refuse a Redis that may forget keys by itself.

        Raises:
            WrongCall: its eviction policy is not `noeviction`.
        """
        memory = await asked(self._redis.info("memory"))
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise WrongCall(f"Redis evicts keys ({policy}): set maxmemory-policy noeviction, or balances vanish")

    async def _note(self, fields: Mapping[str, str]) -> None:
        if fields:
            mapping: Mapping[Any, Any] = fields
            await asked(self._redis.hset(self._keys.meta, mapping=mapping))


def partition_name(topic: str, number: int) -> str:
    """A partition as the ledger names it."""
    return f"{topic}:{number}"


def partition_names(partitions: Iterable[tuple[str, int]]) -> list[str]:
    """As `partition_name`, for many."""
    return [partition_name(topic, number) for topic, number in partitions]
