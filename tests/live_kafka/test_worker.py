"""A real worker on a real broker and a real Redis: what is produced is debited once, or parked with its reason."""

import json
import socket
import subprocess

import pytest

from tests.live_kafka.desk import H100, LiveDesk, shipment
from tests.parts import wait_until


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=4)


def test_bare_events_are_debited_and_told_again_change_nothing(desk, processes):
    processes.start("worker", desk.settings)
    said = [shipment(f"e{n}", quantity=n + 1) for n in range(20)]
    desk.produce(said)
    desk.wait_settled(20)
    assert desk.posted() == {"IN": 210 * H100}

    desk.produce(said)
    desk.wait_settled(40)
    assert desk.posted() == {"IN": 210 * H100}
    assert desk.rejects() == []


def test_structured_and_binary_events_of_another_client_are_debited(desk, processes):
    from confluent_kafka import Producer

    processes.start("worker", desk.settings)
    client = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap})
    data = {name: value for name, value in shipment("x", quantity=2).items() if name != "id"}
    envelope = {"specversion": "1.0", "source": "/acme", "type": "shipment.shipped"}
    topic = desk.settings.topic_shipments
    client.produce(topic, json.dumps({**envelope, "id": "s1", "data": data}).encode())
    headers = {f"ce_{name}": value for name, value in {**envelope, "id": "b1"}.items()}
    client.produce(topic, json.dumps(data).encode(), headers=headers | {"content-type": "application/json"})
    client.produce(topic, json.dumps({**envelope, "id": "b1", "data": data}).encode())  # b1 again, in the other mode
    assert client.flush(20) == 0
    desk.wait_settled(3)

    assert desk.posted() == {"IN": 4 * H100}
    assert desk.decision("/acme", "b1").outcome == "applied"


def test_a_record_with_neither_key_nor_value_is_parked_too(desk, processes):
    from confluent_kafka import Producer

    processes.start("worker", desk.settings)
    client = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap})
    client.produce(desk.settings.topic_shipments, None)
    assert client.flush(20) == 0
    desk.wait_settled(1)

    (reject,) = desk.rejects()
    assert dict(reject.headers)["quota-reason"] == b"tombstone"


def test_odd_records_stop_nothing(desk, real_kafka, processes):
    """Headers without a value, a time before all time, more bytes than the rejects take."""
    from confluent_kafka import Producer
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = desk.settings.topic_shipments
    with KafkaAdminClient(bootstrap_servers=desk.settings.kafka_bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "6000000"})])
    processes.start("worker", desk.settings)
    client = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap, "message.max.bytes": 5_000_000})
    said = json.dumps(shipment("odd")).encode()
    client.produce(topic, said, headers=[("ce_time", None), ("x", None)])
    client.produce(topic, b"[]", headers=[("ce_time", None), ("x", None)])
    client.produce(topic, b"{}", timestamp=1)
    client.produce(topic, b"x" * 3_000_000)
    client.produce(topic, b"not json", key=b"k" * 3_000_000)
    client.produce(topic, b"not json either", headers=[("h", b"h" * 2_900_000)])
    client.produce(topic, b"{", headers=[("quota-reason", b"mine"), ("ce_subject", b"s" * 70_000)])
    client.produce(topic, json.dumps(shipment("after")).encode())
    assert client.flush(20) == 0
    desk.wait_settled(8)

    assert desk.posted() == {"IN": 2 * H100}
    rejects = desk.rejects()
    reasons = sorted(dict(reject.headers)["quota-reason"] for reject in rejects)
    assert reasons == [b"missing_field", b"not_an_object", b"not_json", b"not_json", b"too_large", b"too_large"]
    assert {len(r.value): "quota-cut" in dict(r.headers) for r in rejects if len(r.value) > 60_000} == {65_536: True}


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(desk, processes, codec):
    from confluent_kafka import Producer

    processes.start("worker", desk.settings)
    client = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap, "compression.type": codec})
    client.produce(desk.settings.topic_shipments, json.dumps(shipment("packed")).encode() + b" " * 8000)
    assert client.flush(20) == 0
    desk.wait_settled(1)

    assert desk.posted() == {"IN": H100}


def test_what_a_transaction_took_back_is_not_debited(desk, processes, real_kafka):
    from confluent_kafka import Producer

    processes.start("worker", desk.settings)
    topic = desk.settings.topic_shipments
    client = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap, "transactional.id": desk.settings.ledger})
    client.init_transactions(20)
    client.begin_transaction()
    client.produce(topic, json.dumps(shipment("taken-back")).encode(), partition=0)
    client.flush(20)
    client.abort_transaction(20)
    client.begin_transaction()
    client.produce(topic, json.dumps(shipment("meant")).encode(), partition=0)
    client.commit_transaction(20)
    wait_until(lambda: desk.posted() == {"IN": H100}, "the committed event alone")
    desk.produce([shipment(f"after{n}") for n in range(8)])

    wait_until(lambda: desk.posted() == {"IN": 9 * H100}, "what came after")
    wait_until(lambda: desk.freshness().lag_records == 0, "no lag, although markers lie behind the last record")


