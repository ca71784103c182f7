"""`quota-ledger verify` on real parts: a ledger that is right is found right, also at work; what is edited is found."""

import json
from dataclasses import replace
from hashlib import sha256
from random import Random

import pytest
from kafka import KafkaAdminClient, TopicPartition
from typer.testing import CliRunner

from ledger.book.account import account_of
from ledger.book.family import VERSION_SIZE
from ledger.book.ids import AWAITED
from ledger.book.journal import deflated, inflated
from ledger.digests import digest_of_key
from ledger.rules.levels import FAR, Mark
from streams.cli.main import app
from streams.settings import environment_of
from tests.histories import history
from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until

EVENTS = 150


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=3)


@pytest.fixture
def run(desk):
    def run(*arguments):
        return CliRunner().invoke(app, ["verify", *arguments], env=environment_of(desk.settings))

    return run


@pytest.fixture
def verify(run):
    """What the command finds, in JSON."""

    def verify():
        done = run("--json")
        found = json.loads(done.stdout)
        assert done.exit_code == (0 if found["right"] else 1), done.output
        return found

    return verify


@pytest.fixture
def worker(desk, processes):
    return processes.start("worker", desk.settings)


@pytest.fixture
def filled(desk, worker):
    """A ledger of plain, related, repeated, broken and contradicting records, that has come to rest."""
    events = history(Random(7), EVENTS)
    random = Random(1)
    said = [*events, *random.choices(events, k=20), *(shipment(f"p{n}", country="CN") for n in range(30))]
    said += [b"no json", shipment("uk", country="UK"), shipment("p1", quantity=9)]
    said += [shipment("near its cap", country="BR", quantity=45_000)]
    desk.produce(said)
    desk.wait_settled(len(said))
    desk.produce([shipment("p1", quantity=3)])
    desk.wait_settled(len(said) + 1)
    wait_until(lambda: desk.redis.llen(desk.keys.outbox) == 0, "the alerts to be on their topic")
    place = f"checkpoint:{desk.settings.topic_alerts}:0"
    wait_until(lambda: int(desk.redis.hget(desk.keys.meta, place)) + 1 == len(desk.alerts()), "the feed to be filled")
    worker.signal(15)
    assert worker.process.wait(15) == 0
    return desk


def sorts(found):
    return set(found["counts"])


def test_a_ledger_that_is_right_is_found_right(filled, verify, run):
    found = verify()
    assert found["right"], found
    assert (found["records"], found["notes"]) == (EVENTS + 20 + 30 + 5, [])
    assert found["rejects"] == len(filled.rejects()) > 3  # some are too far in the future
    assert found["events"] == sum(value != AWAITED for value in filled.redis.hvals(filled.keys.ids)) > EVENTS // 2
    assert found["alerts"] == len(filled.alerts())
    assert "Redis holds what follows from the topics" in run().stdout


@pytest.fixture
def edited(filled, verify, run):
    """Puts a value into a hash (None: takes it out), looks, and puts back what was there."""
    redis = filled.redis

    def edited(key, field, value):
        before = redis.hget(key, field)
        redis.hset(key, field, value) if value is not None else redis.hdel(key, field)
        found, shown = verify(), run().stdout
        redis.hset(key, field, before) if before is not None else redis.hdel(key, field)
        assert not found["right"]
        return found, shown

    return edited


