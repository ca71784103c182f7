"""librdkafka's in-process Kafka cluster, in a child process of its own. Not a broker to keep anything in.

One broker on loopback; everything is gone with the process; about 5 MB a partition are kept and the oldest dropped,
so whoever feeds it bounds what is fed. It has no admin calls: topics are made over the child's standard input.
kafka-python needs `api_version=(2, 3)` to talk to it. Run as `python -m streams.embedded.kafka`, by `EmbeddedKafka`
alone.
"""

import ctypes
import ctypes.util
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from ledger.errors import LedgerUnavailable, WrongCall
from streams.embedded.children import Child, Register, end_all

API_VERSION = "2.3"
"""What kafka-python must be told (`QUOTA_KAFKA_API_VERSION`)."""

KEPT_BYTES_A_PARTITION = 5_000_000
"""About what a partition keeps; older records are dropped without a word."""

_PRODUCER = 0
_ERROR_TEXT_BYTES = 512


class EmbeddedKafka:
    """The cluster, as its parent sees it."""

    def __init__(self, folder: Path, register: Register) -> None:
        """Start it.

        Args:
            folder: where its log goes.
            register: the list of the guard that ends it.

        Raises:
            LedgerUnavailable: it did not come up; says why.
        """
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "streams.embedded.kafka"]
        self.child = Child("kafka", command, log=folder / "kafka.log", register=register, piped=True)
        self.bootstrap: str = self._answer()["bootstrap"]

    def make_topic(self, name: str, partitions: int) -> None:
        """Make a topic.

        Raises:
            LedgerUnavailable: the cluster refused (the topic is there already) or is gone.
        """
        assert self.child.process.stdin is not None
        self.child.process.stdin.write(json.dumps({"topic": name, "partitions": partitions}).encode() + b"\n")
        self.child.process.stdin.flush()
        self._answer()

    def stop(self) -> None:
        """End it, and everything in it."""
        end_all([self.child])

    def _answer(self) -> dict[str, Any]:
        assert self.child.process.stdout is not None
        line = self.child.process.stdout.readline()
        if not line:
            raise LedgerUnavailable(f"the embedded Kafka ended: {self.child.log_tail(5)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LedgerUnavailable(f"the embedded Kafka: {answer['error']}")
        return answer


def library_path() -> Path | str:
    """Where librdkafka lies: inside the confluent-kafka wheel (Linux, macOS), else where the system keeps it.

    Raises:
        WrongCall: it is nowhere; names what to install.
    """
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
            for path in sorted(folder.glob("librdkafka*")):
                return path
    if system := ctypes.util.find_library("rdkafka"):
        return system
    raise WrongCall("librdkafka was not found: pip install confluent-kafka, or set QUOTA_KAFKA_BOOTSTRAP to your Kafka")


class _MockCluster:
    """The few calls of librdkafka's mock cluster that are used, by ctypes."""

    def __init__(self) -> None:
        library = ctypes.CDLL(str(library_path()))
        library.rd_kafka_new.restype = ctypes.c_void_p
        library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
        library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
        library.rd_kafka_err2str.restype = ctypes.c_char_p
        self._library = library
        error = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        client = library.rd_kafka_new(_PRODUCER, None, error, _ERROR_TEXT_BYTES)
        if not client:
            raise LedgerUnavailable(f"librdkafka: {error.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(client, 1)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    def bootstrap(self) -> str:
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def make_topic(self, name: str, partitions: int) -> str | None:
        """Make a topic; returns why not, or None."""
        error = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        return f"topic {name}: {self._library.rd_kafka_err2str(error).decode()}" if error else None


def main() -> None:
    """Tell the address, make the topics that are asked for, end when standard input does."""
    cluster = _MockCluster()
    print(json.dumps({"bootstrap": cluster.bootstrap()}), flush=True)  # noqa: T201
    for line in sys.stdin:
        asked = json.loads(line)
        refused = cluster.make_topic(asked["topic"], asked["partitions"])
        print(json.dumps({"error": refused} if refused else {"made": asked["topic"]}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
