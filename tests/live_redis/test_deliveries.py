"""From a run of the alerts topic to the receivers: every alert once as a job, at least once as a message."""

import asyncio
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis
from standardwebhooks import Webhook as Verifier

from ledger.book.keys import Keys
from ledger.book.script import connect
from ledger.errors import LedgerUnavailable, PositionLost, WrongCall
from ledger.policy import load_policy
from ledger.rules.alerts import alert_id
from schemas.quota_alert import QuotaAlert
from schemas.webhook import Delivery, WebhookChange, WebhookRequest
from streams.deliver_alerts import ALERTS_A_CALL, DAY_MS, deliver_alerts
from streams.kafka.run import Run
from streams.settings import Settings, environment_of
from streams.webhooks import jobs as jobs_module
from streams.webhooks import sender as sender_module
from streams.webhooks.connect_guard import ConnectGuard, read_allowed
from streams.webhooks.desk import WebhookDesk
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs
from streams.webhooks.schedule import ATTEMPTS_MAX
from streams.webhooks.sender import IN_FLIGHT_EACH, LEASE_S, run_sender
from streams.webhooks.subscription import PublishSetting, SecretBox, StoredSubscription, create, read_record

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LEASE_MS = int(LEASE_S * 1000)
EACH = 100


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int = NOW_MS
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def an_alert(name: str, **changes: Any) -> QuotaAlert:
    given: dict[str, Any] = {
        "alert_id": f"al_{name}",
        "kind": "quota.near_cap",
        "severity": "warning",
        "country": "IN",
        "tier": 2,
        "occurred_at": NOW,
        "recorded_at": NOW,
        "policy_id": "annual-50k",
        "policy_sha256": "0" * 64,
        "incident_key": "country:IN/2026/quota",
        "message": "India has used 75 % of its quota.",
    }
    return QuotaAlert.model_validate(given | changes)


def a_run(*names: str, prev: int = -1, **changes: Any) -> Run:
    records = [
        Record(prev + 1 + number, an_alert(name, **changes).model_dump_json().encode())
        for number, name in enumerate(names)
    ]
    return Run("alerts", 0, prev, records)


async def until(condition: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 20.0) -> Any:
    """Ask until the answer is true."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (said := await condition()):  # noqa: ASYNC110  what is asked lies in Redis
                await asyncio.sleep(0.01)
            return said
    except TimeoutError:
        pytest.fail(f"waited {timeout_s:g} s in vain for {what}")


class Desk:
    """One ledger's deliveries, seen from all sides."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.settings = settings
        self.ledger = settings.ledger
        self.keys = Keys(settings.ledger)
        self.jobs = Jobs(redis, settings.ledger)
        self.feed = Feed(redis, settings.ledger)
        self.box = SecretBox(settings.secret_key)
        self.deliver = deliver_alerts(self.jobs)
        self.published: dict[str, bytes | None] = {}

    async def subscribe(self, url: str = "http://127.0.0.1:9/", **filters: Any) -> tuple[StoredSubscription, str]:
        """A subscription as the worker keeps it in Redis."""
        stored, secret = create(WebhookRequest.model_validate({"url": url} | filters), self.box, now=NOW)
        await self.keep(stored)
        return stored, secret

    async def keep(self, stored: StoredSubscription) -> None:
        await self.redis.hset(self.keys.webhooks, stored.id, stored.to_record())

    async def job_ids(self) -> list[str]:
        return sorted(job.decode() for job in await self.redis.hkeys(self.keys.jobs))

    async def fed_ids(self) -> list[str]:
        """Oldest first."""
        alerts, _ = await self.feed.page(count=1000)
        return [alert.alert_id for alert in reversed(alerts)]

    async def deliveries(self, webhook_id: str | None = None) -> list[Delivery]:
        """Oldest first."""
        logs = [self.keys.deliveries(name) for name in ([webhook_id] if webhook_id else await self.jobs.records())]
        entries = sorted([entry for log in logs for entry in await self.redis.xrange(log)], key=lambda entry: entry[0])
        return [Delivery.model_validate_json(fields[b"delivery"]) for _, fields in entries]

    async def let_time_pass(self, stored: StoredSubscription, milliseconds: int) -> None:
        """Everything of this webhook is due so much earlier."""
        for due in (self.keys.due(stored.id), self.keys.urgent(stored.id)):
            for job, moment in await self.redis.zrange(due, 0, -1, withscores=True):
                await self.redis.zadd(due, {job: moment - milliseconds})

    async def publish_setting(self, key: str, value: bytes | None) -> None:
        self.published[key] = value

    @asynccontextmanager
    async def sending(self, redis: Redis | None = None) -> AsyncIterator[None]:
        """A sender of this process; it must end by itself when it is told to stop."""
        stop = asyncio.Event()
        sender = asyncio.create_task(
            run_sender(self.settings, redis or self.redis, stop, publish_setting=self.publish_setting)
        )
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(sender, 10)


@pytest.fixture
def desk(redis: Redis, make_settings: Callable[..., Settings]) -> Desk:
    return Desk(redis, make_settings(partitions=0))


