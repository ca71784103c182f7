"""What the doctor makes of what it is told, and what it says where nothing answers."""

import json
from datetime import UTC, datetime

import pytest

from ledger.policy import load_policy
from schemas.adoption import Closure
from schemas.quota_status import Freshness
from streams.doctor import Log, look_at_log, look_at_policy, look_at_redis, look_at_topics, look_at_workers
from streams.kafka.topics import planned_topics
from streams.settings import Settings

WELL = {"redis_version": "7.2.4", "aof_enabled": 1, "maxmemory_policy": "noeviction", "maxmemory": 0}
SETTINGS = Settings()
CONFIGS = {plan.name: plan.configs for plan in planned_topics(SETTINGS)}
LOG = Log([], CONFIGS, {"cluster_id": "c"}, {"shipments:0": 0}, {"shipments:0": 50})


def told(*items):
    return [(one.state, one.told) for one in items]


@pytest.mark.parametrize(
    ("info", "ahead_s", "state", "words"),
    [
        ({"redis_version": "6.2.14"}, 0, "wrong", "version 6.2.14"),
        ({"maxmemory_policy": "allkeys-lru"}, 0, "wrong", "evicts keys (allkeys-lru)"),
        ({"maxmemory": 100, "used_memory": 95}, 0, "warning", "95% of its maxmemory"),
        ({"maxmemory": 100, "used_memory": 100}, 0, "wrong", "100% of its maxmemory"),
        (
            {"role": "slave", "master_host": "a", "master_port": 1},
            0,
            "wrong",
            "a replica of a:1, and takes no postings",
        ),
        ({"aof_enabled": 0}, 0, "warning", "no append-only file"),
        ({"aof_last_write_status": "err"}, 0, "wrong", "aof_last_write_status=err"),
        ({}, 61.0, "warning", "61 s ahead of"),
        ({}, -61.0, "warning", "61 s behind"),
    ],
)
def test_what_is_wrong_with_redis_is_told_with_what_to_do(info, ahead_s, state, words):
    [one] = look_at_redis(WELL | info, ahead_s)

    assert one.state == state
    assert words in one.told
    assert one.advice
    assert look_at_redis(WELL, 0.5) == []


def test_topics_that_are_missing_or_forget_are_told_with_the_command_that_mends_them():
    found = CONFIGS | {"alerts": CONFIGS["alerts"] | {"retention.ms": "604800000"}}
    found["shipments"] = CONFIGS["shipments"] | {"cleanup.policy": "compact"}
    found |= {"shipments.rejected": CONFIGS["shipments.rejected"] | {"max.message.bytes": "1048588"}}
    del found["quota.settings"]
    items = look_at_topics(SETTINGS, Log(["quota.settings"], found, {}, {}, {}))

    assert told(*items) == [
        ("wrong", "there is no topic quota.settings"),
        ("warning", "shipments may forget or refuse records (cleanup.policy=compact)"),
        ("warning", "shipments.rejected may forget or refuse records (max.message.bytes=1048588)"),
        ("warning", "alerts may forget or refuse records (retention.ms=604800000)"),
    ]
    assert items[3].advice.endswith("--entity-name alerts --add-config retention.ms=-1")
    assert [one.state for one in look_at_topics(SETTINGS, LOG)] == ["ok"]
    more = CONFIGS | {"shipments.rejected": CONFIGS["shipments.rejected"] | {"max.message.bytes": "9999999"}}
    assert [one.state for one in look_at_topics(SETTINGS, Log([], more, {}, {}, {}))] == ["ok"]
    assert [one.state for one in look_at_topics(SETTINGS, Log([], None, {}, {}, {}))] == ["unknown"]


@pytest.mark.parametrize(
    ("remembered", "begin", "checkpoint", "words"),
    [
        ({"cluster_id": "another"}, 0, 10, "cluster_id is c, was another"),
        ({"cluster_id": "c"}, 20, 10, "offsets 11 to 19 were deleted before they were applied"),
        ({}, 0, 50, "ends at 50, before what the ledger has applied (51)"),
    ],
)
def test_a_log_that_is_not_the_ledgers_or_lacks_what_comes_next_is_wrong(remembered, begin, checkpoint, words):
    log = Log([], CONFIGS, {"cluster_id": "c"}, {"shipments:0": begin}, {"shipments:0": 50})
    [one] = look_at_log(log, remembered, {"shipments:0": checkpoint})

    assert one.state == "wrong"
    assert words in one.told
    for last in (-1, 10, 49):
        assert [one.state for one in look_at_log(LOG, {"cluster_id": "c"}, {"shipments:0": last})] == ["ok"]


def test_that_nobody_applies_what_comes_is_told():
    moment = datetime(2026, 11, 22, tzinfo=UTC)

    def lag(records, seconds, unwatched_s):
        freshness = Freshness(applied_at=moment, lag_records=records, lag_s=seconds)
        return look_at_workers([], None, freshness, unwatched_s)

    nobody = "no worker has looked at the topic for 61 s: nothing is applied, and no alert is told"
    assert told(*lag(0, 0.0, 1.0), *lag(3, 2.0, 2.0)) == [
        ("ok", "0 records wait to be applied"),
        ("ok", "3 records wait to be applied"),
    ]
    assert told(*lag(0, 61.0, 61.0), *lag(7, 90.0, 61.0)) == [("wrong", nobody)] * 2
    assert told(*lag(7, 61.0, 1.0), *lag(None, None, None)) == [
        ("warning", "7 records are not applied, for 61 s"),
        ("warning", "no worker has looked at the topic yet"),
    ]
    closure = Closure(number=1, policy_id="p", policy_sha256="0" * 64, since=moment)
    states = [
        one.state
        for one in look_at_workers(
            ["w: a reason"], closure, Freshness(applied_at=moment, lag_records=0, lag_s=0.0), 1.0
        )
    ]
    assert states == ["wrong", "warning", "ok"]


def test_a_policy_that_the_software_ships_otherwise_is_told():
    ours, other = load_policy("annual-50k"), load_policy("allies-tier1")

    assert look_at_policy(None, None).state == "warning"
    assert look_at_policy(ours, ours).state == look_at_policy(ours, None).state == "ok"
    assert f"it would be {other.sha256[:12]}" in look_at_policy(ours, other).told


def test_what_is_away_is_told_and_ends_with_69(run):
    done = run("doctor", "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 69
    assert not found["right"]
    assert [(one["part"], one["state"]) for one in found["items"]] == [
        ("redis", "away"),
        ("kafka", "away"),
        ("ledger", "unknown"),
    ]
    assert all(one["advice"] for one in found["items"] if one["state"] == "away")
    assert found["versions"]["python"]
    assert "S3cret" not in done.output
