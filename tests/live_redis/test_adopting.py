"""Adopting on a real Redis: the ledger is closed meanwhile, each record keeps the policy of its time, all are measured
by the one in force, and what is told is told once however often it happens.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book.account import account_of
from ledger.book.adopted import Adopted
from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.outbox import Outbox
from ledger.book.position import Position
from ledger.book.post import Book
from ledger.book.read import Reader
from ledger.book.setting import Setting, adoption, given_up
from ledger.errors import LedgerClosed, LedgerError, PolicyChanged, PositionLost
from ledger.policy import load_policy
from ledger.rules.alerts import alert_id
from ledger.rules.levels import Limits, measure_anew, quiet_range, settle
from schemas.adoption import Closure
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from streams.api.answers import assessment_of, quota_list, quota_of
from streams.debit_shipments import debit_shipments, judge
from streams.kafka.run import Run
from tests.builders import on
from tests.live_redis.adopting import ADOPTED_AT, PLACE, adopt, keep, variant
from tests.live_redis.booking import levels_misjudged

H100 = 15_832
CAP = 791_600_000
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANNUAL = load_policy("annual-50k")
LOW = variant(ANNUAL, "low", caps={"IN": 1000 * H100})
HIGH = variant(ANNUAL, "high", caps={"IN": 100_000 * H100})
SAME = variant(ANNUAL, "same", title="The same limits under another name")
SPAN = load_policy("diffusion-2025")
LINE = {"vendor": "NVIDIA", "model": "H100 SXM"}
TOPIC = "shipments"
PARTITION = "shipments:0"


@dataclass
class Record:
    """A record as the transport hands it over."""

    offset: int
    value: bytes
    timestamp: int = 1_810_000_000_000
    key: bytes | None = None
    headers: tuple = ()


class Desk:
    """One worker of a ledger: a log in a list, the agent that debits it, and what came of it."""

    def __init__(self, redis, ledger):
        self.redis, self.ledger, self.keys = redis, ledger, Keys(ledger)
        self.kept = KeptSettings(redis, ledger)
        self.position = Position(redis, ledger)
        self.reader = Reader(redis, ledger, now=lambda: NOW)
        self.outbox = Outbox(redis, ledger, relay="test")
        self.log, self.decisions, self.parked = [], [], []
        self.start()

    def start(self):
        """A worker that has just begun."""
        self.known, self.judged_anew = None, 0
        self.debit = debit_shipments(
            Book(self.redis, self.ledger, now=lambda: NOW),
            self,
            send_rejects=lambda parked: self.parked.extend(parked) or len(self.parked),
            on_alerts=lambda: None,
        )

    async def rules(self):
        if self.known is None:
            self.known = await self.kept.adopted.rules()
        return self.known

    def forget_rules(self):
        self.known = None
        self.judged_anew += 1

    def produce(self, *quantities, country="IN", **more):
        for quantity in quantities:
            self.say(**{"destination": country, "lines": [LINE | {"quantity": quantity}]} | more)

    def say(self, **said):
        event = {"id": f"e{len(self.log)}", "shipped_at": on("2026-03-01"), "destination": "IN"} | said
        self.log.append(Record(len(self.log), json.dumps(event).encode()))

    async def settle(self, *, runs_of=1000):
        """Debit all of the log that is not settled yet."""
        prev = (await self.position.checkpoints([PARTITION]))[PARTITION]
        for start in range(prev + 1, len(self.log), runs_of):
            records = self.log[start : start + runs_of]
            await self.debit(Run(TOPIC, 0, records[0].offset - 1, records))

    async def ship(self, *quantities, **more):
        self.produce(*quantities, **more)
        await self.settle()

    async def adopt(self, policy, *, hours=0, **more):
        """Adopt from the end of the log on, some hours after the first."""
        number = len(self.decisions) + 1
        begins = {PARTITION: len(self.log)} if self.decisions else {}
        at = ADOPTED_AT + timedelta(hours=hours or number)
        setting = adoption(policy, number, begins=begins, adopted_at=at, token="t", **more)
        await self.decide(setting)

    async def decide(self, setting):
        self.decisions.append(setting)
        await keep(self.redis, self.ledger, setting)

    async def lose_redis(self):
        """Redis is emptied; a worker starts and keeps the settings first."""
        await self.redis.delete(*await self.redis.keys(self.keys.pattern))
        self.start()
        await keep(self.redis, self.ledger, *self.decisions)

    async def alerts(self):
        return [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in await self.outbox.head(10_000)]

    async def told(self, since=0):
        """(kind, level) of the alerts, but for adoptions."""
        return [(one.kind, one.level) for one in (await self.alerts())[since:] if one.kind != "policy.adopted"]

    async def ids(self):
        return [alert.alert_id for alert in await self.alerts()]

    async def balance(self, account="country:IN", period="2026"):
        return await self.reader.balance(account, period)

    async def balances(self):
        """Amounts and levels by account, without the times of posting."""
        found = {}
        for name, record in (await self.redis.hgetall(self.keys.balances)).items():
            balance = account_of(name, record)
            crossed = sorted(level for level, mark in balance.marks.items() if mark.crossed_at)
            amounts = (balance.posted_tpp, balance.reserved_tpp, balance.held_lines)
            found[name.decode()] = (*amounts, crossed, balance.quiet)
        return found

    async def standing(self):
        """The ids of what was told and holds now: adoptions, and the last word on each level that stands crossed."""
        found = {}
        for alert in await self.alerts():
            if alert.kind == "policy.adopted":
                found[alert.alert_id] = alert.alert_id
            elif alert.kind in ("quota.near_cap", "quota.exceeded"):
                mark = "over" if alert.kind == "quota.exceeded" else str(alert.level)
                marks = (await self.balance(alert.account, alert.period)).marks
                if mark in marks and marks[mark].crossed_at:
                    found[alert.account, alert.period, mark] = alert.alert_id
        return set(found.values())

    async def policy_of(self, number):
        """The policy under which an event was decided."""
        return (await self.reader.decision("/kafka/shipments", f"e{number}")).policy_id


@pytest.fixture
async def desk(any_redis, ledger):
    """Whatever was adopted, all levels are noted in the end as they are by the policy in force."""
    desk = Desk(any_redis, ledger)
    await desk.adopt(ANNUAL)
    yield desk
    assert await levels_misjudged(any_redis, ledger, await Adopted(any_redis, ledger).rules()) == []


def closure(policy=LOW, number=2):
    return Closure(number=number, policy_id=policy.id, policy_sha256=policy.sha256, since=NOW)


# ----------------------------------------------------------------------------------------------- Closed, and open again


async def test_a_closed_ledger_takes_no_run_and_says_what_it_waits_for(desk):
    await desk.kept.close(closure())

    with pytest.raises(LedgerClosed, match=r"since 2026-11-22 12:00:00 UTC for the adoption of low .*--abort"):
        await desk.ship(1)
    assert await desk.balance() is None
    assert await desk.reader.closure() == closure()


async def test_an_adoption_opens_the_ledger_and_a_worker_judges_by_the_new_policy_what_waited_from_there_on(desk):
    await desk.ship(1)
    await desk.kept.close(closure())
    await desk.adopt(LOW)
    await desk.ship(2)

    assert await desk.reader.closure() is None
    assert [await desk.policy_of(number) for number in (0, 1)] == ["annual-50k", "low"]
    assert desk.judged_anew == 1
    assert (await desk.reader.policy()).id == "low"


async def test_a_worker_that_knows_an_older_adoption_only_posts_nothing(desk):
    rules = await desk.rules()
    await desk.adopt(SAME)
    desk.produce(1)
    book = Book(desk.redis, desk.ledger, now=lambda: NOW)

    with pytest.raises(PolicyChanged):
        await book.post(PARTITION, -1, [(ANNUAL, judge(Run(TOPIC, 0, -1, desk.log), ANNUAL))], rules=rules, park=None)
    assert await desk.balance() is None


async def test_a_policy_that_ruled_before_and_rules_again_is_another_adoption_to_a_worker(desk):
    """A, B, A: the SHA-256 that a worker knows is in force again, and yet the records between were B's."""
    await desk.rules()
    await desk.adopt(LOW)
    desk.produce(1)
    await desk.adopt(ANNUAL)
    desk.produce(1)
    await desk.settle()

    assert desk.judged_anew == 1
    assert [await desk.policy_of(number) for number in (0, 1)] == ["low", "annual-50k"]