@dataclass
class Message:
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """A receiver whose paths behave as they are told; it notes every message before it answers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.behaviours: dict[str, Behaviour] = {}
        self.port = 0

    def url(self, path: str, behaviour: Behaviour | None = None) -> str:
        if behaviour is not None:
            self.behaviours[path] = behaviour
        return f"http://127.0.0.1:{self.port}{path}"

    def ids(self, path: str) -> list[str]:
        return [message.headers["webhook-id"] for message in self.messages if message.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.messages.append(Message(request.path, headers, await request.read()))
        behaviour = self.behaviours.get(request.path)
        return web.Response(text="thank you") if behaviour is None else await behaviour(request)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


def answering(status: int, text: str = "", **headers: str) -> Behaviour:
    async def behave(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return behave


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


# ------------------------------------------------------------------------------------------ A run becomes feed and jobs


async def test_a_run_enters_the_feed_and_gives_each_webhook_a_job_for_what_it_asked_for(desk: Desk) -> None:
    all_of_it, _ = await desk.subscribe()
    only_india, _ = await desk.subscribe(countries=["IN"])
    await desk.subscribe(countries=["AE"])
    await desk.subscribe(state="paused")

    await desk.deliver(a_run("1", "2"))

    assert await desk.fed_ids() == ["al_1", "al_2"]
    assert await desk.job_ids() == sorted(f"{hook.id}:al_{n}" for hook in (all_of_it, only_india) for n in (1, 2))
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") == b"1"


async def test_a_repeated_run_and_a_repeated_alert_give_nothing_new(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1", "2"))
    await desk.redis.delete(desk.keys.jobs)  # both are delivered

    await desk.deliver(a_run("1", "2"))
    await desk.deliver(a_run("2", "1", "3", prev=1))

    assert await desk.fed_ids() == ["al_1", "al_2", "al_3"]
    assert await desk.job_ids() == [f"{hook.id}:al_3"]
    assert await desk.redis.hget(desk.keys.sequences, hook.id) == b"3"


async def test_of_a_run_that_is_partly_settled_the_rest_is_taken(desk: Desk) -> None:
    await desk.subscribe()
    await desk.deliver(a_run("1", "2"))

    await desk.deliver(a_run("1", "2", "3"))

    assert await desk.fed_ids() == ["al_1", "al_2", "al_3"]
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") == b"2"


async def test_a_run_longer_than_one_call_is_taken_over_whole_and_in_order(desk: Desk) -> None:
    await desk.subscribe()
    names = [f"{number:03}" for number in range(2 * ALERTS_A_CALL + 1)]

    await desk.deliver(a_run(*names))

    assert await desk.fed_ids() == [f"al_{name}" for name in names]
    assert len(await desk.job_ids()) == len(names)
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") == b"%d" % (len(names) - 1)


async def test_a_ledger_that_forgot_its_position_is_written_nothing_and_the_worker_is_told_to_stop(desk: Desk) -> None:
    await desk.subscribe()

    with pytest.raises(PositionLost) as lost:
        await desk.deliver(a_run("1", prev=4))

    assert lost.value.partition == "alerts:0"
    assert await desk.fed_ids() == []
    assert await desk.job_ids() == []
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") is None


async def test_a_subscription_that_changed_after_it_was_read_is_read_again(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    read = Jobs.known
    changes: Iterator[StoredSubscription] = iter([hook.with_state("paused")])

    class Overtaken(Jobs):
        async def known(self) -> Any:
            before = await read(self)
            if (changed := next(changes, None)) is not None:
                await desk.keep(changed)
            return before

    await deliver_alerts(Overtaken(desk.redis, desk.ledger))(a_run("1"))

    assert await desk.fed_ids() == ["al_1"]
    assert await desk.job_ids() == []


@pytest.mark.parametrize("change", ["came", "went", "changed"])
async def test_nothing_is_written_by_a_choice_among_other_subscriptions(desk: Desk, change: str) -> None:
    hook, _ = await desk.subscribe()
    known = await desk.jobs.known()
    if change == "came":
        await desk.subscribe()
    elif change == "went":
        await desk.redis.hdel(desk.keys.webhooks, hook.id)
    else:
        await desk.keep(hook.with_state("paused"))

    answer = await desk.jobs.take_over(("alerts", 0), prev=-1, last=0, alerts=[], known=known, told_until_ms=None)

    assert answer.status == "changed"
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") is None


async def test_what_is_no_alert_is_passed_over_and_stops_nothing(desk: Desk) -> None:
    good = an_alert("1").model_dump_json().encode()
    values = [b"nonsense", None, b"{}", b"\xff", good]

    await desk.deliver(Run("alerts", 0, -1, [Record(offset, value) for offset, value in enumerate(values)]))

    assert await desk.fed_ids() == ["al_1"]
    assert await desk.redis.hget(desk.keys.meta, "checkpoint:alerts:0") == b"4"


async def test_a_subscription_that_cannot_be_read_stops_nothing(desk: Desk) -> None:
    await desk.redis.hset(desk.keys.webhooks, "wh_odd", b'{"id": "wh_odd"}')
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1"))

    assert await desk.job_ids() == [f"{hook.id}:al_1"]


async def test_a_topic_of_several_partitions_is_refused_for_it_has_no_order(desk: Desk) -> None:
    with pytest.raises(WrongCall, match="several partitions"):
        await desk.deliver(Run("alerts", 1, -1, a_run("1").records))


# ------------------------------------------------------------------------------------------------ After a loss of Redis


def told_earlier(offset: int, *, shipped: timedelta, told: timedelta) -> Record:
    """An alert on a shipment recorded, and told on the topic, so long ago."""
    shipment_ms, told_ms = (NOW_MS - int(ago.total_seconds() * 1000) for ago in (shipped, told))
    value = an_alert(f"{offset}").model_dump_json().encode()
    return Record(offset, value, told_ms, headers=[("shipment-time", b"%d" % shipment_ms)])


async def began_now(desk: Desk) -> None:
    await desk.redis.hset(desk.keys.meta, "began_ms", NOW_MS)


async def test_a_new_ledger_delivers_alerts_on_old_shipments(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await began_now(desk)

    await desk.deliver(Run("alerts", 0, -1, [told_earlier(0, shipped=timedelta(days=300), told=timedelta(seconds=-1))]))

    assert await desk.job_ids() == [f"{hook.id}:al_0"]


async def test_after_a_total_loss_what_was_told_more_than_a_day_ago_enters_the_feed_only(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await began_now(desk)
    hour, minute = timedelta(hours=1), timedelta(minutes=1)

    records = [
        told_earlier(0, shipped=48 * hour, told=47 * hour),
        told_earlier(1, shipped=26 * hour, told=minute),
        told_earlier(2, shipped=23 * hour, told=minute),
        told_earlier(3, shipped=26 * hour, told=-minute),
        told_earlier(4, shipped=hour, told=-minute),
    ]
    for record in records:
        await desk.deliver(Run("alerts", 0, record.offset - 1, [record]))

    assert await desk.fed_ids() == [f"al_{offset}" for offset in range(5)]
    assert await desk.job_ids() == [f"{hook.id}:al_2", f"{hook.id}:al_4"]


async def test_after_a_long_outage_alerts_on_shipments_nobody_had_come_to_are_delivered(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await began_now(desk)
    day = timedelta(days=1)

    records = [
        told_earlier(0, shipped=5 * day, told=5 * day),
        told_earlier(1, shipped=3 * day, told=-timedelta(minutes=1)),
    ]
    await desk.deliver(Run("alerts", 0, -1, records))

    assert await desk.job_ids() == [f"{hook.id}:al_1"]


async def test_only_the_first_worker_says_when_this_redis_began(desk: Desk) -> None:
    await desk.jobs.begin()
    first = await desk.redis.hget(desk.keys.meta, "began_ms")
    await asyncio.sleep(0.002)

    await desk.jobs.begin()

    assert abs(int(first or 0) - datetime.now(UTC).timestamp() * 1000) < DAY_MS
    assert await desk.redis.hget(desk.keys.meta, "began_ms") == first


# --------------------------------------------------------------------------------------------------------------- Leases


async def claim(desk: Desk, hook: StoredSubscription, *, now_ms: int, count: int = EACH) -> list[Any]:
    return await desk.jobs.claim({hook.id: EACH}, count=count, now_ms=now_ms, lease_ms=LEASE_MS)


def an_attempt(job: Any) -> Delivery:
    return Delivery(
        delivery_id=job.job_id, webhook_id=job.webhook_id, alert_id=job.alert_id, sequence=job.sequence, attempt=1,
        at=NOW, outcome="failed", status=500, latency_ms=1, answer="", error=None, next_at=None,
    )  # fmt: skip


async def test_a_leased_job_is_nobody_elses_until_its_lease_ends(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1"))
    now_ms = await desk.jobs.now_ms() + 1

    [first] = await claim(desk, hook, now_ms=now_ms)

    assert await claim(desk, hook, now_ms=now_ms + LEASE_MS - 1) == []
    [second] = await claim(desk, hook, now_ms=now_ms + LEASE_MS)
    assert (first.alert_id, first.sequence, first.alert) == (second.alert_id, second.sequence, second.alert)


async def test_a_sender_that_comes_back_late_cannot_undo_what_another_noted(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1"))
    now_ms = await desk.jobs.now_ms() + 1
    [late] = await claim(desk, hook, now_ms=now_ms)
    [other] = await claim(desk, hook, now_ms=now_ms + LEASE_MS)

    assert await desk.jobs.note(late, an_attempt(late), next_ms=None) is False
    assert await desk.job_ids() == [other.job_id]
    assert await desk.jobs.note(other, an_attempt(other), next_ms=None, success_ms=now_ms) is True
    assert await desk.jobs.note(late, an_attempt(late), next_ms=now_ms) is False
    assert await desk.job_ids() == []
    assert len(await desk.deliveries()) == 3


async def test_jobs_are_claimed_in_the_order_of_the_topic_and_no_more_than_asked_for(desk: Desk) -> None:
    first, _ = await desk.subscribe()
    second, _ = await desk.subscribe()
    await desk.deliver(a_run(*(f"{number:02}" for number in range(9, -1, -1))))
    now_ms = await desk.jobs.now_ms() + 1

    leased = await desk.jobs.claim({first.id: 3, second.id: 9}, count=5, now_ms=now_ms, lease_ms=LEASE_MS)

    assert [(job.webhook_id, job.alert_id, job.sequence) for job in leased] == [
        (first.id, "al_09", 1),
        (first.id, "al_08", 2),
        (first.id, "al_07", 3),
        (second.id, "al_09", 1),
        (second.id, "al_08", 2),
    ]


@pytest.mark.parametrize("kind", ["tier3.shipment", "hq.tier3", "ascend.detected"])
async def test_a_storm_of_other_alerts_does_not_delay_tier_3_and_ascend(desk: Desk, kind: str) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run(*(f"{number:02}" for number in range(50))))
    await desk.deliver(a_run("first", "second", prev=49, kind=kind, severity="info"))

    leased = await claim(desk, hook, now_ms=await desk.jobs.now_ms() + 1, count=4)

    assert [job.alert_id for job in leased] == ["al_first", "al_second", "al_00", "al_01"]


@pytest.mark.parametrize("left_by", ["a failure", "a sender that died"])
async def test_nor_does_a_storm_that_came_meanwhile_when_they_are_tried_again(desk: Desk, left_by: str) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("tier3", kind="tier3.shipment"))
    now_ms = await desk.jobs.now_ms()
    [job] = await claim(desk, hook, now_ms=now_ms)
    if left_by == "a failure":
        await desk.jobs.note(job, an_attempt(job), next_ms=now_ms + LEASE_MS)
    await desk.deliver(a_run(*(f"{number:02}" for number in range(50)), prev=0))

    early, late = [await claim(desk, hook, now_ms=now_ms + wait_ms, count=2) for wait_ms in (LEASE_MS - 1, LEASE_MS)]

    assert [job.alert_id for job in early] == ["al_00", "al_01"]
    assert [job.alert_id for job in late] == ["al_tier3", "al_02"]


async def test_an_urgent_alert_that_waits_for_its_next_attempt_is_sent_again_at_once_when_a_person_asks(
    desk: Desk,
) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("tier3", kind="tier3.shipment"))
    now_ms = await desk.jobs.now_ms()
    [job] = await claim(desk, hook, now_ms=now_ms)
    await desk.jobs.note(job, an_attempt(job), next_ms=now_ms + DAY_MS)

    await desk.jobs.order(hook.id, "al_tier3", sequence=job.sequence)

    [again] = await claim(desk, hook, now_ms=await desk.jobs.now_ms())
    assert (again.job_id, again.failed) == (job.job_id, 1)
    await desk.jobs.note(again, an_attempt(again), next_ms=None)
    assert await claim(desk, hook, now_ms=now_ms + 2 * DAY_MS) == []


async def test_a_job_whose_alert_was_trimmed_from_the_feed_is_dropped_and_holds_up_nothing(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1", "2"))
    await desk.redis.xtrim(desk.keys.alerts, maxlen=1, approximate=False)

    leased = await claim(desk, hook, now_ms=await desk.jobs.now_ms() + 1)

    assert [job.alert_id for job in leased] == ["al_2"]
    assert await desk.job_ids() == [f"{hook.id}:al_2"]


# ----------------------------------------------------------------------------------------------------------- The sender


async def test_an_alert_reaches_a_strangers_receiver_signed_whole_and_counted(desk: Desk, receiver: Receiver) -> None:
    hook, secret = await desk.subscribe(receiver.url("/alerts?team=1"))

    async with desk.sending():
        await desk.deliver(a_run("1", "2", message="Österreich <!channel>\n昇腾"))
        await until(lambda: counted(receiver, "/alerts", 2), "both alerts")
        await until(lambda: no_jobs(desk), "both notes")

    first, second = sorted(receiver.messages, key=lambda message: message.headers["webhook-id"])
    told = Verifier(secret).verify(first.body, first.headers)
    assert told["type"] == "quota.near_cap"
    assert told["timestamp"] == "2026-03-01T12:00:00Z"
    assert told["data"] == json.loads(a_run("1", message="Österreich <!channel>\n昇腾").records[0].value or b"")
    assert [message.headers["quota-sequence"] for message in (first, second)] == ["1", "2"]
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"] == "quota-ledger"
    [delivery, _] = sorted(await desk.deliveries(), key=lambda delivery: delivery.sequence)
    assert (delivery.outcome, delivery.status, delivery.answer) == ("delivered", 200, "thank you")
    assert (delivery.webhook_id, delivery.alert_id, delivery.attempt) == (hook.id, "al_1", 1)


async def counted(receiver: Receiver, path: str, count: int) -> bool:
    return len(receiver.ids(path)) >= count


async def no_jobs(desk: Desk) -> bool:
    return not await desk.job_ids()


async def attempts(desk: Desk, hook: StoredSubscription, count: int) -> bool:
    return len(await desk.deliveries(hook.id)) >= count


async def test_a_receiver_that_fails_and_then_works_gets_the_same_message_again(desk: Desk, receiver: Receiver) -> None:
    answers = iter([503, 500, 404])

    async def fail_at_first(_: web.Request) -> web.StreamResponse:
        return web.Response(status=next(answers, 204))

    hook, secret = await desk.subscribe(receiver.url("/", fail_at_first))
    await desk.deliver(a_run("1"))

    async with desk.sending():
        for attempt in (1, 2, 3):
            await until(lambda attempt=attempt: attempts(desk, hook, attempt), f"attempt {attempt}")
            await desk.let_time_pass(hook, DAY_MS)
        await until(lambda: no_jobs(desk), "the delivery")

    assert receiver.ids("/") == ["al_1"] * 4
    assert len({message.body for message in receiver.messages}) == 1
    for message in receiver.messages:
        Verifier(secret).verify(message.body, message.headers)
    log = await desk.deliveries()
    assert [(delivery.attempt, delivery.status) for delivery in log] == [(1, 503), (2, 500), (3, 404), (4, 204)]
    waits_s = [(delivery.next_at - delivery.at).total_seconds() for delivery in log if delivery.next_at]
    for wait_s, told_s in zip(waits_s, (5, 300, 1800), strict=True):
        assert told_s <= wait_s <= told_s * 1.2 + 1


async def test_retry_after_is_obeyed(desk: Desk, receiver: Receiver) -> None:
    hook, _ = await desk.subscribe(receiver.url("/", answering(429, "slow down", retry_after="900")))
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: attempts(desk, hook, 1), "the attempt")

    [delivery] = await desk.deliveries()
    assert delivery.next_at is not None
    assert 900 <= (delivery.next_at - delivery.at).total_seconds() < 910


async def test_a_redirect_is_a_failure_and_is_not_followed(desk: Desk, receiver: Receiver) -> None:
    statuses = (301, 302, 303, 307, 308)
    hooks = [
        (await desk.subscribe(receiver.url(f"/{status}", answering(status, location=receiver.url("/inside")))))[0]
        for status in statuses
    ]
    await desk.deliver(a_run("1"))

    async with desk.sending():
        for hook in hooks:
            await until(lambda hook=hook: attempts(desk, hook, 1), "the attempt")

    assert receiver.ids("/inside") == []
    assert {(delivery.outcome, delivery.status) for delivery in await desk.deliveries()} == {
        ("failed", status) for status in statuses
    }


async def test_410_disables_the_webhook_in_redis_and_on_the_settings_topic(desk: Desk, receiver: Receiver) -> None:
    hook, _ = await desk.subscribe(receiver.url("/", answering(410)))
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: is_published(desk, hook), "the changed record")
        await desk.deliver(a_run("2", prev=0))

    assert receiver.ids("/") == ["al_1"]
    assert await desk.job_ids() == []
    kept = await desk.redis.hget(desk.keys.webhooks, hook.id)
    assert kept == desk.published[hook.setting_key] == hook.with_state("disabled").to_record()


async def is_published(desk: Desk, hook: StoredSubscription) -> bool:
    return hook.setting_key in desk.published


async def test_a_persons_change_stands_against_a_410_that_comes_late(desk: Desk, receiver: Receiver) -> None:
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def gone_later(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await may_answer.wait()
        return web.Response(status=410)

    hook, _ = await desk.subscribe(receiver.url("/", gone_later))
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await asyncio.wait_for(arrived.wait(), 10)
        await desk.keep(hook.with_state("paused"))
        may_answer.set()
        await until(lambda: attempts(desk, hook, 1), "the note")

    assert read_record(await desk.redis.hget(desk.keys.webhooks, hook.id) or b"").state == "paused"
    assert desk.published == {}


async def test_a_subscription_that_is_no_longer_as_it_was_read_is_left_as_it_is(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    paused, disabled = hook.with_state("paused"), hook.with_state("disabled")

    assert await desk.jobs.replace(hook.to_record(), paused) is True
    assert await desk.jobs.replace(hook.to_record(), disabled) is False
    assert await desk.redis.hget(desk.keys.webhooks, hook.id) == paused.to_record()
    await desk.redis.hdel(desk.keys.webhooks, hook.id)
    assert await desk.jobs.replace(paused.to_record(), disabled) is False
    assert await desk.jobs.records() == {}


async def fail_nine_times(desk: Desk, hook: StoredSubscription) -> None:
    for _ in range(ATTEMPTS_MAX - 1):
        now_ms = await desk.jobs.now_ms()
        [job] = await claim(desk, hook, now_ms=now_ms)
        await desk.jobs.note(job, an_attempt(job), next_ms=now_ms)


async def exhaust(desk: Desk, hook: StoredSubscription, **changes: Any) -> None:
    """Have a receiver refuse an alert, al_1, to the last."""
    await desk.deliver(a_run("1", **changes))
    await fail_nine_times(desk, hook)
    async with desk.sending():
        await until(lambda: is_published(desk, hook), "the changed record")


async def test_after_ten_failures_a_receiver_that_took_nothing_in_all_that_time_is_exhausted(
    desk: Desk, receiver: Receiver
) -> None:
    hook, _ = await desk.subscribe(receiver.url("/", answering(500)))

    await exhaust(desk, hook)

    assert receiver.ids("/") == ["al_1"]
    assert await desk.job_ids() == []
    assert (await desk.deliveries())[-1].outcome == "exhausted"
    assert read_record(desk.published[hook.setting_key] or b"").state == "exhausted"


async def outbox(desk: Desk) -> list[QuotaAlert]:
    entries = await desk.redis.lrange(desk.keys.outbox, 0, -1)
    return [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]


async def test_an_alert_that_a_receiver_never_took_is_told_of_without_the_secret_parts_of_its_address(
    desk: Desk, receiver: Receiver
) -> None:
    hook, _ = await desk.subscribe(receiver.url("/secret/path", answering(500)))

    await exhaust(desk, hook)

    [told] = await outbox(desk)
    assert (told.kind, told.severity) == ("webhook.exhausted", "warning")
    assert told.alert_id == alert_id("webhook.exhausted", hook.id, "al_1")
    assert told.url == f"/v1/webhooks/{hook.id}/deliveries"
    assert (told.evidence["alert_id"], told.evidence["attempts"]) == ("al_1", ATTEMPTS_MAX)
    assert "127.0.0.1" in told.message
    assert "secret" not in told.model_dump_json()


async def test_of_an_undelivered_word_on_undelivered_alerts_nothing_more_is_told(
    desk: Desk, receiver: Receiver
) -> None:
    hook, _ = await desk.subscribe(receiver.url("/", answering(500)))

    await exhaust(desk, hook, kind="webhook.exhausted")

    assert await outbox(desk) == []


async def test_what_an_exhausted_receiver_did_not_take_is_sent_again_when_somebody_asks(
    desk: Desk, receiver: Receiver
) -> None:
    hook, _ = await desk.subscribe(receiver.url("/", answering(500)))
    await exhaust(desk, hook)
    people = await a_desk_of_people(desk)
    del receiver.behaviours["/"]
    receiver.messages.clear()

    with pytest.raises(WrongCall, match="exhausted"):
        await people.resend(hook.id, f"{hook.id}:al_1")
    await people.change(hook.id, WebhookChange(state="active"))
    await people.resend(hook.id, f"{hook.id}:al_1")
    async with desk.sending():
        await until(lambda: no_jobs(desk), "the delivery")

    [message] = receiver.messages
    assert (message.headers["webhook-id"], message.headers["quota-sequence"]) == ("al_1", "1")
    assert (await desk.deliveries())[-1].outcome == "delivered"


async def a_desk_of_people(desk: Desk, publish: PublishSetting | None = None) -> WebhookDesk:
    guard = ConnectGuard(read_allowed("127.0.0.0/8"))
    return WebhookDesk(desk.jobs, desk.feed, guard=guard, publish=publish or desk.publish_setting)


async def test_a_test_is_delivered_signed_once_and_a_failing_one_is_not_repeated_nor_exhausts_anything(
    desk: Desk, receiver: Receiver
) -> None:
    works, secret = await desk.subscribe(receiver.url("/works"))
    fails, _ = await desk.subscribe(receiver.url("/fails", answering(500)))
    people = await a_desk_of_people(desk)

    async with desk.sending():
        for hook in (works, fails):
            await people.test(hook.id, load_policy("annual-50k"), now=NOW)
        await until(lambda: no_jobs(desk), "both tests")

    [message] = [message for message in receiver.messages if message.path == "/works"]
    assert Verifier(secret).verify(message.body, message.headers)["type"] == "webhook.test"
    [failed] = await desk.deliveries(fails.id)
    assert (failed.outcome, failed.next_at) == ("failed", None)
    assert (await desk.fed_ids(), await outbox(desk), desk.published) == ([], [], {})


async def test_what_is_sent_again_bears_the_same_id_number_and_bytes(desk: Desk, receiver: Receiver) -> None:
    hook, _ = await desk.subscribe(receiver.url("/"))
    people = await a_desk_of_people(desk)

    async with desk.sending():
        await desk.deliver(a_run("1", "2"))
        await until(lambda: no_jobs(desk), "both deliveries")
        await people.resend(hook.id, f"{hook.id}:al_1")
        await until(lambda: counted(receiver, "/", 3), "the first once more")
        await until(lambda: no_jobs(desk), "its note")

    first, again = [message for message in receiver.messages if message.headers["webhook-id"] == "al_1"]
    assert first.body == again.body
    assert first.headers["quota-sequence"] == again.headers["quota-sequence"]


async def test_a_webhook_gets_what_was_told_since_a_moment_if_it_asks_for_it(desk: Desk, receiver: Receiver) -> None:
    await feed_many(desk, 10)
    hook, _ = await desk.subscribe(receiver.url("/"), countries=["AE"])
    people = await a_desk_of_people(desk)

    count = await people.resend_since(hook.id, NOW + timedelta(minutes=3))
    async with desk.sending():
        await until(lambda: no_jobs(desk), "all of them")

    assert count == 3
    assert sorted(receiver.ids("/")) == ["al_004", "al_006", "al_008"]


async def test_of_changes_at_the_same_time_none_is_lost(desk: Desk) -> None:
    hook, _ = await desk.subscribe(countries=["AE"])
    people = await a_desk_of_people(desk)

    await asyncio.gather(
        people.change(hook.id, WebhookChange(description="of the desk")),
        people.change(hook.id, WebhookChange(countries=["IN"])),
        people.rotate(hook.id, desk.box, now=NOW),
    )

    changed = await people.find(hook.id)
    assert (changed.description, changed.countries) == ("of the desk", ["IN"])
    kept = read_record(desk.published[hook.setting_key] or b"")
    assert kept.to_record() == await desk.redis.hget(desk.keys.webhooks, hook.id)
    assert len(kept.live_secrets(desk.box, NOW)) == 2


async def test_a_webhook_that_is_removed_while_it_is_changed_stays_removed(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    removals: list[asyncio.Task[None]] = []

    async def publish(key: str, value: bytes | None) -> None:
        if value is not None:
            removals.append(asyncio.create_task(people.remove(hook.id)))
            await asyncio.wait(removals, timeout=0.2)
        await desk.publish_setting(key, value)

    people = await a_desk_of_people(desk, publish)
    await people.change(hook.id, WebhookChange(description="of the desk"))
    await removals[0]

    assert desk.published == {hook.setting_key: None}
    assert await people.all() == []


async def test_a_change_waits_for_one_that_does_not_end_and_then_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "CHANGE_WAIT_S", 0.1)
    hook, _ = await desk.subscribe()
    people = await a_desk_of_people(desk)

    async with desk.jobs.changing(hook.id):
        with pytest.raises(LedgerUnavailable, match="another change of this webhook is under way"):
            await people.remove(hook.id)
    await people.remove(hook.id)

    assert await people.all() == []


async def test_of_a_removed_webhook_no_job_is_left_and_no_attempt(desk: Desk) -> None:
    hook, _ = await desk.subscribe()
    await desk.deliver(a_run("1"))
    await desk.deliver(a_run("2", prev=0, kind="ascend.detected"))
    urgent, under_way = await claim(desk, hook, now_ms=await desk.jobs.now_ms() + 1, count=2)
    await desk.jobs.note(urgent, an_attempt(urgent), next_ms=NOW_MS)

    await (await a_desk_of_people(desk)).remove(hook.id)

    assert not await desk.jobs.note(under_way, an_attempt(under_way), next_ms=NOW_MS)
    assert await desk.job_ids() == []
    assert not await desk.redis.exists(
        desk.keys.due(hook.id), desk.keys.urgent(hook.id), desk.keys.deliveries(hook.id), desk.keys.webhooks
    )


async def test_while_a_secret_is_rotated_receivers_with_either_one_verify(desk: Desk, receiver: Receiver) -> None:
    hook, old = await desk.subscribe(receiver.url("/"))
    rotated = await (await a_desk_of_people(desk)).rotate(hook.id, desk.box, now=datetime.now(UTC))

    async with desk.sending():
        await desk.deliver(a_run("1"))
        await until(lambda: no_jobs(desk), "the delivery")

    [message] = receiver.messages
    assert old != rotated.secret
    for secret in (old, rotated.secret):
        Verifier(secret).verify(message.body, message.headers)


@pytest.mark.parametrize("format_", ["slack", "pagerduty"])
async def test_a_format_is_posted_as_such(desk: Desk, receiver: Receiver, format_: str) -> None:
    await desk.subscribe(receiver.url("/in?routing_key=R0"), format=format_)

    async with desk.sending():
        await desk.deliver(a_run("1"))
        await until(lambda: no_jobs(desk), "the delivery")

    [message] = receiver.messages
    assert json.loads(message.body).keys() >= {"slack": {"blocks"}, "pagerduty": {"dedup_key"}}[format_]


async def test_names_whose_servers_do_not_answer_hold_up_no_other(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, let_go = set(), threading.Event()
    look_up = socket.getaddrinfo

    def hang_for_some(host: str, *args: Any, **named: Any) -> Any:
        if host.endswith(".hangs.example"):
            asked.add(host)
            let_go.wait(30)
            raise socket.gaierror
        return look_up(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hang_for_some)
    monkeypatch.setattr(sender_module, "GRACE_S", 0.05)
    for number in range(40):
        await desk.subscribe(f"https://{number}.hangs.example/")
    await desk.subscribe(receiver.url("/works").replace("127.0.0.1", "localhost"))

    async with desk.sending():
        await desk.deliver(a_run("1", "2", "3"))
        await until(lambda: counted(receiver, "/works", 3), "the receiver whose name is known")
        assert len(asked) == 40
    let_go.set()


async def test_many_receivers_that_hang_leave_room_for_others(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "GRACE_S", 0.05)
    monkeypatch.setattr(sender_module, "IN_FLIGHT_ALL", 12)
    for number in range(10):
        await desk.subscribe(receiver.url(f"/hangs/{number}", hang))
    await desk.subscribe(receiver.url("/works"))

    async with desk.sending():
        await desk.deliver(a_run(*(f"{number:02}" for number in range(20))))
        await until(lambda: counted(receiver, "/works", 20), "all alerts at the healthy receiver")

    assert all(len(receiver.ids(f"/hangs/{number}")) == 1 for number in range(10))


async def test_more_receivers_that_hang_than_attempts_may_be_under_way_do_not_starve_one_that_works(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "GRACE_S", 0.05)
    monkeypatch.setattr(sender_module, "TOTAL_S", 0.2)
    monkeypatch.setattr(sender_module, "IN_FLIGHT_ALL", 4)
    hanging = [f"/hangs/{number}" for number in range(12)]
    for path in hanging:
        await desk.subscribe(receiver.url(path, hang))
    await desk.subscribe(receiver.url("/works"))

    async with desk.sending():
        await desk.deliver(a_run(*(f"{number:02}" for number in range(40))))
        await until(lambda: counted(receiver, "/works", 40), "all alerts at the healthy receiver")

    assert sum(len(receiver.ids(path)) for path in hanging) < 3 * len(hanging)


async def test_a_receiver_that_fails_rests_before_it_is_asked_again_and_then_gets_everything(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "REST_S", (30.0,))
    await desk.subscribe(receiver.url("/fails", answering(500)))
    await desk.subscribe(receiver.url("/works"))

    async with desk.sending():
        await desk.deliver(a_run(*(f"{number:02}" for number in range(20))))
        await until(lambda: counted(receiver, "/works", 20), "all alerts at the healthy receiver")
        assert len(receiver.ids("/fails")) == 1
    monkeypatch.setattr(sender_module, "REST_S", (0.001,))
    del receiver.behaviours["/fails"]
    async with desk.sending():
        await until(lambda: counted(receiver, "/fails", 20), "what waited")


async def test_a_receiver_that_asks_for_time_gets_it_before_its_next_alert_too_but_not_without_end(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "REST_S", (0.001,))
    await desk.subscribe(receiver.url("/asks", answering(429, retry_after="86400")))
    await desk.subscribe(receiver.url("/works"))
    names = [f"{number:02}" for number in range(20)]

    async with desk.sending():
        await desk.deliver(a_run(*names))
        await until(lambda: counted(receiver, "/works", 20), "all alerts at the healthy receiver")
        assert receiver.ids("/asks") == ["al_00"]
    monkeypatch.setattr(sender_module, "REST_ASKED_MAX_S", 0.01)
    async with desk.sending():
        await until(lambda: counted(receiver, "/asks", 20), "the others' first attempts")
    assert receiver.ids("/asks") == [f"al_{name}" for name in names]


async def test_one_message_that_a_working_receiver_never_takes_does_not_silence_it(
    desk: Desk, receiver: Receiver
) -> None:
    async def refuse_one(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if request.headers["webhook-id"] == "al_bad" else 200)

    hook, _ = await desk.subscribe(receiver.url("/", refuse_one))
    await desk.deliver(a_run("bad"))
    await fail_nine_times(desk, hook)
    await desk.redis.hset(desk.keys.answered, hook.id, await desk.jobs.now_ms())

    async with desk.sending():
        await until(lambda: no_jobs(desk), "the last attempt")
        await desk.deliver(a_run("good", prev=0))
        await until(lambda: counted(receiver, "/", 2), "the next alert")

    assert desk.published == {}
    assert receiver.ids("/") == ["al_bad", "al_good"]


async def test_a_private_address_is_never_posted_to_unless_it_is_allowed(desk: Desk, receiver: Receiver) -> None:
    hook, _ = await desk.subscribe(receiver.url("/"))
    desk.settings = desk.settings.model_copy(update={"webhook_allow": ""})
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: attempts(desk, hook, 1), "the attempt")

    assert receiver.messages == []
    [delivery] = await desk.deliveries()
    assert delivery.status is None
    assert "private, local or reserved address" in (delivery.error or "")


async def test_a_webhook_whose_secret_cannot_be_read_is_not_sent_unsigned(desk: Desk, receiver: Receiver) -> None:
    hook, _ = await desk.subscribe(receiver.url("/"))
    desk.settings = desk.settings.model_copy(update={"secret_key": type(desk.settings.secret_key)("another")})
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: attempts(desk, hook, 1), "the attempt")

    assert receiver.messages == []
    assert "QUOTA_SECRET_KEY" in ((await desk.deliveries())[0].error or "")


async def drip_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b".")
        await asyncio.sleep(0.2)


async def flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


async def bomb(_: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(b"unpacked" * 1_000_000), headers={"content-encoding": "gzip"})


async def test_answers_without_end_are_neither_read_nor_unpacked_and_their_status_counts(
    desk: Desk, receiver: Receiver
) -> None:
    behaviours = (drip_body, flood, bomb)
    hooks = [(await desk.subscribe(receiver.url(f"/{behave.__name__}", behave)))[0] for behave in behaviours]
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: no_jobs(desk), "both notes")

    for hook in hooks:
        [delivery] = await desk.deliveries(hook.id)
        assert (delivery.outcome, delivery.status) == ("delivered", 200)
        assert 0 < len(delivery.answer) <= 500
        assert "unpackedunpacked" not in delivery.answer


async def test_a_receiver_that_hangs_delays_no_other(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "GRACE_S", 0.05)
    names = [f"{number:03}" for number in range(40)]
    hanging, _ = await desk.subscribe(receiver.url("/hangs", hang))
    await desk.subscribe(receiver.url("/works"))

    async with desk.sending():
        await desk.deliver(a_run(*names))
        await until(lambda: counted(receiver, "/works", 40), "all alerts at the healthy receiver")

        assert await desk.deliveries(hanging.id) == []
        assert len(receiver.ids("/hangs")) <= IN_FLIGHT_EACH
    assert sorted(receiver.ids("/works")) == [f"al_{name}" for name in names]


async def drip_headers(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(600):
        request.transport.write(b"x-%d: y\r\n" % number)
        await asyncio.sleep(0.05)
    return web.Response()


@pytest.mark.parametrize("behave", [hang, drip_headers])
async def test_an_answer_that_does_not_come_to_its_body_is_cut_off_at_the_total_time(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, behave: Behaviour
) -> None:
    monkeypatch.setattr(sender_module, "TOTAL_S", 0.3)
    hook, _ = await desk.subscribe(receiver.url("/", behave))
    await desk.deliver(a_run("1"))

    async with desk.sending():
        await until(lambda: attempts(desk, hook, 1), "the cut")

    [delivery] = await desk.deliveries()
    assert (delivery.outcome, delivery.status, delivery.error) == ("failed", None, "no answer within 0.3 s")


@asynccontextmanager
async def answering_bytes(answer: bytes) -> AsyncIterator[str]:
    """The address of a receiver that answers so, whatever that is."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with behaving(behave) as address:
        yield address


