"""The promise of the book on a real Redis and a real Valkey: every event counts once, whatever is posted again."""

import json
from datetime import UTC, datetime

import pytest

from ledger.book.account import account_of, field_of
from ledger.book.judged import Judged, Unfit
from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.outbox import Outbox
from ledger.book.position import Position
from ledger.book.post import Book
from ledger.book.read import Reader
from ledger.book.setting import Setting
from ledger.digests import digest_of_key
from ledger.errors import LedgerClosed, LedgerError, PositionLost, WrongCall
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.adoption import Closure
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from schemas.rejected_record import FieldError, RejectedRecord
from tests.live_redis.adopting import adopt

PARTITION = "shipments:3"
CAP = 791_600_000
H100 = 15_832
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = load_policy("annual-50k")


def record(offset, event_id, *, quantity=1, country="IN", spaces=0, model="H100 SXM"):
    """A judged record of one H100 line; `spaces` changes its bytes and nothing it says."""
    said = {"id": event_id, "shipped_at": "2026-03-01T00:00:00Z", "destination": country}
    lines = [{"model": model, "vendor": "NVIDIA", "quantity": quantity}]
    value = json.dumps(said | {"lines": lines}).encode() + b" " * spaces
    event = read_event(value, default_source="/kafka/shipments")
    return Judged.of(offset, 1_770_000_000_000 + offset, value, (), event=event, judged=assess(event, POLICY))


def unfit(offset):
    return Unfit(offset, 1_770_000_000_000, RejectedRecord([FieldError("not_json", "", "no")]))


class Desk:
    """A book on one ledger, with a rejects topic that is a list."""

    def __init__(self, redis, ledger):
        self.redis, self.ledger, self.keys, self.parked = redis, ledger, Keys(ledger), []
        self.rules = None
        self.book = Book(redis, ledger, now=lambda: NOW)
        self.reader = Reader(redis, ledger, now=lambda: NOW)
        self.position = Position(redis, ledger)
        self.outbox = Outbox(redis, ledger, relay="test")

    async def post(self, prev, *items, park=None, partition=PARTITION):
        async def keep(parked):
            self.parked += parked

        return await self.book.post(partition, prev, [(POLICY, items)], rules=self.rules, park=park or keep)

    async def adopt(self, policy=POLICY):
        self.rules = await adopt(self.redis, self.ledger, policy)

    async def posted(self, country="IN"):
        balance = await self.reader.balance(f"country:{country}", "2026")
        return balance.posted_tpp if balance else 0

    async def checkpoint(self):
        return (await self.position.checkpoints([PARTITION]))[PARTITION]

    async def alerts(self):
        return [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in await self.outbox.head(1000)]

    async def kinds(self):
        return [(alert.kind, alert.level) for alert in await self.alerts()]


@pytest.fixture
async def desk(any_redis, ledger):
    desk = Desk(any_redis, ledger)
    await desk.adopt()
    return desk


async def test_a_run_moves_the_balance_and_the_checkpoint_together(desk):
    await desk.post(-1, record(0, "a", quantity=2), record(1, "b", quantity=3), record(2, "c", country="AE"))

    assert await desk.posted("IN") == 5 * H100
    assert await desk.posted("AE") == H100
    assert await desk.checkpoint() == 2


async def test_a_run_that_is_delivered_again_changes_nothing(desk):
    run = record(0, "a"), record(1, "b")
    await desk.post(-1, *run)
    await desk.post(-1, *run)

    assert await desk.posted() == 2 * H100
    assert await desk.checkpoint() == 1
    assert await desk.redis.xlen(desk.keys.journal) == 1


async def test_of_a_run_that_overlaps_the_checkpoint_only_the_rest_is_posted(desk):
    await desk.post(-1, record(0, "a"), record(1, "b"))
    await desk.post(0, record(1, "b"), record(2, "c"))

    assert await desk.posted() == 3 * H100
    assert await desk.checkpoint() == 2


async def test_a_ledger_that_went_back_refuses_a_run_and_writes_nothing(desk):
    await desk.post(-1, record(0, "a"))

    with pytest.raises(PositionLost, match="shipments:3"):
        await desk.post(5, record(6, "b"))

    assert await desk.posted() == H100
    assert await desk.checkpoint() == 0