async def test_adoptions_that_are_read_while_redis_goes_back_are_not_taken_for_the_newest(desk, monkeypatch):
    """Half read before and half after it, the newest would be remembered without its policy, for good."""
    await desk.adopt(LOW)
    adopted, now = Adopted(desk.redis, desk.ledger), await desk.redis.hmget(desk.keys.meta, ["adoption", "policy"])
    before, low = ["1", ANNUAL.sha256], await desk.redis.hget(desk.keys.adoptions, "2")
    asked = desk.redis.hmget

    async def go_back_after(*args):
        answer = await asked(*args)
        await desk.redis.hset(desk.keys.meta, mapping=dict(zip(("adoption", "policy"), before, strict=True)))
        await desk.redis.hdel(desk.keys.adoptions, "2")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(desk.redis, "hmget", go_back_after)
        await adopted.rules()
    await desk.redis.hset(desk.keys.adoptions, "2", low)
    await desk.redis.hset(desk.keys.meta, mapping=dict(zip(("adoption", "policy"), now, strict=True)))

    assert [one.number for one in (await adopted.rules()).adoptions] == [1, 2]


async def test_adoptions_that_several_ask_for_at_once_are_read_by_one_for_all(desk):
    adopted = Adopted(desk.redis, desk.ledger)

    assert len({id(rules) for rules in await asyncio.gather(*(adopted.rules() for _ in range(8)))}) == 1