@asynccontextmanager
async def behaving(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The address of a receiver that does this with each connection."""
    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_interim_answers_without_end_are_not_listened_to(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reads what has come before it lets others go on: one such receiver held up all of them."""
    monkeypatch.setattr(sender_module, "TOTAL_S", 5.0)

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
                await writer.drain()
        writer.close()

    async with behaving(behave) as address, desk.sending():
        hook, _ = await desk.subscribe(f"{address}/")
        await desk.deliver(a_run("1"))
        await until(lambda: attempts(desk, hook, 1), "the cut")

    [delivery] = await desk.deliveries()
    assert (delivery.outcome, delivery.status) == ("failed", None)
    assert "without end" in (delivery.error or "")


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\x00 <!channel> \x1b[31m\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-\xff: \xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000,
    ],
)
async def test_an_answer_that_is_no_http_is_a_failure_that_does_not_tell_the_secret_parts_of_the_address(
    desk: Desk, answer: bytes
) -> None:
    async with answering_bytes(answer) as address:
        hook, _ = await desk.subscribe(f"{address}/services/secret")
        await desk.deliver(a_run("1"))
        async with desk.sending():
            await until(lambda: attempts(desk, hook, 1), "the attempt")

    delivery = (await desk.deliveries())[0]
    assert (delivery.outcome, delivery.status) == ("failed", None)
    assert "no answer in HTTP" in (delivery.error or "")
    assert "secret" not in (delivery.error or "")


