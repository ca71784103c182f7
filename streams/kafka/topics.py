"""The topics of a ledger: which there must be, and making them. Never changes one that exists."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from streams.kafka.producer import BLOCK_MAX_S, clean_client
from streams.settings import Settings

_FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(10 * 365 * 86_400_000)}
"""Deletions stay for ten years: a worker that was away for long still hears of them."""

_UNKNOWN_TOPIC = 3


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it is to be made; the broker's own defaults hold for what is not said."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)


def planned_topics(settings: Settings) -> list[TopicPlan]:
    """The topics that this ledger reads and writes."""
    return [
        TopicPlan(settings.topic_shipments, 12, _FOR_EVER),
        TopicPlan(settings.topic_rejected, 1, _FOR_EVER | {"max.message.bytes": str(2 * 1024 * 1024)}),
        TopicPlan(settings.topic_alerts, 1, _FOR_EVER),
        TopicPlan(settings.topic_settings, 1, _COMPACTED),
    ]


def missing_topics(settings: Settings) -> list[str]:
    """The planned topics that Kafka does not have.

    Raises:
        LedgerUnavailable: Kafka did not answer.
    """
    with _admin(settings) as admin:
        return _missing(admin, settings)


def ensure_topics(settings: Settings) -> list[str]:
    """Make the topics that are missing, with the broker's default replication.

    Returns:
        The names of those that were made.

    Raises:
        LedgerUnavailable: Kafka did not answer, or refused to make one.
    """
    with _admin(settings) as admin:
        missing = _missing(admin, settings)
        wanted = {
            plan.name: {"num_partitions": plan.partitions, "replication_factor": -1, "configs": plan.configs}
            for plan in planned_topics(settings)
            if plan.name in missing
        }
        if wanted:
            admin.create_topics(wanted)
            admin.wait_for_topics(list(wanted))
        return missing


def forgetful(settings: Settings) -> str | None:
    """Why the topic of shipments may forget records, as one sentence; None if it keeps them, or the broker is silent.

    Raises:
        LedgerUnavailable: Kafka did not answer.
    """
    topic = settings.topic_shipments
    configs = topic_configs(settings, [topic])
    if configs is None:
        return None
    kept = {name: configs[topic][name] for name in _FOR_EVER}
    if kept == _FOR_EVER:
        return None
    told, wanted = (", ".join(f"{name}={value}" for name, value in some.items()) for some in (kept, _FOR_EVER))
    return f"topic {topic} may forget shipments ({told}), and Redis cannot be filled again: set {wanted}"


def topic_configs(settings: Settings, topics: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """The settings of topics that are there, by topic and name; None if the broker does not tell them.

    Raises:
        LedgerUnavailable: Kafka did not answer.
    """
    if not topics:
        return {}
    with _admin(settings) as admin:
        try:
            asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
            told = admin.describe_configs(asked, config_filter="all")["topic"]
        except KafkaError:  # the embedded cluster hangs up on this question
            return None
    return {topic: {name: one["value"] for name, one in told[topic].items()} for topic in topics}


def _missing(admin: KafkaAdminClient, settings: Settings) -> list[str]:
    names = [plan.name for plan in planned_topics(settings)]
    absent = {topic["name"] for topic in admin.describe_topics(names) if topic["error_code"] == _UNKNOWN_TOPIC}
    return [name for name in names if name in absent]


@contextmanager
def _admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    with (
        clean_client(settings) as (brokers, make_client),
        KafkaAdminClient(
            kafka_client=make_client,
            bootstrap_servers=brokers,
            api_version=settings.api_version,
            bootstrap_timeout_ms=BLOCK_MAX_S * 1000,
            request_timeout_ms=BLOCK_MAX_S * 1000,
        ) as admin,
    ):
        yield admin