async def test_closing_a_closed_ledger_leaves_it_closed_for_what_it_was(desk):
    assert await desk.kept.close(closure(LOW)) == closure(LOW)
    assert await desk.kept.close(closure(HIGH)) == closure(LOW)


async def test_a_ledger_cannot_be_closed_for_an_adoption_that_is_decided_on_or_not_next(desk):
    for number in (1, 3):
        assert await desk.kept.close(closure(number=number)) is None
    await desk.ship(1)


async def test_an_adoption_that_is_given_up_opens_the_ledger_under_the_policy_before(desk):
    await desk.kept.close(closure())
    await desk.decide(given_up(2, given_up_at=NOW, token="a"))
    await desk.ship(1)

    assert await desk.policy_of(0) == "annual-50k"
    assert [one.kind for one in await desk.alerts()] == []
    assert [one.number for one in (await desk.reader.rules()).adoptions] == [1]


async def test_of_records_with_one_number_the_first_decides(desk):
    """Two commands at once, or one that was given up while it wrote: the topic's order says which counts."""
    begins = {PARTITION: 0}
    late = adoption(HIGH, 2, begins=begins, adopted_at=NOW, token="b")
    await desk.decide(adoption(LOW, 2, begins=begins, adopted_at=NOW, token="a"))
    await desk.decide(late)
    await desk.decide(given_up(2, given_up_at=NOW, token="c"))
    await desk.decide(given_up(3, given_up_at=NOW, token="d"))
    await desk.decide(adoption(HIGH, 3, begins=begins, adopted_at=NOW, token="e"))
    before = await desk.ids()

    assert (await desk.reader.policy()).id == "low"
    await desk.lose_redis()
    assert (await desk.reader.policy()).id == "low"
    assert await desk.ids() == before
    assert len(before) == 1


async def test_records_of_one_number_do_not_share_a_key_lest_compaction_leaves_the_last():
    first, other = (adoption(LOW, 2, begins={}, adopted_at=NOW, token=token) for token in "ab")
    assert first.key.startswith("policy:00002")
    assert len({first.key, other.key, given_up(2, given_up_at=NOW, token="c").key}) == 3


async def test_an_adoption_whose_predecessor_is_missing_stops_the_worker(desk):
    with pytest.raises(LedgerError, match="after adoption 1 comes 3"):
        await adopt(desk.redis, desk.ledger, LOW, number=3)


async def test_an_emptied_redis_is_told_from_a_missing_record(desk):
    await desk.redis.delete(*await desk.redis.keys(desk.keys.pattern))

    with pytest.raises(PositionLost, match="7 was delivered before, the checkpoint is -1"):
        await desk.kept.keep(PLACE, 7, 8, [adoption(LOW, 2, begins={}, adopted_at=NOW, token="t")])


async def test_a_decision_that_lies_behind_the_checkpoint_and_was_never_taken_over_is(desk):
    """A Redis that another version filled may know the record's place and not what it decides."""
    await desk.redis.hset(desk.keys.meta, f"checkpoint:{PLACE}", 5)
    checkpoint = await desk.kept.keep(PLACE, -1, 1, [adoption(LOW, 2, begins={}, adopted_at=NOW, token="t")])

    assert checkpoint == 5
    assert (await desk.reader.policy()).id == "low"


async def test_a_policy_that_this_version_cannot_read_stops_the_worker_and_is_not_passed_over(desk):
    good = adoption(LOW, 2, begins={}, adopted_at=NOW, token="t")
    told = json.loads(good.value)
    unknown = told["document"] | {"policy": told["document"]["policy"] | {"moons": 3}}
    for document in (unknown, ANNUAL.document()):
        with pytest.raises(LedgerError, match="policy:00002:t"):
            await keep(desk.redis, desk.ledger, Setting(good.key, json.dumps(told | {"document": document}).encode()))
    assert (await desk.reader.policy()).id == "annual-50k"