async def test_two_senders_never_post_one_job_twice(desk: Desk, receiver: Receiver, redis_url: str) -> None:
    await desk.subscribe(receiver.url("/a"))
    await desk.subscribe(receiver.url("/b"))
    names = [f"{number:03}" for number in range(150)]
    other = connect(redis_url)

    async with desk.sending(), desk.sending(other):
        for prev, name in enumerate(names, start=-1):
            await desk.deliver(a_run(name, prev=prev))
        await until(lambda: counted(receiver, "/a", 150), "all alerts at a")
        await until(lambda: no_jobs(desk), "all notes")
    await other.aclose()

    for path in ("/a", "/b"):
        assert Counter(receiver.ids(path)) == dict.fromkeys((f"al_{name}" for name in names), 1)
        counts = sorted(int(message.headers["quota-sequence"]) for message in receiver.messages if message.path == path)
        assert all(after == before + 1 for before, after in pairwise(counts))


SENDER = """
import asyncio
from ledger.book.script import connect
from streams.settings import load_settings
from streams.webhooks.sender import run_sender

async def publish(key, value): raise AssertionError(key)

settings = load_settings()
redis = connect(settings.redis_url.get_secret_value())
asyncio.run(run_sender(settings, redis, asyncio.Event(), publish_setting=publish))
"""


