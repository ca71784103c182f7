"""Bad records on a real worker: each is parked for its reason, as it came, before the checkpoint passes it.

`FUZZED_RECORDS=100000` puts so many fuzzed records on the topic instead of a few thousand.
"""

import json
import os
from random import Random

import pytest
from kafka import KafkaAdminClient
from typer.testing import CliRunner

from streams.cli.main import app
from streams.kafka.producer import send_all
from streams.settings import environment_of
from tests.bad_bodies import bad_bodies
from tests.fuzzing import fuzzed
from tests.live_kafka.desk import H100, shipment
from tests.parts import create_topic, wait_until

FUZZED = int(os.environ.get("FUZZED_RECORDS", "3000"))


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=2)


def test_every_bad_body_is_parked_for_its_reason_as_it_came_and_what_lies_between_is_booked(desk, processes):
    processes.start("worker", desk.settings)
    bodies = bad_bodies()
    for number, body in enumerate(bodies):
        send_all(desk.producer, desk.settings.topic_shipments, [(body.name.encode(), body.value, body.headers)])
        if number % 10 == 0:
            desk.produce([shipment(f"good-{number}")])
    good = len(bodies[::10])
    desk.wait_settled(len(bodies) + good)

    assert desk.posted() == {"IN": good * H100}
    parked = {record.key.decode(): (record.value, *_reason_and_headers(record)) for record in desk.rejects()}
    assert parked == {body.name: (body.value, body.reason, body.headers) for body in bodies}


def _reason_and_headers(record):
    """Why it was parked, and the headers that it came with."""
    theirs = [(name, text) for name, text in record.headers if not name.startswith("quota-")]
    return dict(record.headers)["quota-reason"].decode(), theirs


def test_fuzzed_records_are_booked_or_parked_each_of_them_and_stop_nothing(desk, processes):
    worker = processes.start("worker", desk.settings)
    random = Random(FUZZED)
    records = [(b"key", *fuzzed(random)) for _ in range(FUZZED)]
    send_all(
        desk.producer, desk.settings.topic_shipments, [(k, v, [(n, t or b"") for n, t in h]) for k, v, h in records]
    )
    desk.produce([shipment("after")])
    desk.wait_settled(FUZZED + 1, timeout_s=60 + FUZZED / 100)

    assert worker.exit_code() is None
    assert desk.decision(f"/kafka/{desk.settings.topic_shipments}", "after").outcome == "applied"
    done = CliRunner().invoke(app, ["verify", "--json"], env=environment_of(desk.settings))
    found = json.loads(done.stdout)
    assert found["right"], found
    assert found["records"] == FUZZED + 1
    assert "internal_error" not in {dict(record.headers)["quota-reason"].decode() for record in desk.rejects()}


def test_while_rejects_cannot_be_written_their_partition_waits_and_nothing_is_skipped(desk, real_kafka, processes):
    settings = desk.settings
    worker = processes.start("worker", settings)
    desk.produce([shipment("before")])
    desk.wait_settled(1)
    with KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap) as admin:
        admin.delete_topics([settings.topic_rejected])
    for value in (b"no json", json.dumps(shipment("after")).encode()):
        desk.producer.send(settings.topic_shipments, value=value, partition=0).get(20)
    wait_until(lambda: " waits: " in worker.log_tail(50), "the partition to wait", 60)

    assert desk.settled() == 1
    create_topic(settings.kafka_bootstrap, settings.topic_rejected, 1)
    desk.wait_settled(3)
    assert [record.value for record in desk.rejects()] == [b"no json"]
    assert desk.posted() == {"IN": 2 * H100}
