"""An accepted gap on a real Redis: it moves one checkpoint, if that stands just before it, and nothing else."""

from datetime import UTC, datetime

import pytest

from ledger.book.gap import gap_setting, read_gap
from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.position import Position
from ledger.book.setting import Setting, adoption
from ledger.policy import load_policy
from schemas.accepted_gap import AcceptedGap
from streams.kafka.run import Run
from streams.keep_settings import keep_settings
from tests.live_redis.test_adopting import Record

ANNUAL = load_policy("annual-50k")
AT = datetime(2026, 11, 22, 9, tzinfo=UTC)


def a_gap(first=50, last=79, *, partition="shipments:0", topic_id=None):
    return AcceptedGap(
        partition=partition, first=first, last=last, topic_id=topic_id, actor="eve", reason="gone", accepted_at=AT
    )


@pytest.fixture
def keep(any_redis, ledger):
    """Keep settings as they lie on the topic, as one run; returns the checkpoint of shipments:0 afterwards."""

    async def keep(*settings, **meta):
        if meta:
            await any_redis.hset(Keys(ledger).meta, mapping=meta)
        records = [Record(offset, one.value, key=one.key.encode()) for offset, one in enumerate(settings)]
        await keep_settings(KeptSettings(any_redis, ledger))(Run("settings", 0, -1, records))
        return (await Position(any_redis, ledger).checkpoints(["shipments:0"]))["shipments:0"]

    return keep


@pytest.mark.parametrize(
    ("checkpoint", "expected"), [(48, 48), (49, 79), (50, 79), (78, 79), (79, 79), (80, 80), (2000, 2000)]
)
async def test_a_gap_moves_a_checkpoint_whose_next_record_lies_in_it(keep, checkpoint, expected):
    assert await keep(gap_setting(a_gap()), **{"checkpoint:shipments:0": checkpoint}) == expected


async def test_a_new_ledger_gives_up_what_was_gone_from_the_beginning(keep):
    assert await keep(gap_setting(a_gap(first=0, last=9))) == 9


async def test_a_gap_of_another_partition_or_another_topic_moves_nothing(keep):
    gaps = [gap_setting(a_gap(partition="shipments:1")), gap_setting(a_gap(topic_id="old"))]
    assert await keep(*gaps, **{"checkpoint:shipments:0": 49, "topic_id:shipments": "new"}) == 49


async def test_a_gap_of_the_same_topic_does(keep):
    meta = {"checkpoint:shipments:0": 49, "topic_id:shipments": "same"}
    assert await keep(gap_setting(a_gap(topic_id="same")), **meta) == 79


async def test_a_gap_counts_only_after_what_was_decided_before_it(keep, any_redis, ledger):
    """An adoption that rules from offset 60 is kept while nothing of that is settled, with the gap in the same run."""
    first = adoption(ANNUAL, 1, begins={}, adopted_at=AT, token="a")
    second = adoption(ANNUAL, 2, begins={"shipments:0": 60}, adopted_at=AT, token="b")

    assert await keep(Setting("key:a", b"{}"), first, second, gap_setting(a_gap(0, 79))) == 79
    assert await KeptSettings(any_redis, ledger).adopted.number() == 2


async def test_a_gap_that_says_nothing_is_passed_over(keep):
    assert await keep(Setting("gap:shipments:0:1-2", b'{"partition": "x"}'), Setting("gap:shipments:0:1-2", None)) == -1


def test_a_gap_is_read_as_it_was_written():
    assert read_gap(gap_setting(a_gap())) == a_gap()
    assert gap_setting(a_gap()).key == "gap:shipments:0:50-79"
