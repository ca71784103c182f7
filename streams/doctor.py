"""Looks at everything a ledger needs, and says what is wrong and what to do. Mends nothing and writes nothing.

What is asked of Redis and Kafka stands apart from what is made of the answers, which is pure.
"""

import asyncio
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from redis.asyncio import Redis

from ledger.book.position import Position
from ledger.book.read import ENDS_TRUSTED, Reader
from ledger.book.script import asked
from ledger.errors import LedgerUnavailable
from ledger.policy import Policy, load_policy, shipped_policies
from schemas.adoption import Closure
from schemas.checkup import Check, Checkup
from schemas.quota_status import Freshness
from streams.kafka.identity import LogIdentity
from streams.kafka.log_reader import open_log
from streams.kafka.topics import missing_topics, planned_topics, topic_configs
from streams.settings import Settings

REDIS_MIN = (7, 0)
"""The first that runs scripts which state their flags, and knows users who may read a key and not write it."""

CLOCKS_APART_MAX_S = 5.0
_MEMORY_FULL = 0.9

_PACKAGES = ("quota-ledger", "faust-streaming", "kafka-python", "redis")


@dataclass(frozen=True, slots=True)
class Log:
    """What Kafka tells of a ledger's topics.

    Attributes:
        missing: topics that are not there.
        configs: their settings by topic; None if the broker does not tell them.
        identity: ids of cluster and topics, as far as they are told.
        begins: the first offset that each partition of shipments and alerts still holds.
        ends: the offset after its last record.
    """

    missing: Sequence[str]
    configs: Mapping[str, Mapping[str, str]] | None
    identity: Mapping[str, str]
    begins: Mapping[str, int]
    ends: Mapping[str, int]


async def examine(settings: Settings, redis: Redis, *, now: Callable[[], datetime]) -> Checkup:
    """Look at one ledger.

    Args:
        settings: which lead to it.
        redis: a client that answers in bytes.
        now: this machine's clock.
    """
    versions = {"python": platform.python_version()} | dict(_installed())
    items = await _of_redis(redis, now, versions)
    log: Log | None = None
    try:
        log = await asyncio.to_thread(_ask_kafka, settings)
    except LedgerUnavailable as failure:
        advice = f"start it, or set QUOTA_KAFKA_BOOTSTRAP, which is {settings.kafka_bootstrap}"
        items.append(Check(part="kafka", state="away", told=str(failure), advice=advice))
    if log is not None:
        items.append(Check(part="kafka", state="ok", told=f"Kafka answers at {settings.kafka_bootstrap}"))
        items += look_at_topics(settings, log)
    try:
        items += await _of_ledger(settings, redis, log, now)
    except LedgerUnavailable as failure:
        redis_is_away = any((one.part, one.state) == ("redis", "away") for one in items)
        state = "unknown" if redis_is_away else "wrong"
        items.append(Check(part="ledger", state=state, told=f"it cannot be read: {failure}"))
    return Checkup(right=not any(one.state in {"wrong", "away"} for one in items), items=items, versions=versions)


# --------------------------------------------------------------------------------------------------- What is asked


def _installed() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except ModuleNotFoundError:  # run from its sources
            continue


async def _of_redis(redis: Redis, now: Callable[[], datetime], versions: dict[str, str]) -> list[Check]:
    try:
        await asked(redis.ping())
    except LedgerUnavailable as failure:
        return [Check(part="redis", state="away", told=str(failure), advice="start it, or set QUOTA_REDIS_URL")]
    answers = [Check(part="redis", state="ok", told="Redis answers")]
    try:
        seconds, microseconds = await asked(redis.time())
        ahead_s = int(seconds) + int(microseconds) / 1e6 - now().timestamp()
        told: dict[str, Any] = await asked(redis.info())
    except LedgerUnavailable as failure:
        return [*answers, Check(part="redis", state="unknown", told=str(failure), advice="ask as the worker's user")]
    versions["redis-server"] = str(told.get("valkey_version") or told["redis_version"])
    return answers + look_at_redis(told, ahead_s)


