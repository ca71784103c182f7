"""The broker that tests run on: is it the real one, and does it do what the other tests lean on?"""

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from tests.parts import wait_until


def settings_of(kafka):
    version = tuple(map(int, kafka.api_version.split("."))) if kafka.api_version else None
    return {"bootstrap_servers": kafka.bootstrap, "api_version": version}


def test_a_record_that_was_acknowledged_is_read_again(kafka, ledger):
    kafka.make_topic(ledger, 1)
    producer = KafkaProducer(**settings_of(kafka), acks="all")
    sent = producer.send(ledger, b"value", key=b"key", headers=[("source", b"/test")]).get(10)
    producer.close()
    consumer = KafkaConsumer(ledger, **settings_of(kafka), auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    record = next(iter(consumer))
    consumer.close()

    assert sent.offset == record.offset == 0
    assert (record.key, record.value, list(record.headers)) == (b"key", b"value", [("source", b"/test")])


@pytest.mark.parametrize("partitions", [1, 12])
def test_a_topic_has_the_partitions_it_was_made_with(kafka, ledger, partitions):
    kafka.make_topic(ledger, partitions)
    consumer = KafkaConsumer(**settings_of(kafka))
    found = wait_until(lambda: consumer.partitions_for_topic(ledger), f"topic {ledger}", 10)
    consumer.close()

    assert found == set(range(partitions))


def test_a_real_broker_tells_topic_ids(real_kafka, ledger):
    real_kafka.make_topic(ledger, 1)
    admin = KafkaAdminClient(**settings_of(real_kafka))
    described = admin.describe_topics([ledger])
    admin.close()

    assert len(str(described[0]["topic_id"])) == 36


def test_settings_come_with_topics_of_their_own(make_settings):
    first, second = make_settings(), make_settings()

    assert first.ledger == second.ledger
    assert first.topic_shipments != second.topic_shipments