async def test_an_adoption_is_kept_once_whoever_keeps_it(desk):
    """The command and a worker's agent keep the same record; each says where it stood before."""
    desk.produce(800)
    await desk.settle()
    setting = adoption(LOW, 2, begins={PARTITION: 1}, adopted_at=NOW, token="t")
    first = await desk.kept.keep(PLACE, 0, 1, [setting])
    after = await desk.ids(), await desk.balances()
    again = await KeptSettings(desk.redis, desk.ledger).keep(PLACE, 0, 1, [setting])

    assert (first, again) == (1, 1)
    assert (await desk.ids(), await desk.balances()) == after
    with pytest.raises(PositionLost):
        await desk.kept.keep(PLACE, 5, 6, [setting])


# ------------------------------------------------------------------------------------------- Redis forgot it was closed


async def test_an_adoption_that_comes_after_its_first_record_was_settled_under_another_policy_stops_everything(desk):
    await desk.kept.close(closure())
    await desk.redis.hdel(desk.keys.meta, "adopting")  # Redis lost its last second
    await desk.ship(1, 2, 3)
    late = adoption(LOW, 2, begins={PARTITION: 1}, adopted_at=NOW, token="t")

    for _ in range(2):
        with pytest.raises(
            PositionLost, match=r"adoption 2 rules shipments:0 from offset 1, .* settled offset 2"
        ) as told:
            await keep(desk.redis, desk.ledger, late)
        assert f"Delete the keys {desk.keys.pattern}" in str(told.value)
    with pytest.raises(LedgerClosed):
        await desk.ship(4)
    assert (await desk.reader.policy()).id == "annual-50k"

    desk.decisions.append(late)
    await desk.lose_redis()
    await desk.settle()
    assert [await desk.policy_of(number) for number in range(4)] == ["annual-50k", "low", "low", "low"]


async def test_a_partition_that_the_adoption_does_not_name_is_ruled_from_its_beginning(desk):
    desk.produce(1)
    await desk.debit(Run(TOPIC, 7, -1, desk.log[:1]))
    with pytest.raises(PositionLost, match="rules shipments:7 from offset 0"):
        await adopt(desk.redis, desk.ledger, LOW, begins={PARTITION: 0})


async def test_an_adoption_may_come_although_redis_forgot_that_it_was_closed_while_nothing_was_posted(desk):
    await desk.ship(1)
    await desk.kept.close(closure())
    await desk.redis.hdel(desk.keys.meta, "adopting")
    await desk.adopt(LOW)

    assert (await desk.reader.policy()).id == "low"


async def test_accounts_that_move_while_they_are_measured_are_measured_again(desk, monkeypatch):
    """Redis forgets that it is closed just then, and a worker posts: the call that opens notices."""
    await desk.ship(700)
    measure, moved = KeptSettings._change_by, []

    async def measure_and_move(kept, made, timestamp_ms):
        change = await measure(kept, made, timestamp_ms)
        if len(moved) < 2:
            await desk.redis.hdel(desk.keys.meta, "adopting")
            moved.append(await desk.ship(100, country="IN" if moved else "AE"))
        return change

    monkeypatch.setattr(KeptSettings, "_change_by", measure_and_move)
    desk.decisions.append(adoption(LOW, 2, begins={PARTITION: 3}, adopted_at=NOW, token="t"))
    await keep(desk.redis, desk.ledger, desk.decisions[-1])

    assert len(moved) == 2
    assert await desk.told() == [("quota.near_cap", 75)]
    assert (await desk.balance()).posted_tpp == 800 * H100


async def test_a_record_that_is_not_what_was_measured_is_never_written_over(desk, monkeypatch):
    """Redis went back and forth again: as many postings, and another balance."""
    await desk.ship(700)
    measure, field, moved = KeptSettings._change_by, "country:IN|2026", []

    async def measure_and_exchange(kept, made, timestamp_ms):
        change = await measure(kept, made, timestamp_ms)
        if not moved:
            moved.append(await desk.redis.hget(desk.keys.balances, field))
            other = moved[0].replace(str(700 * H100).encode(), str(800 * H100).encode())
            await desk.redis.hset(desk.keys.balances, field, other)
        return change

    monkeypatch.setattr(KeptSettings, "_change_by", measure_and_exchange)
    await desk.adopt(LOW)

    assert moved
    assert (await desk.balance()).posted_tpp == 800 * H100
    assert await desk.told() == [("quota.near_cap", 75)]


# ----------------------------------------------------------------------------------------- Measured by what is in force


