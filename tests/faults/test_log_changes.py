"""The log changes under the ledger: records deleted, a topic made anew, partitions added. It stops and says so."""

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from typer.testing import CliRunner

from streams.cli.main import app
from streams.settings import environment_of
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
    reasons = stopped(desk)
    assert waiting.exit_code() is None
    assert len(reasons) == 1
    assert b"the log begins at 80, but 50 is to be applied next" in reasons[0]
    assert desk.posted() == {"IN": 50 * H100}

    gap = f"{desk.settings.topic_shipments}:0"
    looked = accept_gap(desk, "--dry-run")
    assert (looked.exit_code, looked.stdout) == (0, f"{gap}: 30 offsets, 50 to 79, would be given up\n")
    assert desk.settled() == 50
    done = accept_gap(desk, gap)
    assert (done.exit_code, done.stdout) == (0, f"{gap}: 30 offsets, 50 to 79, are given up\n")
    desk.wait_settled(100)
    assert desk.posted() == {"IN": 70 * H100}
    wait_until(lambda: not stopped(desk), "the word of the worker that stayed out to be taken back")
    again = accept_gap(desk)
    assert (again.exit_code, again.stdout[:7]) == (0, "no gap:")
    assert waiting.exit_code() is None


def test_a_redis_that_is_emptied_gives_up_again_what_was_given_up_and_nothing_else(desk, admin, processes):
    desk.produce(fifty("a"))
    admin.delete_records({TopicPartition(desk.settings.topic_shipments, 0): 20})
    assert accept_gap(desk).exit_code == 0
    for _ in range(2):
        worker = processes.start("worker", desk.settings)
        desk.wait_settled(50)
        assert desk.posted() == {"IN": 30 * H100}
        processes.kill(worker)
        desk.redis.delete(*desk.redis.keys(desk.keys.pattern))

    admin.delete_records({TopicPartition(desk.settings.topic_shipments, 0): 40})  # applied then, but forgotten since
    assert processes.start("worker", desk.settings).process.wait(30) == 70
    assert desk.redis.hget(desk.keys.meta, f"checkpoint:{desk.settings.topic_shipments}:0") == b"19"


def test_a_gap_of_a_topic_that_was_made_anew_gives_up_nothing_of_the_new_one(desk, admin, processes):
    desk.produce(fifty("a"))
    admin.delete_records({TopicPartition(desk.settings.topic_shipments, 0): 20})
    assert accept_gap(desk).exit_code == 0
    make_anew(desk, admin)
    refused = accept_gap(desk)
    assert refused.exit_code == 70
    assert "start another ledger (QUOTA_LEDGER)" in refused.stderr

    other = LiveDesk(desk.settings.model_copy(update={"ledger": f"{desk.settings.ledger}-2"}))
    other.produce(fifty("b"))
    processes.start("worker", other.settings)
    other.wait_settled(50)
    assert other.posted() == {"IN": 50 * H100}
    other.close()


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


def accept_gap(desk, *arguments):
    said = ("accept-gap", *arguments, "--actor", "eve", "--reason", "retention was set too short")
    return CliRunner().invoke(app, said, env=environment_of(desk.settings))


def stopped(desk):
    """Why workers stay out of the group."""
    return [value for name, value in desk.redis.hgetall(desk.keys.meta).items() if name.startswith(b"stopped:")]


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
