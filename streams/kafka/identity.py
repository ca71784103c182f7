"""Which log this is: the ids of cluster and topics, as far as the broker tells them.

Offsets cannot tell a topic that was made anew, and aiokafka does not see topic ids; kafka-python does.
"""

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ledger.errors import LedgerUnavailable
from streams.kafka.producer import BLOCK_MAX_S, clean_client
from streams.settings import Settings

_NO_ID = {None, "", "00000000-0000-0000-0000-000000000000"}


class LogIdentity:
    """Asks one cluster, over a connection that is kept. Blocks: call it in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = [settings.topic_shipments, settings.topic_alerts, settings.topic_settings]
        self._admin: KafkaAdminClient | None = None

    def read(self) -> dict[str, str]:
        """`cluster_id` and `topic_id:<topic>`; what the broker does not tell is absent.

        Raises:
            LedgerUnavailable: Kafka did not answer.
        """
        try:
            if self._admin is None:
                with clean_client(self._settings) as (brokers, make_client):
                    self._admin = KafkaAdminClient(
                        kafka_client=make_client,
                        bootstrap_servers=brokers,
                        api_version=self._settings.api_version,
                        bootstrap_timeout_ms=BLOCK_MAX_S * 1000,
                        request_timeout_ms=BLOCK_MAX_S * 1000,
                    )
            told = {"cluster_id": self._admin.describe_cluster().get("cluster_id")}
            for topic in self._admin.describe_topics(self._topics):
                told[f"topic_id:{topic['name']}"] = topic.get("topic_id")
        except KafkaError as failure:
            self.close()
            raise LedgerUnavailable(f"Kafka does not tell its ids: {failure}") from None
        return {name: str(value) for name, value in told.items() if value not in _NO_ID}

    def close(self) -> None:
        """Let go of the connection."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