async def test_a_lower_cap_tells_at_once_which_levels_are_reached_under_it(desk):
    await desk.ship(950)
    await desk.adopt(LOW, actor="eve", reason="a new agreement")

    adopted, *crossings = await desk.alerts()
    assert (adopted.kind, adopted.severity, adopted.policy_id) == ("policy.adopted", "info", "low")
    assert adopted.evidence == {
        "number": 2,
        "from": {PARTITION: 1},
        "before": {"policy_id": "annual-50k", "policy_sha256": ANNUAL.sha256},
        "actor": "eve",
        "reason": "a new agreement",
    }
    assert [(one.kind, one.level, one.used_tpp, one.cap_tpp) for one in crossings] == [
        ("quota.near_cap", 75, 950 * H100, 1000 * H100),
        ("quota.near_cap", 90, 950 * H100, 1000 * H100),
    ]
    for one in (adopted, *crossings):
        assert one.event_key is None
        assert one.occurred_at == one.recorded_at == ADOPTED_AT + timedelta(hours=2)
        assert one.policy_sha256 == LOW.sha256
    assert [(one.country, one.tier, one.account) for one in crossings] == [("IN", 2, "country:IN")] * 2
    assert sorted((await desk.balance()).crossed) == [75, 90]


async def test_an_account_of_a_past_period_is_told_with_the_tier_of_that_period(desk):
    stated = {"countries": ["DE"], "tier": 2, "valid_to": "2025-12-31", "reason": "as it was", "source": "S1"}
    tiers = [*ANNUAL.document()["policy"]["tiers"], stated]
    await desk.ship(950, country="DE", shipped_at=on("2025-06-01"))
    await desk.adopt(variant(ANNUAL, "as-it-was", caps={"DE": 1000 * H100}, tiers=tiers))

    assert [(one.period, one.level, one.tier) for one in (await desk.alerts())[1:]] == [
        ("2025", 75, 2),
        ("2025", 90, 2),
    ]


async def test_the_next_levels_are_told_as_under_the_new_cap_from_the_beginning(desk):
    await desk.ship(950)
    await desk.adopt(LOW)
    await desk.ship(49, 1, 1)

    assert await desk.told() == [
        ("quota.near_cap", 75),
        ("quota.near_cap", 90),
        ("quota.near_cap", 100),
        ("quota.exceeded", 100),
    ]


async def test_a_higher_cap_ends_what_was_told_under_the_lower_one_before_it_tells_what_is_reached(desk):
    await desk.ship(49_000)
    before = len(await desk.alerts())
    await desk.adopt(variant(ANNUAL, "a-little-higher", caps={"IN": 60_000 * H100}))

    recovered, near = (await desk.alerts())[before + 1 :]
    assert (recovered.kind, recovered.level, recovered.severity) == ("quota.recovered", 90, "info")
    assert (near.kind, near.level, near.cap_tpp) == ("quota.near_cap", 75, 60_000 * H100)
    assert recovered.incident_key == near.incident_key


async def test_a_recovery_by_an_adoption_is_another_than_one_under_the_new_limits(desk):
    """It ends what was told under the limits before; a level that is reached and left under the new ones is news."""
    await desk.ship(49_000)
    before = await desk.rules()
    await desk.adopt(HIGH)
    (recovered,) = [one for one in await desk.alerts() if one.kind == "quota.recovered"]
    after = await desk.kept.adopted.rules()
    ids = {
        rules: alert_id(
            "quota.recovered", "country:IN", "2026", 90, rules.measured_since("country:IN", "2026", date.max), 1
        )
        for rules in (before, after)
    }

    assert recovered.alert_id == ids[before] != ids[after]


async def test_a_policy_that_leaves_an_accounts_limits_tells_nothing_of_it_and_touches_nothing(desk):
    await desk.ship(49_000)
    before = await desk.redis.hgetall(desk.keys.balances), await desk.told()
    await desk.adopt(SAME)
    await desk.adopt(variant(SAME, "others", caps={"AE": 5}))

    assert (await desk.redis.hgetall(desk.keys.balances), await desk.told()) == before
    await desk.ship(1001)
    assert [level for _, level in await desk.told()] == [75, 90, 100, 100]


async def test_other_levels_arm_all_anew(desk):
    await desk.ship(49_000)
    before = len(await desk.alerts())
    await desk.adopt(variant(ANNUAL, "levels", levels=[80, 98, 99]))

    assert await desk.told(before) == [("quota.near_cap", 80), ("quota.near_cap", 98)]
    assert len(set(await desk.ids())) == before + 3


async def test_a_to_b_to_a_tells_each_time_under_ids_of_its_own(desk):
    await desk.ship(49_000)
    for policy in (HIGH, ANNUAL, HIGH, ANNUAL):
        await desk.adopt(policy)
    alerts, ids = await desk.alerts(), await desk.ids()

    kinds = [(one.kind, one.level) for one in alerts]
    again = [("policy.adopted", None), ("quota.recovered", 90), ("policy.adopted", None)]
    near = [("quota.near_cap", 75), ("quota.near_cap", 90)]
    assert kinds == [*near, *again, *near, *again, *near]
    assert len(set(ids)) == len(ids)


