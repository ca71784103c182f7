"""What people decided, as it lies on the topic `quota.settings`, copied into Redis: policies, subscriptions, keys.

A flushed Redis is filled again from that topic, before any shipment is judged.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import Script, asked
from ledger.errors import PositionLost, WrongCall
from ledger.policy import Policy, policy_from_document

log = logging.getLogger(__name__)

POLICY_KEY = "policy:00001"
"""The key of the record by which a new ledger adopted its first policy."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One record of the topic: `<kind>:<id>` and its JSON value, None to delete it."""

    key: str
    value: bytes | None


def adoption(policy: Policy, adopted_at: str) -> Setting:
    """The record by which a policy is adopted from the beginning of the log."""
    told = {"sha256": policy.sha256, "adopted_at": adopted_at, "from": {}, "document": policy.document()}
    return Setting(POLICY_KEY, json.dumps(told, sort_keys=True, ensure_ascii=False).encode())


class KeptSettings:
    """The copy of one ledger's settings. Every method raises LedgerUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._script = Script(redis, Path(__file__).with_name("keep_settings.lua"))

    async def policy(self) -> Policy | None:
        """The policy in force; None while none is adopted."""
        keys = self._keys
        sha256 = await asked(self._redis.hget(keys.meta, "policy"))
        if sha256 is None:
            return None
        document = await asked(self._redis.hget(keys.policies, sha256.decode()))
        return policy_from_document(json.loads(document)) if document else None

    async def keep(self, partition: str, prev: int, last: int, settings: Iterable[Setting]) -> int:
        """Copy one run of the topic.

        Args:
            partition: `<topic>:<number>`.
            prev: the offset delivered before the run.
            last: its last offset.
            settings: its records in order.

        Returns:
            The checkpoint: `last`, or a later one if the run was settled before.

        Raises:
            PositionLost: Redis went back.
        """
        rows: list[tuple[str, str, str | None]] = []
        for setting in settings:
            try:
                rows += _rows(setting)
            except (ValueError, KeyError, TypeError, WrongCall) as wrong:
                log.warning("the setting %s is passed over, it is none of ours: %r", setting.key, wrong)
        keys = self._keys
        arguments = (partition, prev, last, json.dumps(rows))
        status, *told_back = await self._script([keys.meta, keys.policies, keys.webhooks, keys.api_keys], arguments)
        if status == b"fenced":
            checkpoint = told_back[0].decode()
            raise PositionLost(f"{partition}: {prev} was delivered before, the checkpoint is {checkpoint}", partition)
        return int(told_back[0])


def _rows(setting: Setting) -> Iterator[tuple[str, str, str | None]]:
    """What the script copies of one record: kind, name, value. Kinds that this version does not know are passed over.

    Raises:
        ValueError, KeyError, TypeError, WrongCall: the value is not what its kind holds.
    """
    kind, _, name = setting.key.partition(":")
    if kind in {"webhook", "key"} and setting.value is None:
        yield kind, name, None
    elif kind in {"webhook", "key"} and setting.value is not None:
        text = setting.value.decode()
        dict(json.loads(text))
        yield kind, name, text
    elif kind == "policy" and setting.value is not None:
        told = json.loads(setting.value)
        policy = policy_from_document(told["document"])
        yield kind, policy.sha256, json.dumps(told["document"], sort_keys=True, ensure_ascii=False)