def _ask_kafka(settings: Settings) -> Log:
    missing = missing_topics(settings)
    there = [plan.name for plan in planned_topics(settings) if plan.name not in missing]
    with closing(LogIdentity(settings)) as identity, open_log(settings) as log:
        begins: dict[str, int] = {}
        ends: dict[str, int] = {}
        for topic in (settings.topic_shipments, settings.topic_alerts):
            if topic in there:
                begins |= log.begins(topic)
                ends |= log.ends(topic)
        return Log(missing, topic_configs(settings, there), identity.read(), begins, ends)


async def _of_ledger(settings: Settings, redis: Redis, log: Log | None, now: Callable[[], datetime]) -> list[Check]:
    reader, position = Reader(redis, settings.ledger, now=now), Position(redis, settings.ledger)
    items: list[Check] = []
    if log is not None:
        remembered = await position.remembered(list(log.identity))
        items += look_at_log(log, remembered, await position.checkpoints(list(log.begins)))
    stopped, closure, freshness = await reader.stopped_workers(), await reader.closure(), await reader.freshness()
    looked_at = await reader.looked_at()
    unwatched_s = None if looked_at is None else (now() - looked_at).total_seconds()
    items += look_at_workers(stopped, closure, freshness, unwatched_s)
    policy = await reader.policy()
    shipped = None
    if policy is not None and policy.id in shipped_policies():
        shipped = await asyncio.to_thread(load_policy, policy.id, settings.chips)
    return [*items, look_at_policy(policy, shipped)]


# ------------------------------------------------------------------------------------------- What is made of it, pure


def look_at_redis(told: Mapping[str, Any], ahead_s: float) -> list[Check]:
    """What Redis says of itself, by `INFO`, and how far its clock is ahead of this machine's, in seconds."""
    items: list[Check] = []

    def say(state: Any, words: str, advice: str) -> None:
        items.append(Check(part="redis", state=state, told=words, advice=advice))

    compatible = str(told["redis_version"])
    if tuple(map(int, compatible.split(".")[:2])) < REDIS_MIN:
        say("wrong", f"it is version {compatible}", f"use Redis {REDIS_MIN[0]}.{REDIS_MIN[1]} or newer, or Valkey")
    if (eviction := told.get("maxmemory_policy", "noeviction")) != "noeviction":
        say("wrong", f"it evicts keys ({eviction}): balances vanish", "set maxmemory-policy noeviction")
    if told.get("role") == "slave":
        primary = f"{told.get('master_host')}:{told.get('master_port')}"
        say("wrong", f"it is a replica of {primary}, and takes no postings", "set QUOTA_REDIS_URL to the primary")
    used, room = int(told.get("used_memory", 0)), int(told.get("maxmemory", 0))
    if room and used > _MEMORY_FULL * room:
        state = "wrong" if used >= room else "warning"
        say(state, f"{used / room:.0%} of its maxmemory is used", "raise maxmemory: a full Redis takes no postings")
    if not int(told.get("aof_enabled", 0)):
        advice = "set appendonly yes: without, each start of Redis fills the ledger anew from the topics"
        say("warning", "it keeps no append-only file", advice)
    for name in ("aof_last_write_status", "rdb_last_bgsave_status"):
        if told.get(name, "ok") != "ok":
            say(
                "wrong",
                f"it cannot write its file ({name}={told[name]})",
                "look at its log, and at the room on its disk",
            )
    if abs(ahead_s) > CLOCKS_APART_MAX_S:
        words = f"its clock is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
        say("warning", words, "have both follow one time (NTP): deliveries are due by the one, days begin by the other")
    return items


def look_at_topics(settings: Settings, log: Log) -> list[Check]:
    """Whether the topics are there and keep what they must."""
    items = [
        Check(part="topics", state="wrong", told=f"there is no topic {name}", advice="quota-ledger topics create")
        for name in log.missing
    ]
    if log.configs is None:
        return [
            *items,
            Check(part="topics", state="unknown", told="this broker does not tell how long topics keep records"),
        ]
    for plan in planned_topics(settings):
        found = log.configs.get(plan.name, plan.configs)
        differing = {name: value for name, value in plan.configs.items() if not _suffices(found.get(name), value)}
        if differing:
            told = ", ".join(f"{name}={found.get(name)}" for name in differing)
            wanted = ",".join(f"{name}={value}" for name, value in differing.items())
            alter = f"kafka-configs.sh --alter --entity-type topics --entity-name {plan.name} --add-config {wanted}"
            words = f"{plan.name} may forget or refuse records ({told})"
            items.append(Check(part="topics", state="warning", told=words, advice=alter))
    return items or [Check(part="topics", state="ok", told="the topics are there, and keep what they must")]


