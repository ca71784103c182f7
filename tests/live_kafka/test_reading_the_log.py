"""The topic read to its present end, as `simulate --from-topic` does: all that a worker sees, in the order of time."""

import json
import subprocess
import sys
from random import Random

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition

from ledger.errors import LedgerUnavailable
from streams.kafka import read_log
from streams.kafka.read_log import Log
from streams.kafka.run import UnreadableRecord
from streams.settings import environment_of
from tests.assortment import assortment
from tests.histories import history
from tests.live_kafka.desk import shipment
from tests.parts import environment_without_settings

START_MS = 1_770_000_000_000


def produce(settings, records, **config):
    """(partition, time in ms after the start, value) each."""
    client = Producer({"bootstrap.servers": settings.kafka_bootstrap, **config})
    for partition, time_ms, value in records:
        client.produce(settings.topic_shipments, value, partition=partition, timestamp=START_MS + time_ms)
    assert client.flush(30) == 0


def values(settings):
    with Log(settings, settings.topic_shipments) as log:
        return [record.value for record in log]


def simulated(settings):
    """What the command answers in JSON, in a process of its own."""
    policies = ("--policy", "in-force", "--against", "diffusion-2025")
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "simulate", "--from-topic", "--json", *policies],
        env=environment_without_settings() | environment_of(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_records_come_in_the_order_of_their_times_whichever_partition_holds_them(make_settings):
    settings = make_settings(partitions=3)
    produce(settings, [(0, 10, b"b"), (0, 40, b"e"), (2, 5, b"a"), (2, 20, b"c"), (2, 30, b"d")])

    assert values(settings) == [b"a", b"b", b"c", b"d", b"e"]


def test_records_of_one_partition_keep_their_order_though_their_times_do_not(make_settings):
    settings = make_settings(partitions=2)
    produce(settings, [(0, 90, b"1"), (0, 10, b"2"), (0, 50, b"3"), (1, 60, b"x")])

    assert [value for value in values(settings) if value != b"x"] == [b"1", b"2", b"3"]


def test_a_partition_that_runs_ahead_waits_for_the_others_and_nothing_is_lost(make_settings, monkeypatch):
    monkeypatch.setattr(read_log, "_WAITING_MAX", 7)
    monkeypatch.setattr(read_log, "_FETCHED_MAX", 5)
    settings = make_settings(partitions=3)
    produce(settings, [(0, n, b"early %d" % n) for n in range(300)])
    produce(settings, [(2, 1_000 + n, b"late %d" % n) for n in range(300)])
    waiting = []
    with Log(settings, settings.topic_shipments) as log:
        found = []
        for record in log:
            found.append(record.value)
            waiting.append(max(map(len, log._waiting.values())))

    assert found == [b"early %d" % n for n in range(300)] + [b"late %d" % n for n in range(300)]
    assert max(waiting) <= 7 + 6


def test_what_comes_onto_the_topic_later_is_left_for_later(make_settings):
    settings = make_settings(partitions=2)
    produce(settings, [(0, 1, b"a"), (1, 2, b"b")])
    with Log(settings, settings.topic_shipments) as log:
        produce(settings, [(0, 3, b"c"), (1, 0, b"d")])
        found = [record.value for record in log]

    assert (log.records, found) == (2, [b"a", b"b"])


def test_the_log_may_be_looked_through_again_and_is_the_same_though_more_came(make_settings):
    settings = make_settings(partitions=2)
    produce(settings, [(n % 2, n, b"%d" % n) for n in range(50)])
    with Log(settings, settings.topic_shipments) as log:
        first = [record.value for record in log]
        produce(settings, [(0, 25, b"later")])
        again = [record.value for record in log]

    assert first == again == [b"%d" % n for n in range(50)]


def test_an_empty_topic_ends_at_once(make_settings):
    assert values(make_settings(partitions=2)) == []


def test_what_a_transaction_took_back_is_left_out(make_settings, real_kafka):
    settings = make_settings(partitions=1)
    topic = settings.topic_shipments
    client = Producer({"bootstrap.servers": settings.kafka_bootstrap, "transactional.id": settings.ledger})
    client.init_transactions(20)
    for value, end in ((b"taken back", client.abort_transaction), (b"meant", client.commit_transaction)):
        client.begin_transaction()
        client.produce(topic, value, partition=0)
        client.flush(20)
        end(20)

    assert values(settings) == [b"meant"]


def test_what_a_running_transaction_wrote_is_not_waited_for(make_settings, real_kafka):
    settings = make_settings(partitions=1)
    produce(settings, [(0, 1, b"before")])
    client = Producer({"bootstrap.servers": settings.kafka_bootstrap, "transactional.id": settings.ledger})
    client.init_transactions(20)
    client.begin_transaction()
    client.produce(settings.topic_shipments, b"undecided", partition=0)
    client.flush(20)
    found = values(settings)
    client.abort_transaction(20)

    assert found == [b"before"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(make_settings, codec):
    settings = make_settings(partitions=1)
    produce(settings, [(0, 1, b"packed " * 500)], **{"compression.type": codec})

    assert values(settings) == [b"packed " * 500]


def test_records_with_a_header_whose_name_is_no_text_are_stood_in_for(make_settings):
    settings = make_settings(partitions=1)
    produce(settings, [(0, 1, b"before")])
    subprocess.run(
        ["kcat", "-P", "-b", settings.kafka_bootstrap, "-t", settings.topic_shipments, "-H", b"\xff\xfe=1"],
        input=b"odd\n" * 200,
        check=True,
        timeout=20,
    )
    with Log(settings, settings.topic_shipments) as log:
        before, *odd = log

    assert before.value == b"before"
    assert [type(record) for record in odd] == [UnreadableRecord] * 200


def test_records_that_were_deleted_are_said_to_be_missing(make_settings, real_kafka):
    settings = make_settings(partitions=2)
    produce(settings, [(0, n, b"%d" % n) for n in range(5)])
    place = TopicPartition(settings.topic_shipments, 0)
    with KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, place.topic, {"cleanup.policy": "delete"})])
        admin.delete_records({place: 3})
    with Log(settings, settings.topic_shipments) as log:
        found = [record.value for record in log]

    assert (log.deleted, log.records, found) == (3, 2, [b"3", b"4"])


def test_a_topic_that_is_not_there_is_said_to_be_missing(make_settings):
    settings = make_settings(partitions=1).model_copy(update={"topic_shipments": "nobody-made-this"})

    with pytest.raises(LedgerUnavailable, match=r"topic nobody-made-this cannot be read.*Unknown topic"):
        Log(settings, settings.topic_shipments)


def test_a_simulation_of_the_topic_is_what_the_worker_booked_of_it(open_desk, processes):
    desk = open_desk(partitions=1)
    related = [json.dumps(event).encode() for event in history(Random(3), 100)]
    records = [*assortment(21, 200), *related, *(json.dumps(shipment(f"s{n}", quantity=n)).encode() for n in range(50))]
    desk.produce([value or None for value in records])
    processes.start("worker", desk.settings)
    desk.wait_settled(len(records))
    found = simulated(desk.settings)
    booked = {item["country"]: item["policy"]["posted_tpp"] for item in found["items"] if item["period"] == "2026"}

    assert found["records_read"] == len(records)
    assert found["policy"]["policy_id"] == "annual-50k"
    assert sum(found["policy"]["rejected"].values()) == len(desk.rejects())
    assert {country: tpp for country, tpp in booked.items() if tpp} == {
        country: tpp for country, tpp in desk.posted().items() if tpp
    }
