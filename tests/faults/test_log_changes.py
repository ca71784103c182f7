"""The log changes under the ledger: records deleted, a topic made anew, partitions added. It stops and says so."""

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from tests.live_kafka.desk import H100, LiveDesk, shipment
from tests.parts import wait_until


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=1)


@pytest.fixture
def admin(desk, real_kafka):
    with KafkaAdminClient(bootstrap_servers=desk.settings.kafka_bootstrap) as admin:
        yield admin


def fifty(name):
    return [shipment(f"{name}{number}") for number in range(50)]


def test_records_deleted_before_they_were_applied_stop_the_worker_until_somebody_decides(desk, admin, processes):
    first = processes.start("worker", desk.settings)
    desk.produce(fifty("a"))
    desk.wait_settled(50)
    first.signal(15)
    assert first.process.wait(15) == 0
    desk.produce(fifty("b"))
    admin.delete_records({TopicPartition(desk.settings.topic_shipments, 0): 80})

    for _ in range(3):
        worker = processes.start("worker", desk.settings)
        assert worker.process.wait(30) == 70
        assert "accept-gap" in worker.log_tail(50)
    waiting = processes.start("worker", desk.settings)
    wait_until(lambda: "staying out of the group" in waiting.log_tail(50), "the fourth to stay out")
    reasons = [value for name, value in desk.redis.hgetall(desk.keys.meta).items() if name.startswith(b"stopped:")]
    assert waiting.exit_code() is None
    assert len(reasons) == 1
    assert b"the log begins at 80, but 50 is to be applied next" in reasons[0]
    assert desk.posted() == {"IN": 50 * H100}

    desk.redis.hset(desk.keys.meta, f"checkpoint:{desk.settings.topic_shipments}:0", 79)  # somebody gives them up
    desk.wait_settled(100)
    assert desk.posted() == {"IN": 70 * H100}


def test_a_topic_made_anew_and_longer_stops_an_idle_worker_by_its_id(desk, admin, processes):
    worker = processes.start("worker", desk.settings)
    desk.produce(fifty("a"))
    desk.wait_settled(50)
    make_anew(desk, admin)
    other = LiveDesk(desk.settings)
    other.produce(fifty("b") + fifty("c"))
    other.close()

    assert worker.process.wait(60) == 70
    again = processes.start("worker", desk.settings)
    assert again.process.wait(30) == 70
    assert "topic_id" in again.log_tail(50)
    assert desk.posted() == {"IN": 50 * H100}


def test_an_added_partition_is_read_from_its_beginning(desk, admin, processes):
    processes.start("worker", desk.settings)
    desk.produce(fifty("a"))
    desk.wait_settled(50)
    admin.create_partitions({desk.settings.topic_shipments: 3})
    other = LiveDesk(desk.settings)
    wait_until(lambda: len(other.producer.partitions_for(desk.settings.topic_shipments)) == 3, "three partitions")
    other.produce(fifty("b"))
    other.close()
    desk.wait_settled(100)

    assert desk.posted() == {"IN": 100 * H100}


def make_anew(desk, admin):
    topic = desk.settings.topic_shipments
    admin.delete_topics([topic])

    def made():
        try:
            admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        except KafkaError:  # the old one is still on its way out
            return False
        return True

    wait_until(made, "the topic to be made anew")
