"""Writing to Kafka with kafka-python: every record is acknowledged, or the caller hears why not. Reads nothing."""

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.net.compat import KafkaNetClient

from ledger.errors import LedgerError, LedgerUnavailable, WrongCall
from streams.settings import Settings

Outgoing = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""A record to be written: key, value, headers."""

BLOCK_MAX_S = 10
"""How long Kafka may take to answer at all: to be found, and to name a topic's partitions."""

DELIVERY_MAX_S = 30
"""How long one record may take to be acknowledged, retries included."""

_CLOSE_MAX_S = 1
_IN_FLIGHT_MAX = 5_000
_RECORD_MAX_BYTES = 2 * 1024 * 1024
"""As much as the topic of rejects takes: an original of 1 MB with its headers fits."""


def make_producer(settings: Settings) -> KafkaProducer:
    """A producer that waits for all replicas and writes each record once.

    Raises:
        LedgerUnavailable: no broker answered.
    """
    with clean_client(settings) as (brokers, make_client):
        return KafkaProducer(
            kafka_client=make_client,
            bootstrap_servers=brokers,
            api_version=settings.api_version,
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            linger_ms=5,
            batch_size=128 * 1024,
            max_request_size=_RECORD_MAX_BYTES,
            bootstrap_timeout_ms=BLOCK_MAX_S * 1000,
            max_block_ms=BLOCK_MAX_S * 1000,
            request_timeout_ms=BLOCK_MAX_S * 1000,
            delivery_timeout_ms=DELIVERY_MAX_S * 1000,
            reconnect_backoff_max_ms=1000,
        )


def close_producer(producer: KafkaProducer) -> None:
    """Let go of a producer. What is not acknowledged within a second is given up: `send_all` has said so."""
    try:
        producer.close(timeout=_CLOSE_MAX_S)
    except KafkaError:  # it waits for its records and then gives up halfway, its thread still alive
        producer._sender.force_close()  # noqa: SLF001  nothing else ends that thread
        producer._sender.join(_CLOSE_MAX_S)  # noqa: SLF001
        with suppress(KafkaError):
            producer.close(timeout=0)


@contextmanager
def clean_client(settings: Settings) -> Iterator[tuple[list[str], Callable[..., KafkaNetClient]]]:
    """For making a client of kafka-python: quiet, with errors in our words, and with nothing left behind by a failure.

    Yields:
        The brokers, and what to hand over as `kafka_client`.

    Raises:
        LedgerUnavailable: no broker listens, or what is made inside the `with` fails.
    """
    brokers = listening_brokers(settings)
    quiet_client()
    made: list[KafkaNetClient] = []

    def make_client(**configs: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**configs))
        return made[-1]

    try:
        yield brokers, make_client
    except KafkaError as failure:
        for client in made:  # a constructor that fails keeps its sockets and its thread
            client.close()
        raise LedgerUnavailable(_why_away(brokers, failure)) from None


def send_all(
    producer: KafkaProducer,
    topic: str,
    records: Iterable[Outgoing],
    on_sent: Callable[[int], None] | None = None,
) -> int:
    """Write records and wait until each is acknowledged by all replicas. At most some thousands are under way.

    Args:
        producer: from `make_producer`.
        topic: where to.
        records: what to write, in order.
        on_sent: told how many are acknowledged so far.

    Returns:
        How many were written.

    Raises:
        LedgerUnavailable: Kafka is away or the topic is missing; what came before may have been written.
        WrongCall: a record is larger than the topic takes.
    """
    under_way: deque[Any] = deque()
    sent = 0

    def settle_until(left: int) -> None:
        nonlocal sent
        while len(under_way) > left:
            under_way.popleft().get(timeout=DELIVERY_MAX_S + BLOCK_MAX_S)
            sent += 1
            if on_sent is not None:
                on_sent(sent)

    try:
        for key, value, headers in records:
            under_way.append(producer.send(topic, value=value, key=key, headers=headers))
            settle_until(_IN_FLIGHT_MAX - 1)
        settle_until(0)
    except (MessageSizeTooLargeError, RecordListTooLargeError) as failure:
        raise WrongCall(f"topic {topic}: {failure}") from None
    except KafkaError as failure:
        raise LedgerUnavailable(_why_not_sent(producer, topic, failure)) from None
    return sent


class LazyProducer:
    """A producer that is made at its first use and made anew after a failure, so that reads go on without Kafka.

    It may be shared by threads; their sends take turns.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None

    def send_all(self, topic: str, records: Iterable[Outgoing]) -> int:
        """As the function `send_all`."""
        with self._lock:
            if self._producer is None:
                self._producer = make_producer(self._settings)
            try:
                return send_all(self._producer, topic, records)
            except LedgerError:  # a refused record too breaks the order that an idempotent producer counts
                self._drop()
                raise

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._producer is not None:
            close_producer(self._producer)
            self._producer = None


def listening_brokers(settings: Settings) -> list[str]:
    """The brokers of the settings, of which at least one listens.

    Raises:
        LedgerUnavailable: none does, said at once and not after the time-outs of a client.
    """
    brokers = settings.kafka_bootstrap.split(",")
    if not any(_listens(broker) for broker in brokers):
        raise LedgerUnavailable(_why_away(brokers))
    return brokers


def quiet_client() -> None:
    """Keep kafka-python off the terminal and out of logs: what goes wrong is raised, in words of our own."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _why_away(brokers: list[str], failure: Exception | None = None) -> str:
    """Which brokers cannot be reached and which setting names them; or what Kafka said."""
    named = ", ".join(brokers)
    if failure is None or not any(_listens(broker) for broker in brokers):
        return f"Kafka is away: nothing listens at {named}; start it or set QUOTA_KAFKA_BOOTSTRAP"
    return f"Kafka at {named} (QUOTA_KAFKA_BOOTSTRAP) did not answer as it should: {failure}"


def _why_not_sent(producer: KafkaProducer, topic: str, failure: Exception) -> str:
    brokers = producer.config["bootstrap_servers"]
    if not any(_listens(broker) for broker in brokers):
        return _why_away(brokers)
    if producer._metadata.partitions_for_topic(topic) is None:  # noqa: SLF001  kafka-python says it nowhere else
        named = ", ".join(brokers)
        return (
            f"Kafka at {named} has no topic {topic}; run `quota-ledger topics create`, or name yours in QUOTA_TOPIC_…"
        )
    return f"Kafka did not acknowledge records on {topic}: {failure}"


def _listens(broker: str) -> bool:
    host, _, port = broker.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