def test_a_header_whose_name_is_no_text_stops_nothing(desk, processes):
    processes.start("worker", desk.settings)
    topic = desk.settings.topic_shipments
    desk.produce([shipment("before")])
    subprocess.run(
        ["kcat", "-P", "-b", desk.settings.kafka_bootstrap, "-t", topic, "-H", b"\xff\xfe=1"],
        input=json.dumps(shipment("odd")).encode(),
        check=True,
        timeout=20,
    )
    desk.produce([shipment(f"after{n}") for n in range(8)])
    desk.wait_settled(10)

    assert desk.posted() == {"IN": 9 * H100}
    (reject,) = desk.rejects()
    assert dict(reject.headers)["quota-reason"] == b"bad_value"


def test_a_bare_event_is_named_by_its_source_header(desk, processes):
    processes.start("worker", desk.settings)
    desk.produce([shipment("h1")], headers=[("source", b"/from/header")])
    desk.wait_settled(1)

    assert desk.decision("/from/header", "h1") is not None


def test_the_same_key_with_another_quantity_is_parked_as_a_conflict(desk, processes):
    processes.start("worker", desk.settings)
    desk.produce([shipment("e1", quantity=1)])
    desk.wait_settled(1)
    desk.produce([shipment("e1", quantity=2), shipment("e2", quantity=5)])
    desk.wait_settled(3)

    assert desk.posted() == {"IN": 6 * H100}
    (reject,) = desk.rejects()
    assert dict(reject.headers)["quota-reason"] == b"conflict"
    assert dict(reject.headers)["quota-event-key"].endswith(b"#e1")
    assert json.loads(reject.value)["lines"][0]["quantity"] == 2


def test_every_broken_body_is_parked_with_its_reason_and_stops_nothing(desk, processes):
    from tests.core.test_reading_events import BROKEN

    processes.start("worker", desk.settings)
    bodies = [value for value, _ in BROKEN.values()]
    desk.produce([shipment("before"), *bodies, shipment("unknown", country="UK"), shipment("after")])
    desk.wait_settled(len(bodies) + 3)

    assert desk.posted() == {"IN": 2 * H100}
    rejects = desk.rejects()
    told = sorted((dict(reject.headers)["quota-reason"].decode(), reject.value or b"") for reject in rejects)
    expected = [(reason, value or b"") for value, reason in BROKEN.values()]
    assert told == sorted([*expected, ("unknown_country", json.dumps(shipment("unknown", country="UK")).encode())])
    places = set()
    for reject in rejects:
        headers = dict(reject.headers)
        assert headers["quota-topic"].decode() == desk.settings.topic_shipments
        assert headers["quota-detail"]
        places.add((headers["quota-partition"], headers["quota-offset"]))
    assert len(places) == len(rejects)
    hint = next(
        dict(r.headers)["quota-detail"] for r in rejects if dict(r.headers)["quota-reason"] == b"unknown_country"
    )
    assert b"GB" in hint


def test_crossings_and_tier_3_shipments_reach_the_alerts_topic_in_order(desk, processes):
    processes.start("worker", desk.settings)
    desk.produce([shipment("big", quantity=45_500)])
    desk.produce([shipment("cn", country="CN")])
    alerts = wait_until(lambda: len(found := desk.alerts()) >= 3 and found, "three alerts")

    assert {alert["kind"] for alert in alerts} == {"quota.near_cap", "tier3.shipment"}
    assert [alert["level"] for alert in alerts if alert["kind"] == "quota.near_cap"] == [75, 90]
    wait_until(lambda: desk.redis.llen(desk.keys.outbox) == 0, "the outbox to be empty")


def test_a_worker_opens_no_port_and_logs_no_password(desk, processes):
    host = desk.settings.redis_url.get_secret_value().removeprefix("redis://")
    secret = desk.settings.model_copy(
        update={"redis_url": type(desk.settings.redis_url)(f"redis://default:S3cret@{host}")}
    )
    desk.redis.acl_setuser("default", enabled=True, passwords=["+S3cret"], nopass=False)
    try:
        worker = processes.start("worker", secret)
        LiveDesk.produce(desk, [shipment("e1")])
        with desk.redis.client() as asking:
            asking.execute_command("AUTH", "S3cret")
            name = f"checkpoint:{desk.settings.topic_shipments}:"
            wait_until(
                lambda: any(field.decode().startswith(name) for field in asking.hkeys(desk.keys.meta)), "the event"
            )
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", 6066)) != 0
        assert "S3cret" not in worker.log_tail(10_000)
    finally:
        desk.redis.execute_command("AUTH", "S3cret")
        desk.redis.acl_setuser("default", enabled=True, nopass=True, reset_passwords=False)


def test_sigterm_ends_a_worker_and_the_next_goes_on_where_it_stopped(desk, processes):
    first = processes.start("worker", desk.settings)
    desk.produce([shipment(f"e{n}") for n in range(50)])
    desk.wait_settled(50)
    first.signal(15)
    assert first.process.wait(10) == 0
    desk.produce([shipment(f"f{n}") for n in range(50)])
    processes.start("worker", desk.settings)
    desk.wait_settled(100)

    assert desk.posted() == {"IN": 100 * H100}


def test_a_worker_without_its_topics_says_which_are_missing(make_settings, processes, kafka):
    settings = make_settings(partitions=1).model_copy(update={"topic_alerts": "nobody-made-this"})
    worker = processes.start("worker", settings)

    assert worker.process.wait(30) == 69
    assert "nobody-made-this" in worker.log_tail(50)
    assert "topics create" in worker.log_tail(50)