async def test_the_same_levels_bear_the_same_ids_whichever_adoptions_without_effect_came_between(desk):
    await desk.ship(49_000)
    plain = await desk.ids()
    await desk.redis.delete(*await desk.redis.keys(desk.keys.pattern))
    desk.decisions.clear()
    desk.start()
    for policy in (ANNUAL, SAME, ANNUAL):
        await desk.adopt(policy)
    await desk.settle()

    assert [one.alert_id for one in await desk.alerts() if one.kind == "quota.near_cap"] == plain


async def test_a_crossing_bears_the_policy_in_force_and_the_record_its_own(desk):
    desk.produce(950)
    await desk.adopt(LOW)
    await desk.settle()

    assert await desk.policy_of(0) == "annual-50k"
    crossings = [one for one in await desk.alerts() if one.kind == "quota.near_cap"]
    assert [(one.policy_id, one.level, one.event_key) for one in crossings] == [
        ("low", 75, "/kafka/shipments#e0"),
        ("low", 90, "/kafka/shipments#e0"),
    ]


async def test_an_assessment_foresees_alerts_under_the_ids_that_they_will_have(desk):
    await desk.adopt(SAME)
    desk.produce(49_000)
    event = read_event(desk.log[-1].value, default_source="/kafka/shipments")
    foreseen = await assessment_of(desk.reader, event, await desk.reader.policy(), NOW)
    await desk.settle()

    told = [one.alert_id for one in await desk.alerts() if one.kind.startswith("quota.")]
    assert [one.alert_id for one in foreseen.alerts] == told
    assert len(told) == 2


async def test_under_another_policy_only_what_the_event_itself_would_cross_is_foreseen(desk):
    await desk.adopt(variant(ANNUAL, "levels", levels=[50]))
    await desk.ship(40_000)
    desk.produce(5000)
    event = read_event(desk.log[-1].value, default_source="/kafka/shipments")
    foreseen = await assessment_of(desk.reader, event, ANNUAL, NOW)

    assert [(one.kind, one.level, one.policy_id) for one in foreseen.alerts] == [("quota.near_cap", 90, "annual-50k")]


# -------------------------------------------------------------------------------------------------------- Other periods


async def test_when_periods_change_what_is_booked_stays_in_its_period_and_is_measured_no_more(desk):
    await desk.ship(49_000)
    before = len(await desk.alerts())
    await desk.adopt(SPAN)
    await desk.ship(40_000)

    assert (await desk.balance(period="2026")).posted_tpp == 49_000 * H100
    assert (await desk.balance(period="2025-2027")).posted_tpp == 40_000 * H100
    (recovered, *near) = [one for one in (await desk.alerts())[before:] if one.kind.startswith("quota.")]
    assert (recovered.kind, recovered.level, recovered.period, recovered.cap_tpp) == (
        "quota.recovered",
        90,
        "2026",
        None,
    )
    assert "measured by no cap in 2026 any more" in recovered.message
    assert [(one.level, one.period) for one in near] == [(75, "2025-2027")]


async def test_a_late_shipment_of_the_policy_before_is_booked_in_its_old_period_and_tells_nothing(desk):
    await desk.ship(30_000)
    desk.produce(10_000)
    await desk.adopt(SPAN)
    before = len(await desk.alerts())
    await desk.settle()

    assert (await desk.balance(period="2026")).posted_tpp == 40_000 * H100
    assert len(await desk.alerts()) == before


async def test_an_old_period_is_still_answered_under_the_policy_that_counted_by_it(desk):
    await desk.ship(49_000)
    await desk.adopt(SPAN)
    old = await quota_of(desk.reader, "IN", "2026", NOW.date())
    new = await quota_of(desk.reader, "IN", None, NOW.date())
    listed = {item.country: item for item in (await quota_list(desk.reader, "2026", NOW.date())).items}

    assert (old.posted_tpp, old.policy_id, old.cap_tpp) == (49_000 * H100, "annual-50k", CAP)
    assert (new.posted_tpp, new.policy_id, new.period) == (0, "diffusion-2025", "2025-2027")
    assert listed["IN"] == old