async def test_a_sender_killed_after_its_post_leaves_the_job_to_another_under_the_same_id(
    desk: Desk, receiver: Receiver
) -> None:
    hook, secret = await desk.subscribe(receiver.url("/", hang))
    await desk.deliver(a_run("1"))
    killed = subprocess.Popen(  # noqa: ASYNC220  starts at once
        [sys.executable, "-c", SENDER], env=dict(os.environ) | environment_of(desk.settings)
    )
    try:
        await until(lambda: counted(receiver, "/", 1), "the post of the sender that will be killed")
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait(timeout=10)
    del receiver.behaviours["/"]

    async with desk.sending():
        assert await desk.job_ids() == [f"{hook.id}:al_1"]
        await desk.let_time_pass(hook, LEASE_MS)
        await until(lambda: no_jobs(desk), "the delivery")

    assert receiver.ids("/") == ["al_1", "al_1"]
    first, second = receiver.messages
    assert first.body == second.body
    assert first.headers["quota-sequence"] == second.headers["quota-sequence"] == "1"
    Verifier(secret).verify(second.body, second.headers)


async def test_a_sender_waits_for_a_redis_that_is_away_and_ends_when_told_to(desk: Desk) -> None:
    away = connect("redis://127.0.0.1:1/0")

    async with desk.sending(away):
        with pytest.raises(LedgerUnavailable):
            await Jobs(away, desk.ledger).records()
    await away.aclose()