async def test_an_emptied_redis_refuses_a_run(desk):
    await desk.post(-1, record(0, "a"))
    await desk.redis.delete(desk.keys.meta, desk.keys.ids, desk.keys.balances)

    with pytest.raises(PositionLost):
        await desk.post(0, record(1, "b"))


async def test_the_same_event_at_another_offset_is_dropped(desk):
    await desk.post(-1, record(0, "a"))
    await desk.post(0, record(1, "a"), record(2, "b"))

    assert await desk.posted() == 2 * H100
    assert desk.parked == []


async def test_the_same_event_on_another_partition_is_dropped(desk):
    await desk.post(-1, record(0, "a"))
    await desk.post(-1, record(0, "a"), partition="shipments:4")

    assert await desk.posted() == H100


async def test_the_same_event_in_other_bytes_is_dropped(desk):
    await desk.post(-1, record(0, "a"))
    await desk.post(0, record(1, "a", spaces=3))

    assert await desk.posted() == H100
    assert desk.parked == []


async def test_the_same_event_twice_in_one_run_counts_once(desk):
    await desk.post(-1, record(0, "a"), record(1, "a"), record(2, "a", spaces=1))

    assert await desk.posted() == H100
    assert await desk.checkpoint() == 2


async def test_a_known_id_with_another_quantity_is_parked_as_a_conflict_before_the_checkpoint_passes_it(desk):
    await desk.post(-1, record(0, "a", quantity=1))
    checkpoints_when_parked = []

    async def park(parked):
        checkpoints_when_parked.append(await desk.checkpoint())
        desk.parked += parked

    await desk.post(0, record(1, "a", quantity=2), record(2, "b"), park=park)

    assert [(item.offset, item.rejected.reason) for item in desk.parked] == [(1, "conflict")]
    assert checkpoints_when_parked == [0]
    assert await desk.posted() == 2 * H100
    assert await desk.checkpoint() == 2
    assert ("event.conflict", None) in await desk.kinds()


async def test_a_contradiction_within_one_run_leaves_the_first_and_parks_the_second(desk):
    await desk.post(-1, record(0, "a", quantity=1), record(1, "a", quantity=9), record(2, "b"))

    assert await desk.posted() == 2 * H100
    assert [item.offset for item in desk.parked] == [1]


async def test_every_repeat_of_a_contradicting_record_is_parked(desk):
    await desk.post(-1, record(0, "a", quantity=1))
    await desk.post(0, record(1, "a", quantity=2), record(2, "a", quantity=2))

    assert [item.offset for item in desk.parked] == [1, 2]


async def test_a_conflict_whose_counterpart_is_forgotten_meanwhile_becomes_an_event(desk):
    """Redis may go back between the two calls: what the first was told must still hold at the second."""
    await desk.post(-1, record(0, "a", quantity=1))

    async def forget(parked):
        desk.parked += parked
        await desk.redis.hdel(desk.keys.ids, digest_of_key("/kafka/shipments", "a"))

    await desk.post(0, record(1, "a", quantity=2), park=forget)

    assert await desk.posted() == 3 * H100  # the balance of the forgotten one stayed here; the new one is not lost


async def test_a_conflict_is_parked_again_when_the_worker_dies_between_parking_and_posting(desk):
    await desk.post(-1, record(0, "a", quantity=1))

    async def die(parked):
        desk.parked += parked
        raise SystemExit(9)

    with pytest.raises(SystemExit):
        await desk.post(0, record(1, "a", quantity=2), record(2, "b"), park=die)
    assert await desk.checkpoint() == 0

    await desk.post(0, record(1, "a", quantity=2), record(2, "b"))
    assert [item.offset for item in desk.parked] == [1, 1]
    assert await desk.posted() == 2 * H100


async def test_unfit_records_are_parked_and_hold_up_nobody(desk):
    await desk.post(-1, unfit(0), record(1, "a"), unfit(2))

    assert [item.offset for item in desk.parked] == [0, 2]
    assert await desk.posted() == H100
    assert await desk.checkpoint() == 2
    assert [kind for kind, _ in await desk.kinds()] == ["event.rejected", "event.rejected"]