async def test_other_meters_are_measured_anew_too_and_shares_of_holdings_are_left(desk):
    consignee = {"consignee": {"id": "lei:1", "country": "IN", "headquarters": "IN"}}
    await desk.adopt(SPAN)
    await desk.ship(1600, authorization={"kind": "lpp"}, **consignee)
    await desk.ship(10, authorization={"kind": "uveu", "holdings_tpp": 100}, **consignee)
    await desk.ship(20, authorization={"kind": "nveu"}, **consignee)
    uveu, nveu = await desk.balance("uveu:lei:1:IN", "total"), await desk.balance("nveu:lei:1:IN", "2027-Q1")
    before = len(await desk.alerts())
    channels = SPAN.document()["policy"]["channels"]
    lower = channels | {"lpp": channels["lpp"] | {"cap_tpp": 25_000_000, "notice_tpp": 1}}
    nveu_caps = [{**cap, "tpp": 1} for cap in channels["nveu"]["caps"]]
    lower |= {"nveu": channels["nveu"] | {"caps": nveu_caps}}
    await desk.adopt(variant(SPAN, "lower", channels=lower))

    told = [(one.kind, one.account, one.period) for one in (await desk.alerts())[before + 1 :]]
    assert told == [
        ("lpp.near_limit", "lpp:lei:1", "2026"),
        ("lpp.exceeded", "lpp:lei:1", "2026"),
        ("nveu.exceeded", "nveu:lei:1:IN", "2026-Q1"),
    ]
    assert await desk.balance("uveu:lei:1:IN", "total") == uveu
    assert await desk.balance("nveu:lei:1:IN", "2027-Q1") == nveu
    await desk.ship(1, shipped_at=on("2027-02-01"), authorization={"kind": "nveu"}, **consignee)
    assert [(one.kind, one.period) for one in (await desk.alerts())[-1:]] == [("nveu.exceeded", "2027-Q1")]


# -------------------------------------------------------------------------------------- Families and their reservations


async def test_what_is_only_reserved_is_measured_anew_too(desk):
    counted = variant(ANNUAL, "counted", reserved_counts=True)
    await desk.adopt(counted)
    await desk.ship(49_000, type="shipment.reserved")
    before = len(await desk.alerts())
    await desk.adopt(variant(counted, "lower", caps={"IN": 49_000 * H100}))

    assert [(one.kind, one.level) for one in (await desk.alerts())[before + 1 :]] == [
        ("quota.near_cap", 75),
        ("quota.near_cap", 90),
        ("quota.near_cap", 100),
    ]
    await desk.ship(1, type="shipment.reserved")
    assert (await desk.alerts())[-1].kind == "quota.exceeded"


async def test_an_uncapped_account_is_alike_under_all_policies(desk):
    await desk.ship(10, country="US")
    before = await desk.redis.hgetall(desk.keys.balances)
    await desk.adopt(variant(ANNUAL, "counted", reserved_counts=True, levels=[50]))

    assert await desk.redis.hgetall(desk.keys.balances) == before


async def test_a_return_takes_back_what_was_booked_under_the_policy_before_and_a_correction_is_charged_by_its_own(desk):
    """Each event of a family keeps the policy of its own time, when it is settled again, and when Redis is filled."""
    for _ in range(2):
        desk.produce(1000)
    await desk.settle()
    await desk.adopt(SPAN)
    desk.say(type="shipment.returned", original_id="e0", lines=[LINE | {"quantity": 400}])
    desk.say(type="shipment.corrected", original_id="e1", time=on("2026-04-01"), lines=[LINE | {"quantity": 700}])
    await desk.settle()
    booked = {("2026", 600 * H100), ("2025-2027", 700 * H100)}

    assert {(period, (await desk.balance(period=period)).posted_tpp) for period, _ in booked} == booked
    await desk.adopt(ANNUAL)
    desk.say(type="shipment.cancelled", original_id="e1")
    await desk.settle()
    assert (await desk.balance(period="2025-2027")).posted_tpp == 0
    assert (await desk.balance(period="2026")).posted_tpp == 600 * H100
    balances = await desk.balances()
    for runs_of in (1, 1000):
        await desk.lose_redis()
        await desk.settle(runs_of=runs_of)
        assert await desk.balances() == balances


async def test_time_waits_while_the_ledger_is_closed(desk):
    await desk.ship(10, type="shipment.reserved", expires_at=on("2026-05-01"))
    await desk.kept.close(closure())
    book, minute = Book(desk.redis, desk.ledger, now=lambda: NOW), int(NOW.timestamp()) // 60

    with pytest.raises(LedgerClosed):
        await book.tick(minute, rules=await desk.rules())
    await desk.adopt(LOW)
    desk.forget_rules()
    await book.tick(minute, rules=await desk.rules())
    await desk.adopt(SAME)

    assert (await desk.balance()).reserved_tpp == 0
    assert (await desk.reader.policy()).id == "same"


# --------------------------------------------------------------------------------------------------- Redis filled again


