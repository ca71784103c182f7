"""`doctor` on real parts: a ledger at work is well, and what is done to its topics is found. It writes nothing."""

import json

from kafka import KafkaAdminClient, TopicPartition
from typer.testing import CliRunner

from streams.cli.main import app
from streams.settings import environment_of
from tests.live_kafka.desk import shipment
from tests.parts import wait_until


def test_a_ledger_at_work_is_well_until_records_vanish_before_they_are_applied(open_desk, real_kafka, processes):
    desk = open_desk(partitions=1)

    def asked():
        done = CliRunner().invoke(app, ["doctor", "--json"], env=environment_of(desk.settings))
        found = json.loads(done.stdout)
        return done.exit_code, found["right"], {(one["part"], one["state"]): one for one in found["items"]}

    worker = processes.start("worker", desk.settings)
    desk.produce([shipment("a"), shipment("b")])
    desk.wait_settled(2)
    wait_until(lambda: desk.freshness().lag_records == 0, "the worker to have looked at the topic's end")
    code, right, found = asked()
    assert (code, right) == (0, True), found
    assert {("log", "ok"), ("kafka", "ok"), ("redis", "ok"), ("ledger", "ok")} <= found.keys()

    worker.signal(15)
    assert worker.process.wait(15) == 0
    desk.produce([shipment("c"), shipment("d")])
    place = TopicPartition(desk.settings.topic_shipments, 0)
    with KafkaAdminClient(bootstrap_servers=desk.settings.kafka_bootstrap) as admin:
        admin.delete_records({place: 3})
    before = desk.redis.hgetall(desk.keys.meta)
    code, right, found = asked()
    assert (code, right) == (1, False)
    assert "offsets 2 to 2 were deleted before they were applied" in found["log", "wrong"]["told"]
    assert "accept-gap" in found["log", "wrong"]["advice"]
    assert desk.redis.hgetall(desk.keys.meta) == before

    desk.redis.hset(desk.keys.meta, "layout", "0")
    code, right, found = asked()
    assert (code, right) == (1, False)
    assert "in layout 0" in found["ledger", "wrong"]["told"]