async def test_when_parking_fails_nothing_moves(desk):
    async def fail(_):
        raise LedgerError("Kafka is away")

    with pytest.raises(LedgerError):
        await desk.post(-1, record(0, "a"), unfit(1), park=fail)

    assert await desk.posted() == 0
    assert await desk.checkpoint() == -1


async def test_a_run_that_is_tried_again_parks_nothing_twice(desk):
    closure = Closure(number=2, policy_id="other", policy_sha256="0" * 64, since=NOW)
    await desk.redis.hset(desk.keys.meta, "adopting", closure.model_dump_json())
    for _ in range(3):
        with pytest.raises(LedgerClosed):
            await desk.post(-1, unfit(0), record(1, "a"))
    await desk.redis.hdel(desk.keys.meta, "adopting")
    await desk.post(-1, unfit(0), record(1, "a"))

    assert [item.offset for item in desk.parked] == [0]


async def test_a_jump_tells_every_level_it_passes_once_and_in_order(desk):
    await desk.post(-1, record(0, "a", quantity=45_500))
    await desk.post(0, record(1, "b", quantity=1))

    assert await desk.kinds() == [("quota.near_cap", 75), ("quota.near_cap", 90)]
    first, second = await desk.alerts()
    assert (first.severity, second.severity) == ("warning", "critical")
    assert first.used_tpp == 45_500 * H100
    assert first.cap_tpp == CAP
    assert first.event_key == "/kafka/shipments#a"
    assert first.incident_key == second.incident_key


async def test_the_event_that_crossed_is_named_even_in_the_middle_of_a_run(desk):
    await desk.post(-1, *(record(n, f"e{n}", quantity=10_000) for n in range(6)))

    told = [(alert.kind, alert.level, alert.event_key[-2:]) for alert in await desk.alerts()]
    assert told == [
        ("quota.near_cap", 75, "e3"),
        ("quota.near_cap", 90, "e4"),
        ("quota.near_cap", 100, "e4"),
        ("quota.exceeded", 100, "e5"),
    ]


async def test_a_replay_after_redis_lost_everything_tells_the_same_alert_ids(desk):
    await desk.post(-1, record(0, "a", quantity=45_500), unfit(1), record(2, "k", country="CN"))
    before = [alert.alert_id for alert in await desk.alerts()]
    await desk.redis.delete(*await desk.redis.keys(desk.keys.pattern))
    await desk.adopt()
    await desk.post(-1, record(0, "a", quantity=45_500), unfit(1), record(2, "k", country="CN"))

    assert [alert.alert_id for alert in await desk.alerts()] == before
    assert len(before) == len(set(before)) >= 4


async def test_the_decision_of_an_event_tells_the_balance_just_before_and_after_it(desk):
    await desk.post(-1, record(0, "a", quantity=1), record(1, "b", quantity=2))
    await desk.post(1, record(2, "c", quantity=4), record(3, "d", country="AE"), record(4, "e", quantity=8))

    decision = await desk.reader.decision("/kafka/shipments", "e")
    assert decision.outcome == "applied"
    (charge,) = decision.charges
    assert (charge.before_tpp, charge.after_tpp, charge.tpp) == (7 * H100, 15 * H100, 8 * H100)
    assert decision.recorded_at == NOW
    assert await desk.reader.decision("/kafka/shipments", "never") is None


async def test_the_decision_of_the_event_that_crossed_shows_its_alerts(desk):
    await desk.post(-1, record(0, "a", quantity=45_500), record(1, "b"))

    decision = await desk.reader.decision("/kafka/shipments", "a")
    assert [alert.level for alert in decision.alerts] == [75, 90]
    assert (await desk.reader.decision("/kafka/shipments", "b")).alerts == []


async def test_a_shipment_of_an_unknown_part_is_held_and_counted_as_such(desk):
    await desk.post(-1, record(0, "a", model="Nobody knows 9000X"), record(1, "b"))

    balance = await desk.reader.balance("country:IN", "2026")
    assert balance.held_lines == 1
    assert balance.posted_tpp == H100
    assert (await desk.reader.decision("/kafka/shipments", "a")).outcome == "held"