# ------------------------------------------------------------------------------------------------------------- The feed


async def feed_many(desk: Desk, count: int) -> None:
    records = [
        Record(
            number,
            an_alert(
                f"{number:03}",
                kind="quota.exceeded" if number % 3 == 0 else "quota.near_cap",
                country="AE" if number % 2 == 0 else "IN",
                recorded_at=NOW + timedelta(minutes=number),
            ).model_dump_json().encode(),
        )
        for number in range(count)
    ]  # fmt: skip
    await desk.deliver(Run("alerts", 0, -1, records))


async def all_pages(desk: Desk, count: int, **filters: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        alerts, cursor = await desk.feed.page(after=cursor, count=count, **filters)
        pages.append([alert.alert_id.removeprefix("al_") for alert in alerts])
        if cursor is None:
            return pages


async def test_pages_hold_every_alert_once_newest_first(desk: Desk) -> None:
    await feed_many(desk, 10)

    pages = await all_pages(desk, 4)

    assert pages == [["009", "008", "007", "006"], ["005", "004", "003", "002"], ["001", "000"]]
    assert await all_pages(desk, 5) == [["009", "008", "007", "006", "005"], ["004", "003", "002", "001", "000"]]


async def test_pages_are_filtered_by_kind_country_and_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.webhooks.feed.SCAN", 3)
    await feed_many(desk, 13)

    assert await all_pages(desk, 2, kind="quota.exceeded") == [["012", "009"], ["006", "003"], ["000"]]
    assert await all_pages(desk, 9, country="AE", kind="quota.exceeded") == [["012", "006", "000"]]
    assert await all_pages(desk, 9, since=NOW + timedelta(minutes=11)) == [["012", "011"]]
    assert await all_pages(desk, 9, country="KZ") == [[]]


async def test_a_page_that_filters_nearly_everything_away_may_be_short_and_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.webhooks.feed.SCAN", 2)
    monkeypatch.setattr("streams.webhooks.feed.SCANNED_MAX", 4)
    await feed_many(desk, 10)

    pages = await all_pages(desk, 5, kind="quota.exceeded")

    assert [alert for page in pages for alert in page] == ["009", "006", "003", "000"]
    assert len(pages) > 1


@pytest.mark.parametrize("cursor", ["", "x", "0", "-1", "1-0", "+", "9" * 30, "٣"])
async def test_a_cursor_of_nobodys_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(WrongCall, match="cursor"):
        await desk.feed.page(after=cursor, count=1)


async def take(stream: AsyncIterator[tuple[str, QuotaAlert]], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(10):
        found = []
        async for cursor, alert in stream:
            found.append((cursor, alert.alert_id))
            if len(found) == count:
                return found
        return found


async def test_a_follower_gets_what_comes_and_after_a_break_what_it_missed(desk: Desk) -> None:
    await feed_many(desk, 3)
    following = asyncio.create_task(take(desk.feed.follow(), 1))
    await until(lambda: blocked(desk), "the follower to wait")

    await desk.deliver(a_run("new", prev=2))
    [(cursor, name)] = await following
    await desk.deliver(a_run("missed", "also missed", prev=3))

    assert name == "al_new"
    assert [name for _, name in await take(desk.feed.follow(cursor), 2)] == ["al_missed", "al_also missed"]


async def blocked(desk: Desk) -> bool:
    clients = await desk.redis.client_list()
    return any("b" in client["flags"] and client["cmd"] == "xread" for client in clients)


async def test_a_follower_may_begin_in_the_past_and_filter(desk: Desk) -> None:
    await feed_many(desk, 9)

    found = await take(desk.feed.follow(since=NOW + timedelta(minutes=2), kind="quota.exceeded"), 2)

    assert [name for _, name in found] == ["al_003", "al_006"]