def test_what_is_edited_in_redis_is_found(filled, verify, edited):
    redis, keys = filled.redis, filled.keys
    record = redis.hget(keys.balances, "country:CN|2026")
    posted, rest = record.split(b" ", 1)
    found, shown = edited(keys.balances, "country:CN|2026", b"%d %s" % (int(posted) + 1, rest))
    (account,) = found["accounts"]
    assert (account["account"], account["period"]) == ("country:CN", "2026")
    assert account["found"]["posted_tpp"] == account["expected"]["posted_tpp"] + 1 == int(posted) + 1
    assert account["journal"]["posted_tpp"] == account["bookings"]["posted_tpp"] == int(posted)
    assert f"{int(posted) + 1:,}" in shown

    found, _ = edited(keys.balances, "country:ZZ|2026", b"1 0 0 0 0 - {}")
    assert [account["account"] for account in found["accounts"]] == ["country:ZZ"]
    key = digest_of_key(f"/kafka/{filled.settings.topic_shipments}", "p2")
    found, shown = edited(keys.ids, key, None)
    assert (sorts(found), found["counts"]) == ({"id"}, {"id": 1})
    assert "is not known to the ledger" in shown
    value = redis.hget(keys.ids, key)
    found, _ = edited(keys.ids, key, b"another" + value[7:])
    assert "another content" in found["findings"][0]["told"]
    found, _ = edited(keys.ids, b"s" * 12, value)
    assert "the log does not hold it" in found["findings"][0]["told"]
    family = next(iter(redis.hkeys(keys.families)))
    assert sorts(edited(keys.families, family, None)[0]) == {"family"}
    assert sorts(edited(keys.families, family, redis.hget(keys.families, family)[:7] + b"x")[0]) == {"family"}
    said = json.loads(inflated(redis.hget(keys.families, family)[VERSION_SIZE:]))
    event = json.loads(said["kin"][0][2])
    event.get("data", event)["shipment_id"] = "another"
    for field, change in ((0, "0" * 64), (2, json.dumps(event))):
        kin = [change if number == field else told for number, told in enumerate(said["kin"][0])]
        text = json.dumps(said | {"kin": [kin, *said["kin"][1:]]}, ensure_ascii=False).encode()
        found, _ = edited(keys.families, family, sha256(text).digest()[:VERSION_SIZE] + deflated(text))
        assert sorts(found) == {"family"}
        assert found["findings"][0]["told"].endswith("not as the log has them")
    waiting = next(iter(redis.hkeys(keys.waits)))
    assert sorts(edited(keys.waits, waiting, None)[0]) == {"wait"}
    assert sorts(edited(keys.waits, waiting, "settled")[0]) == sorts(edited(keys.waits, "a", "b")[0]) == {"wait"}
    for careless in ("0", b"0 0 0 0 0 soon {}", b"0 0 0 0 0 - 7"):
        found, _ = edited(keys.balances, "country:CN|2026", careless)
        assert (found["counts"], found["accounts"][0]["account"]) == ({"balance": 1}, "country:CN")
    redis.zadd(keys.expiries, {"a": "inf"})
    assert sorts(verify()) == {"expiry"}
    redis.zrem(keys.expiries, "a")
    assert verify()["right"]


def test_a_level_that_would_never_be_told_of_is_found(filled, verify, edited):
    brazil = account_of("country:BR|2026", filled.redis.hget(filled.keys.balances, "country:BR|2026"))
    far = Mark(crossed_at=brazil.last_posted_at)
    for wrong, why in (
        ({"marks": {}}, "past 75 % of its cap, which is not noted"),
        ({"marks": {**brazil.marks, "over": far}}, "below its cap, which is noted as reached"),
        ({"quiet": (-FAR, FAR)}, "nobody is told from -9,007,199,254,740,991"),
    ):
        found, shown = edited(filled.keys.balances, "country:BR|2026", replace(brazil, **wrong).to_record())
        assert found["counts"] == {"level": 1}
        assert why in found["findings"][0]["told"]
        assert "country:BR|2026" in shown
    assert verify()["right"]


def test_a_doubled_journal_entry_and_a_doubled_booking_are_found(filled, verify):
    redis, keys = filled.redis, filled.keys
    entry = next(
        (name, fields) for name, fields in redis.xrange(keys.journal) if b"country:CN|2026" in fields[b"before"]
    )
    (last, _), *_ = redis.xrevrange(keys.journal, count=1)
    redis.xadd(keys.journal, entry[1], id=f"{int(last.split(b'-')[0])}-1")
    found = verify()
    assert "journal" in sorts(found)
    account = next(one for one in found["accounts"] if one["account"] == "country:CN")
    assert account["journal"]["posted_tpp"] > account["expected"]["posted_tpp"] == account["found"]["posted_tpp"]
    assert account["breaks_at"] is not None
    redis.xdel(keys.journal, f"{int(last.split(b'-')[0])}-1")
    assert verify()["right"]

    redis.xadd(keys.journal, entry[1], id=f"{int(last.split(b'-')[0]) + 1}-0")
    assert sorts(verify()) == {"journal"}
    redis.xdel(keys.journal, f"{int(last.split(b'-')[0]) + 1}-0")

    redis.lpush(keys.bookings("country:CN|2026"), redis.lindex(keys.bookings("country:CN|2026"), 0))
    (account,) = verify()["accounts"]
    assert account["bookings"]["posted_tpp"] > account["journal"]["posted_tpp"] == account["found"]["posted_tpp"]