def _suffices(found: str | None, wanted: str) -> bool:
    """Whether a topic's setting is as it is made, or more where it is a number of bytes or milliseconds."""
    more = found is not None and found.isdigit() and wanted.isdigit() and int(found) >= int(wanted)
    return found == wanted or more


def look_at_log(log: Log, remembered: Mapping[str, str], checkpoints: Mapping[str, int]) -> list[Check]:
    """Whether this is the log that the ledger was filled from, and whether it still holds what comes next.

    Args:
        log: as Kafka tells it.
        remembered: the ids that the ledger knows.
        checkpoints: the last settled offset of each partition.
    """
    if foreign := sorted(name for name, known in remembered.items() if known != log.identity[name]):
        told = ", ".join(f"{name} is {log.identity[name]}, was {remembered[name]}" for name in foreign)
        advice = "point QUOTA_KAFKA_BOOTSTRAP and the topics at its own log, or start another ledger (QUOTA_LEDGER)"
        return [Check(part="log", state="wrong", told=f"this is another log than the ledger's: {told}", advice=advice)]
    items = []
    for partition, begin in sorted(log.begins.items()):
        if (following := checkpoints[partition] + 1) < begin:
            told = f"{partition}: offsets {following} to {begin - 1} were deleted before they were applied"
            advice = "put the topic's data back, or give them up: quota-ledger accept-gap --dry-run"
            items.append(Check(part="log", state="wrong", told=told, advice=advice))
        elif following > log.ends[partition]:
            told = f"{partition} ends at {log.ends[partition]}, before what the ledger has applied ({following})"
            advice = "the topic was cut off or made anew: put its data back, or start another ledger (QUOTA_LEDGER)"
            items.append(Check(part="log", state="wrong", told=told, advice=advice))
    return items or [Check(part="log", state="ok", told="it is the ledger's, and holds all that comes next")]


def look_at_workers(
    stopped: Sequence[str], closure: Closure | None, freshness: Freshness, unwatched_s: float | None
) -> list[Check]:
    """Whether somebody applies what comes.

    Args:
        stopped: why workers stay out of the group.
        closure: the adoption that the ledger is closed for.
        freshness: how far it has read.
        unwatched_s: since when no worker has looked at the topic; None if none ever has: a ledger that is being set up.
    """
    items = [Check(part="ledger", state="wrong", told=why, advice='README, "When it stops"') for why in stopped]
    if closure is not None:
        items.append(Check(part="ledger", state="warning", told=closure.sentence()))
    if unwatched_s is None or freshness.lag_s is None:
        advice = "start a worker: quota-ledger worker"
        items.append(Check(part="ledger", state="warning", told="no worker has looked at the topic yet", advice=advice))
    elif unwatched_s > ENDS_TRUSTED.total_seconds():
        told = f"no worker has looked at the topic for {unwatched_s:,.0f} s: nothing is applied, and no alert is told"
        items.append(
            Check(part="ledger", state="wrong", told=told, advice="see whether a worker runs, and what it says")
        )
    elif freshness.lag_s > ENDS_TRUSTED.total_seconds():
        told = f"{freshness.lag_records:,} records are not applied, for {freshness.lag_s:,.0f} s"
        items.append(Check(part="ledger", state="warning", told=told, advice="see what the workers' logs say"))
    else:
        told = f"{freshness.lag_records:,} records wait to be applied"
        items.append(Check(part="ledger", state="ok", told=told))
    return items


def look_at_policy(policy: Policy | None, shipped: Policy | None) -> Check:
    """Which policy is in force, and whether this software has a newer one of its name."""
    if policy is None:
        told, advice = "no policy is adopted", "start a worker: the first one adopts QUOTA_POLICY"
        return Check(part="ledger", state="warning", told=told, advice=advice)
    told = f"policy {policy.id} {policy.sha256[:12]} is in force"
    if shipped is not None and shipped.sha256 != policy.sha256:
        told += f"; with this software and QUOTA_CHIPS it would be {shipped.sha256[:12]}"
        advice = f"if that is wanted: quota-ledger policy adopt {policy.id}"
        return Check(part="ledger", state="warning", told=told, advice=advice)
    return Check(part="ledger", state="ok", told=told)
