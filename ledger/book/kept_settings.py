"""What people decided, as it lies on `quota.settings`, copied into Redis: policies, subscriptions, keys, gaps.

A flushed Redis is filled again from that topic, before any shipment is judged. Here is what a record does; how the one
by which a policy is adopted comes about is `streams/adopt_policy.py`.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ledger.book.adopted import Adopted
from ledger.book.gap import KIND as GAP
from ledger.book.gap import read_gap
from ledger.book.keys import Keys
from ledger.book.outbox import outbox_entry
from ledger.book.remeasure import remeasure
from ledger.book.script import Script, asked
from ledger.book.setting import AdoptionMade, Decision, Setting, read_decision
from ledger.book.today import Today, day_in_text
from ledger.errors import LedgerError, PositionLost
from ledger.policy import Policy
from ledger.rules.adoptions import Yardstick
from ledger.rules.alerts import adopted_alert
from schemas.adoption import Closure

log = logging.getLogger(__name__)

_Row = tuple[str, str, str | Sequence[int | str] | None]
"""What the script takes of one record: kind, name, value."""

_HERE = Path(__file__).parent


class KeptSettings:
    """The copy of one ledger's settings. Every method raises LedgerUnavailable when Redis does not answer.

    Attributes:
        adopted: the policies among them, as they are read.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self.adopted = Adopted(redis, ledger)
        self._today = Today(redis, ledger)
        self._copy = Script(redis, _HERE / "keep_settings.lua")
        self._close = Script(redis, _HERE / "close_ledger.lua")
        self._decide = Script(redis, _HERE / "decide_adoption.lua")

    async def policy(self) -> Policy | None:
        """The policy in force; None while none is adopted."""
        rules = await self.adopted.rules()
        return rules.in_force if rules else None

    async def close(self, closure: Closure) -> Closure | None:
        """Close the ledger for an adoption. It opens when a record is kept that decides on that adoption's number.

        Returns:
            What the ledger is closed for: this, or another adoption that was under way. None if the number is not the
            next one.
        """
        status, told = await self._close([self._keys.meta], (closure.number, closure.model_dump_json()))
        return Closure.model_validate_json(told) if status == b"closed" else None

    async def keep(self, partition: str, prev: int, last: int, settings: Iterable[Setting]) -> int:
        """Copy one run of the topic.

        Args:
            partition: `<topic>:<number>`.
            prev: the offset delivered before the run.
            last: its last offset.
            settings: its records in order; one that decides on an adoption stands alone. Subscriptions and keys that
                follow on the topic may be among them: an emptied Redis then holds the last word on each at once, and
                no revoked key.

        Returns:
            The checkpoint: `last`, or a later one if the run was settled before.

        Raises:
            PositionLost: Redis went back; or it is past the place from where a policy is to rule.
            LedgerError: an adoption cannot be read, or one before it is missing.
        """
        rows: list[_Row] = []
        for setting in settings:
            if decision := read_decision(setting):
                assert not rows, "it stands alone"
                return await self._take_over(partition, prev, last, decision)
            try:
                rows += _rows(setting)
            except (ValueError, TypeError) as wrong:
                log.warning("the setting %s is passed over, it is none of ours: %r", setting.key, wrong)
        keys = self._keys
        arguments = (partition, prev, last, json.dumps(rows))
        status, *told = await self._copy([keys.meta, keys.webhooks, keys.api_keys], arguments)
        return _checkpoint(partition, prev, status, told)

    async def _take_over(self, partition: str, prev: int, last: int, decision: Decision) -> int:
        """Have the ledger go by a decision on an adoption, and open it."""
        keys, number = self._keys, decision.number
        names = [keys.meta, keys.policies, keys.adoptions, keys.balances, keys.outbox]
        while True:
            decided = await self.adopted.number()
            if number != decided + 1:
                does: list[Any] = ["pass over"]
            elif decision.made is None:
                does = ["give up"]
            else:
                await self.close(decision.made.closure())
                does = ["adopt", *await self._change_by(decision.made, decision.timestamp_ms)]
            status, *told = await self._decide(names, (partition, prev, last, number, *does))
            if status == b"late":
                raise PositionLost(self._too_late(number, [text.decode() for text in told]), partition)
            if status != b"moved":
                return _checkpoint(partition, prev, status, told)
            if number > decided + 1:
                raise LedgerError(f"{partition}: after adoption {decided} comes {number}: what lay between is missing")

    async def _change_by(self, made: AdoptionMade, timestamp_ms: int) -> list[Any]:
        """What an adoption changes, as the script takes it: read while the ledger is closed."""
        adoption, alerts = made.adoption, []
        entries = await asked(self._redis.hget(self._keys.meta, "entries"))
        before, rows = await self.adopted.rules(), []
        was = today = await self._today.read()
        if before is not None and before.number < adoption.number:
            records = await asked(self._redis.hgetall(self._keys.balances))
            after = before.and_then(adoption, made.policy)
            today = max(was, adoption.adopted_at.date())
            yardsticks = Yardstick(before, was), Yardstick(after, today)
            changed = await asyncio.to_thread(remeasure, records, *yardsticks, adoption.adopted_at)
            alerts = [adopted_alert(adoption, after.name_of(adoption), before.adoptions[-1]), *changed.alerts]
            rows = changed.rows
        return [
            adoption.policy_sha256,
            json.dumps(made.policy.document(), sort_keys=True, ensure_ascii=False),
            adoption.model_dump_json(),
            json.dumps(adoption.begins),
            entries or "",
            json.dumps(rows),
            day_in_text(was),
            day_in_text(today),
            *(outbox_entry(timestamp_ms, alert) for alert in alerts),
        ]

    def _too_late(self, number: int, told: Sequence[str]) -> str:
        partition, checkpoint, begins = told
        return (
            f"adoption {number} rules {partition} from offset {begins}, but this Redis has settled offset {checkpoint} "
            "under the policy before: it had forgotten that the ledger was closed, or another ledger on the same "
            "topics adopted it. Nothing is posted any more, lest two readings mix. Delete the keys "
            f"{self._keys.pattern} in Redis and start the workers again: it is filled from the topics, each record "
            "under the policy of its time"
        )


def _checkpoint(partition: str, prev: int, status: bytes, told: Sequence[bytes]) -> int:
    """The checkpoint that a script's answer tells."""
    checkpoint = int(told[0])
    if status == b"fenced":
        raise PositionLost(f"{partition}: {prev} was delivered before, the checkpoint is {checkpoint}", partition)
    return checkpoint


def _rows(setting: Setting) -> Iterator[_Row]:
    """What the script takes of one record. Kinds that this version does not know are passed over.

    Raises:
        ValueError, TypeError: the value is not what its kind holds.
    """
    kind, _, name = setting.key.partition(":")
    if kind in {"webhook", "key"} and setting.value is None:
        yield kind, name, None
    elif kind in {"webhook", "key"} and setting.value is not None:
        text = setting.value.decode()
        dict(json.loads(text))
        yield kind, name, text
    elif gap := read_gap(setting):
        yield GAP, gap.partition, (gap.first, gap.last, gap.topic_id or "")
    elif kind == "policy":
        raise ValueError("no adoption")