def test_an_alert_or_a_reject_that_is_gone_is_found(filled, verify, real_kafka):
    redis, keys = filled.redis, filled.keys
    (name, fields), *_ = redis.xrange(keys.alerts, count=1)
    redis.xdel(keys.alerts, name)
    found = verify()
    assert (sorts(found), found["findings"][0]["told"]) == ({"alert"}, "this alert is missing in Redis")
    assert found["findings"][0]["name"].endswith(f"/0/{int(name.split(b'-')[0]) - 1}")

    with KafkaAdminClient(bootstrap_servers=filled.settings.kafka_bootstrap) as admin:
        admin.delete_records({TopicPartition(filled.settings.topic_rejected, 0): 1})
        found = verify()
        assert found["counts"] == {"alert": 1, "reject": 1}
        assert fields

        admin.delete_records({TopicPartition(filled.settings.topic_shipments, 0): 5})
    assert "log" in sorts(verify())


def test_an_alert_that_nobody_told_and_a_place_past_the_topics_end_are_found(filled, verify):
    redis, keys = filled.redis, filled.keys
    [(name, fields)] = redis.xrevrange(keys.alerts, count=1)
    last = int(name.split(b"-")[0])
    for invented in (f"{last}-1", f"{last + 1}-0", f"{last + 1000}-0"):
        redis.xadd(keys.alerts, fields, id=invented)
        found = verify()
        assert (found["counts"], found["findings"][0]["name"]) == ({"alert": 1}, invented)
        redis.xdel(keys.alerts, invented)

    place = f"checkpoint:{filled.settings.topic_alerts}:0"
    redis.hincrby(keys.meta, place, 1)
    assert verify()["counts"] == {"log": 1}
    redis.hincrby(keys.meta, place, -2)
    assert verify()["counts"] == {"alert": 1}
    redis.hincrby(keys.meta, place, 1)
    assert verify()["right"]


def test_a_ledger_at_work_is_compared_as_of_one_moment(desk, worker, verify):
    said = history(Random(3), 2000)
    total = 0
    for part in range(4):
        desk.produce(said[500 * part : 500 * part + 500] + [shipment(f"{part}-{n}") for n in range(3000)])
        total += 3500
        wait_until(lambda: desk.settled() > 0, "the worker to begin")
        found = verify()
        assert found["right"], found
    desk.wait_settled(total)
    found = verify()
    assert found["right"], found
    assert found["records"] == total


def test_a_contradiction_across_partitions_is_named_and_not_called_wrong(desk, worker, verify):
    for partition, quantity in ((0, 1), (1, 2), (2, 2)):
        value = json.dumps(shipment("twice", quantity=quantity)).encode()
        desk.producer.send(desk.settings.topic_shipments, value=value, partition=partition).get(20)
    desk.wait_settled(3)
    found = verify()

    assert found["right"], found
    assert desk.posted()["IN"] in (H100, 2 * H100)
    (note,) = found["notes"]
    assert note["name"].endswith("#twice")


def test_a_part_that_is_away_ends_with_69(desk, run):
    assert run().exit_code == 69  # nobody adopted a policy yet
    nowhere = desk.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    assert CliRunner().invoke(app, ["verify"], env=environment_of(nowhere)).exit_code == 69


def test_what_was_given_up_is_not_missed_and_an_emptied_redis_comes_to_the_same(desk, processes, real_kafka, verify):
    desk.produce([shipment(f"a{n}") for n in range(60)])
    with KafkaAdminClient(bootstrap_servers=desk.settings.kafka_bootstrap) as admin:
        admin.delete_records({TopicPartition(desk.settings.topic_shipments, number): 5 for number in range(3)})
    gave_up = CliRunner().invoke(
        app, ["accept-gap", "--actor", "eve", "--reason", "gone"], env=environment_of(desk.settings)
    )
    assert gave_up.exit_code == 0
    for _ in range(2):
        worker = processes.start("worker", desk.settings)
        desk.wait_settled(60)
        found = verify()
        assert (found["right"], found["records"]) == (True, 45), found
        processes.kill(worker)
        desk.redis.delete(*desk.redis.keys(desk.keys.pattern))