HISTORIES = {
    "lower": [ANNUAL, 950, LOW, 30, 40],
    "higher": [LOW, 950, HIGH, 80_000, 10_000],
    "without effect": [ANNUAL, 49_000, SAME, 1000, ANNUAL, 1],
    "there and back": [ANNUAL, 49_000, LOW, 1, ANNUAL, 900, 200],
    "other periods": [ANNUAL, 49_000, SPAN, 40_000, ANNUAL, 2000],
    "twice there": [ANNUAL, 49_000, HIGH, ANNUAL, 1, HIGH, 51_000, ANNUAL],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
async def test_a_redis_that_is_filled_again_decides_each_record_under_the_policy_of_its_time(
    any_redis, ledger, history
):
    desk = Desk(any_redis, ledger)
    for step in history:
        await (desk.ship(step) if isinstance(step, int) else desk.adopt(step))
    balances, ids = await desk.balances(), await desk.ids()
    policies = [await desk.policy_of(number) for number in range(len(desk.log))]
    standing = await desk.standing()

    for runs_of in (1, 2, 1000):
        await desk.lose_redis()
        await desk.settle(runs_of=runs_of)

        assert await desk.balances() == balances
        assert [await desk.policy_of(number) for number in range(len(desk.log))] == policies
        assert await desk.ids() == list(dict.fromkeys(await desk.ids()))
        assert set(await desk.ids()) == standing, "what holds now is told, under the ids it has"
    assert len(set(ids)) == len(ids)


async def test_a_run_across_a_boundary_is_cut_there_and_posted_whole(desk):
    await desk.adopt(LOW)
    desk.produce(1, 2, 3)
    await desk.adopt(SAME)
    desk.produce(4, 5)
    await desk.adopt(LOW)
    desk.produce(6)
    await desk.settle()

    entries = await desk.redis.xrange(desk.keys.journal)
    ruled = {LOW.sha256: "low", SAME.sha256: "same"}
    assert [ruled[entry[b"policy"].decode()] for _, entry in entries] == ["low", "same", "low"]
    assert (await desk.balance()).posted_tpp == 21 * H100
    decided = [await desk.policy_of(number) for number in range(6)]
    assert [(name, len(list(group))) for name, group in groupby(decided)] == [("low", 3), ("same", 2), ("low", 1)]


async def test_unfit_records_on_both_sides_of_a_boundary_are_parked_once_though_the_run_is_tried_again(desk):
    desk.produce(1)
    desk.log.append(Record(1, b"not json"))
    await desk.adopt(LOW)
    desk.log.append(Record(2, b"not json either"))
    desk.produce(1)
    book, calls = Book.call, []

    async def close_in_between(self, accounts, arguments):
        calls.append(arguments)
        if len(calls) == 2:
            await desk.kept.close(closure(HIGH, 3))
        return await book(self, accounts, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Book, "call", close_in_between)
        with pytest.raises(LedgerClosed):
            await desk.settle()
        await desk.decide(given_up(3, given_up_at=NOW, token="x"))
        await desk.debit(Run(TOPIC, 0, -1, desk.log))

    assert [value for _, value, _ in desk.parked] == [b"not json", b"not json either"]
    assert (await desk.balance()).posted_tpp == 2 * H100


# ----------------------------------------------------------------------------------------------------------------- Laws

AT = datetime(2026, 5, 1, tzinfo=UTC)
LIMITS = st.builds(
    Limits,
    st.one_of(st.none(), st.integers(0, 1000)),
    st.lists(st.integers(1, 100), min_size=1, max_size=3, unique=True).map(lambda levels: tuple(sorted(levels))),
)


@given(uses=st.lists(st.integers(0, 400), max_size=6), before=LIMITS, after=LIMITS)
def test_measured_anew_an_account_stands_as_if_it_had_always_been_measured_so(uses, before, after):
    """Whatever was told before; for balances that only grow. Quiet ranges follow from the marks."""
    under_before, under_after, used = {}, {}, 0
    for more in uses:
        used += more
        under_before, _ = settle(under_before, before, used, AT)
        under_after, _ = settle(under_after, after, used, AT)
    anew, told = measure_anew(under_before, after, used, AT)
    crossed = {name for name, mark in anew.items() if mark.crossed_at}

    assert crossed == {name for name, mark in under_after.items() if mark.crossed_at}
    assert quiet_range(anew, after) == quiet_range(under_after, after)
    recovered, reached = [[one for one in told if (one.kind == "recovered") is whether] for whether in (True, False)]
    assert len(reached) == len(crossed)
    assert len(recovered) <= 1
    assert all(after.cap_tpp is None or used * 100 <= one.level * after.cap_tpp for one in recovered)