async def test_a_full_run_of_a_thousand_records_is_one_entry(desk):
    await desk.post(-1, *(record(n, f"e{n}") for n in range(1000)))

    assert await desk.posted() == 1000 * H100
    assert await desk.redis.xlen(desk.keys.journal) == 1
    decision = await desk.reader.decision("/kafka/shipments", "e999")
    assert decision.charges[0].before_tpp == 999 * H100


async def test_the_journal_keeps_what_unknown_fields_said(desk):
    item = record(0, "a")
    item.value = value = item.value.replace(b'"id"', b'"house_bill": "HB-7", "id"')
    await desk.post(-1, item)

    entry = (await desk.redis.xrange(desk.keys.journal))[0][1]
    from ledger.book.journal import unpack

    (kept,) = unpack(entry[b"chunk1"])
    assert kept.value == value


async def test_the_outbox_lets_go_only_of_what_was_relayed(desk):
    await desk.post(-1, record(0, "a", quantity=45_500))
    entries = await desk.outbox.head(10)

    assert await desk.outbox.remove([b"something else"]) == 0
    assert await desk.outbox.remove([entries[0], b"something else"]) == 1
    assert await desk.outbox.head(10) == entries[1:]


async def test_one_relay_at_a_time_holds_the_lease(desk, any_redis, ledger):
    other = Outbox(any_redis, ledger, relay="other")

    assert await desk.outbox.hold_lease(5)
    assert not await other.hold_lease(5)
    assert await desk.outbox.hold_lease(5)


async def test_another_log_than_the_one_it_was_filled_from_is_refused(desk):
    await desk.position.check_log({"cluster_id": "one", "topic_id:shipments": "t1"})
    await desk.position.check_log({"cluster_id": "one"})

    with pytest.raises(PositionLost, match="topic_id:shipments"):
        await desk.position.check_log({"cluster_id": "one", "topic_id:shipments": "t2"})


@pytest.mark.parametrize(
    ("filled", "said"),
    [({"layout": "0"}, "in layout 0"), ({"cluster_id": "one"}, "before layouts had numbers")],
)
async def test_a_ledger_that_another_version_laid_out_otherwise_is_refused(any_redis, ledger, filled, said):
    await any_redis.hset(Keys(ledger).meta, mapping=filled)

    with pytest.raises(PositionLost, match=f"filled {said}.*QUOTA_LEDGER"):
        await Position(any_redis, ledger).check_log({"cluster_id": "one"})


async def test_a_redis_that_may_evict_keys_is_refused(desk, any_redis):
    await desk.position.check_redis()
    await any_redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(WrongCall, match="noeviction"):
            await desk.position.check_redis()
    finally:
        await any_redis.config_set("maxmemory-policy", "noeviction")


async def test_lag_counts_what_is_on_the_topic_and_not_settled(desk):
    await desk.post(-1, record(0, "a"))
    await desk.position.note_ends({PARTITION: 4, "shipments:5": 2}, NOW)

    freshness = await desk.reader.freshness()
    assert freshness.lag_records == 3 + 2
    assert freshness.applied_at == NOW


async def test_the_record_of_an_account_can_be_read_back(desk):
    await desk.post(-1, record(0, "a", quantity=45_500))

    text = await desk.redis.hget(desk.keys.balances, field_of("country:IN", "2026"))
    balance = account_of("country:IN|2026", text)
    assert balance.to_record() == text
    assert sorted(balance.crossed) == [75, 90]
    assert balance.last_posted_at == NOW


async def test_settings_that_are_none_of_ours_are_passed_over(desk, any_redis, ledger):
    kept = KeptSettings(any_redis, ledger)
    odd = [
        Setting("webhook:wh_1", b"\xff\xfe"),
        Setting("webhook:wh_2", b"[1]"),
        Setting("policy:2", b"{}"),
        Setting("elsewhere", None),
        Setting("webhook:wh_3", b'{"id": "wh_3"}'),
    ]
    assert await kept.keep("settings:0", -1, 5, odd) == 5
    for offset, value in enumerate((None, b"", b"\xff", b"[1]", b"{}", b'{"document": {}}'), start=6):
        assert await kept.keep("settings:0", offset - 1, offset, [Setting("policy:00002", value)]) == offset

    assert list(await any_redis.hgetall(desk.keys.webhooks)) == [b"wh_3"]
    assert (await kept.policy()).sha256 == POLICY.sha256
