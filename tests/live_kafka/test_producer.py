"""Writing to Kafka: acknowledged means there, and what stands in the way is said by name and leaves nothing behind."""

import gc
import socket
import threading

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import ConfigResource

from ledger.errors import LedgerUnavailable, WrongCall
from streams.embedded.kafka import EmbeddedKafka
from streams.embedded.valkey import free_port
from streams.kafka.producer import LazyProducer, close_producer, make_producer, send_all
from streams.kafka.topics import ensure_topics, missing_topics, planned_topics


def io_threads():
    return [thread for thread in threading.enumerate() if "kafka" in thread.name.lower()]


def read_all(settings, topic, count):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap,
        api_version=settings.api_version,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
    )
    found = []
    for record in consumer:
        found.append(record)
        if len(found) == count:
            break
    consumer.close()
    return found


def test_every_record_is_acknowledged_and_told_and_there(make_settings):
    settings = make_settings(partitions=2)
    records = [(b"k%d" % (number % 7), b"v%d" % number, [("source", b"/file/x")]) for number in range(12_000)]
    told = []
    producer = make_producer(settings)
    sent = send_all(producer, settings.topic_shipments, iter(records), told.append)
    close_producer(producer)
    found = read_all(settings, settings.topic_shipments, len(records))

    assert sent == len(records)
    assert told == list(range(1, len(records) + 1))
    assert sorted((record.key, record.value) for record in found) == sorted(record[:2] for record in records)
    assert {tuple(record.headers) for record in found} == {(("source", b"/file/x"),)}


def test_records_of_one_key_keep_their_order(make_settings):
    settings = make_settings(partitions=3)
    producer = LazyProducer(settings)
    producer.send_all(settings.topic_shipments, [(b"one", b"%d" % number, []) for number in range(3_000)])
    producer.close()
    found = read_all(settings, settings.topic_shipments, 3_000)

    assert [int(record.value) for record in found] == list(range(3_000))


def test_a_tombstone_can_be_written(make_settings):
    settings = make_settings(partitions=1)
    producer = LazyProducer(settings)
    producer.send_all(settings.topic_settings, [(b"webhook:1", None, [])])
    producer.close()

    assert read_all(settings, settings.topic_settings, 1)[0].value is None


def test_a_missing_topic_is_named_with_what_to_do(make_settings, kafka, monkeypatch):
    if kafka.stand_in:
        pytest.skip("the embedded cluster makes topics at their first use")
    monkeypatch.setattr("streams.kafka.producer.BLOCK_MAX_S", 2)
    producer = LazyProducer(make_settings(partitions=1))

    with pytest.raises(LedgerUnavailable, match="has no topic nowhere; run `quota-ledger topics create`"):
        producer.send_all("nowhere", [(None, b"v", [])])
    producer.close()


def test_kafka_away_is_said_at_once_and_leaves_no_thread_and_no_socket(make_settings):
    settings = make_settings(partitions=0, kafka_bootstrap=f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}")
    before = io_threads()

    for attempt in (make_producer, missing_topics, lambda settings: LazyProducer(settings).send_all("x", [])):
        with pytest.raises(LedgerUnavailable, match=r"nothing listens at .*; start it or set QUOTA_KAFKA_BOOTSTRAP"):
            attempt(settings)
    assert io_threads() == before


def test_something_that_is_no_kafka_is_said_and_leaves_no_thread_and_no_socket(make_settings, monkeypatch):
    monkeypatch.setattr("streams.kafka.producer.BLOCK_MAX_S", 1)
    before = io_threads()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        settings = make_settings(partitions=0, kafka_bootstrap=f"127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(LedgerUnavailable, match="did not answer as it should"):
            make_producer(settings)
    assert io_threads() == before


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")  # kafka-python leaves refused ones to the collector
def test_kafka_gone_in_the_middle_is_unavailable_and_the_producer_is_made_anew(
    make_settings, tmp_path, register, monkeypatch
):
    monkeypatch.setattr("streams.kafka.producer.BLOCK_MAX_S", 1)
    monkeypatch.setattr("streams.kafka.producer.DELIVERY_MAX_S", 2)
    before = io_threads()
    clusters = [EmbeddedKafka(tmp_path, register)]
    settings = make_settings(partitions=0, kafka_bootstrap=clusters[0].bootstrap, kafka_api_version="2.3")
    producer = LazyProducer(settings)
    producer.send_all("shipments", [(None, b"before", [])])
    clusters[0].child.signal(9)
    clusters[0].child.process.wait()
    clusters[0].child.exit_code()

    with pytest.raises(LedgerUnavailable):
        producer.send_all("shipments", [(None, b"v%d" % number, []) for number in range(100)])
    with pytest.raises(LedgerUnavailable, match="nothing listens"):
        producer.send_all("shipments", [(None, b"after", [])])
    producer.close()
    assert io_threads() == before
    gc.collect()


def test_a_record_larger_than_any_topic_takes_is_a_wrong_call(make_settings):
    settings = make_settings(partitions=1)
    producer = LazyProducer(settings)

    with pytest.raises(WrongCall, match=settings.topic_shipments):
        producer.send_all(settings.topic_shipments, [(None, b"x" * 3_000_000, [])])
    producer.close()


def test_missing_topics_are_made_as_planned_and_existing_ones_left(make_settings, kafka, ledger):
    if kafka.stand_in:
        pytest.skip("the embedded cluster has no admin calls")
    existing = make_settings(partitions=5)
    names = {f"topic_{kind}": f"{kind}-{ledger}" for kind in ("rejected", "alerts", "settings")}
    settings = existing.model_copy(update=names)

    assert missing_topics(settings) == list(names.values())
    assert ensure_topics(settings) == list(names.values())
    assert ensure_topics(settings) == missing_topics(settings) == []
    assert [plan.partitions for plan in planned_topics(settings)] == [12, 1, 1, 1]
    assert configs_of(kafka, names["topic_rejected"], "retention.ms", "max.message.bytes") == ["-1", "2097152"]
    assert configs_of(kafka, names["topic_settings"], "cleanup.policy") == ["compact"]
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    assert len(consumer.partitions_for_topic(settings.topic_shipments)) == 5
    consumer.close()


def configs_of(kafka, topic, *names):
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    told = admin.describe_configs([ConfigResource("topic", topic)])["topic"][topic]
    admin.close()
    return [told[name]["value"] for name in names]
