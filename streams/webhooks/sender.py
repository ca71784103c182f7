"""The process that posts: claims due jobs, signs, posts, notes what became of them.

At least once: a job whose sender died is posted again, under the same `webhook-id`. Receivers are strangers: none can
hold up another, be led inward by an address, or make the sender read more than a few thousand bytes.
"""

import asyncio
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
from redis.asyncio import Redis

from ledger.errors import LedgerUnavailable
from ledger.rules.alerts import alert_id
from schemas.quota_alert import QuotaAlert
from schemas.webhook import Delivery, DeliveryOutcome, WebhookState
from streams.pulse import Pulse
from streams.settings import Settings
from streams.webhooks.connect_guard import ConnectGuard, Scheme, read_allowed
from streams.webhooks.feed import Feed
from streams.webhooks.formats import request_of
from streams.webhooks.jobs import Jobs, Leased
from streams.webhooks.schedule import read_retry_after, retry_delay_s
from streams.webhooks.signing import sign
from streams.webhooks.subscription import (
    PublishSetting,
    SecretBox,
    StoredSubscription,
    UnreadableSecret,
    read_subscriptions,
)

log = logging.getLogger(__name__)

TOTAL_S = 15.0
"""How long an attempt may take until the answer's headers are there."""

BODY_S = 1.0
"""How long the answer's body is waited for, once its status has said what counts."""

BODY_BYTES = 4096
ANSWER_LOGGED = 500
"""Characters of an answer that the log of deliveries keeps."""

LEASE_S = 60.0
"""Longer than any attempt and its note take; a dead sender's jobs come back after it."""

IN_FLIGHT_EACH = 8
"""Attempts under way at one webhook at most. It begins with one, each success doubles that, and a failure brings it
back to one: many receivers that hang tie up little."""

IN_FLIGHT_ALL = 256
REST_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
"""How long a webhook rests after its first failure in a row, its second, and so on: one that is down costs the others
little, and the schedule of each alert is still kept when thousands wait."""

REST_ASKED_MAX_S = 15.0
"""How long a webhook rests at most because its receiver asked for time (`Retry-After`). The alert that was not taken
waits as long as was asked (`schedule.py`); the next ones come neither at once nor only after a day."""

NOTES_AT_ONCE = 16
POLL_S = 0.5
"""How late a retry may be noticed. A new alert is noticed at once."""

GRACE_S = 3.0
"""How long attempts under way may still take when the sender is told to stop."""

USER_AGENT = "quota-ledger"
GONE = 410
SCHEMES: tuple[Scheme, ...] = ("http", "https")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; `status` is None when it did not, and `error` says why."""

    status: int | None
    text: str = ""
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Only 2xx is."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  HTTP's own bounds


async def run_sender(settings: Settings, redis: Redis, stop: asyncio.Event, *, publish_setting: PublishSetting) -> None:
    """Deliver until told to stop.

    Args:
        settings: the ledger, the secret key and the networks that are allowed.
        redis: a client that answers in bytes.
        stop: ends it; attempts under way get a few seconds.
        publish_setting: keeps a changed subscription (disabled, exhausted) on the settings topic.

    Raises:
        WrongCall: `QUOTA_SECRET_KEY` is not set, `QUOTA_WEBHOOK_ALLOW` holds what is no network, or `QUOTA_STATE_DIR`
            cannot be written.
    """
    box = SecretBox(settings.secret_key)
    guard = ConnectGuard(read_allowed(settings.webhook_allow))
    async with AsyncExitStack() as stack:
        sessions = {scheme: await stack.enter_async_context(_session(guard, scheme)) for scheme in SCHEMES}
        sender = _Sender(Jobs(redis, settings.ledger), Feed(redis, settings.ledger), sessions, box, publish_setting)
        await sender.run(stop, Pulse(settings.state_dir, "sender"))


def _session(guard: ConnectGuard, scheme: Scheme) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=guard.connector(scheme),
        timeout=aiohttp.ClientTimeout(total=TOTAL_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


@dataclass(slots=True)
class _Pace:
    """How fast one webhook is posted to.

    Attributes:
        slots: how many attempts may be under way.
        failures: in a row.
        rest_until: by the loop's clock, before when nothing is begun.
    """

    slots: int = 1
    failures: int = 0
    rest_until: float = 0.0

    def note(self, answer: Answer, now: float) -> None:
        """An attempt ended."""
        if answer.is_success:
            self.slots, self.failures = min(2 * self.slots, IN_FLIGHT_EACH), 0
        else:
            asked_s = min(answer.retry_after_s or 0.0, REST_ASKED_MAX_S)
            rest_s = max(REST_S[min(self.failures, len(REST_S) - 1)], asked_s)
            self.slots, self.rest_until = 1, max(self.rest_until, now + rest_s)
            self.failures += 1


class _Sender:
    """One sender's loop and the attempts it has under way."""

    def __init__(
        self,
        jobs: Jobs,
        feed: Feed,
        sessions: Mapping[Scheme, aiohttp.ClientSession],
        box: SecretBox,
        publish_setting: PublishSetting,
    ) -> None:
        self._jobs = jobs
        self._feed = feed
        self._sessions = sessions
        self._box = box
        self._publish_setting = publish_setting
        self._under_way: set[asyncio.Task[None]] = set()
        self._in_flight: Counter[str] = Counter()
        self._paces: defaultdict[str, _Pace] = defaultdict(_Pace)
        self._wake = asyncio.Event()
        self._noting = asyncio.Semaphore(NOTES_AT_ONCE)
        self._random = random.SystemRandom()

    async def run(self, stop: asyncio.Event, pulse: Pulse) -> None:
        """Claim and post until `stop` is set."""
        watchers = [asyncio.create_task(self._watch_feed()), asyncio.create_task(stop.wait())]
        watchers[1].add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self._start_due()
                    pulse.beat()
                except LedgerUnavailable as failure:
                    log.warning("deliveries wait: %s", failure)
                await self._rest()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await self._finish()

    async def _start_due(self) -> None:
        subscriptions = read_subscriptions(await self._jobs.records())
        active = [webhook_id for webhook_id, subscription in subscriptions.items() if subscription.state == "active"]
        count = IN_FLIGHT_ALL - len(self._under_way)
        if not (wanted := self._free_slots(active)) or count <= 0:
            return
        now_ms = await self._jobs.now_ms()
        leased = await self._jobs.claim(wanted, count=count, now_ms=now_ms, lease_ms=int(LEASE_S * 1000))
        for job in leased:
            self._in_flight[job.webhook_id] += 1
            task = asyncio.create_task(self._deliver(job, subscriptions[job.webhook_id]), name=job.webhook_id)
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _free_slots(self, webhook_ids: Sequence[str]) -> dict[str, int]:
        """How many more jobs each webhook may have under way, in the order in which they are served.

        The order is random, so that none is always last. But those whose receiver failed last time come after the
        others: many of them would take up every attempt that may be under way.
        """
        now, paces = asyncio.get_running_loop().time(), self._paces
        in_random_order = self._random.sample(webhook_ids, len(webhook_ids))
        free = {
            webhook_id: paces[webhook_id].slots - self._in_flight[webhook_id]
            for webhook_id in sorted(in_random_order, key=lambda webhook_id: paces[webhook_id].failures > 0)
            if paces[webhook_id].rest_until <= now
        }
        return {webhook_id: slots for webhook_id, slots in free.items() if slots > 0}

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._in_flight[task.get_name()] -= 1
        self._wake.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("a delivery to %s went wrong and will be repeated", task.get_name(), exc_info=failure)

    async def _deliver(self, job: Leased, subscription: StoredSubscription) -> None:
        began = asyncio.get_running_loop().time()
        answer = await self._post(job, subscription)
        ended = asyncio.get_running_loop().time()
        latency_ms = round((ended - began) * 1000)
        self._paces[job.webhook_id].note(answer, ended)
        ended_ms = job.claimed_ms + latency_ms
        outcome, delay_s = self._judge(job, answer)
        next_ms = None if delay_s is None else ended_ms + round(delay_s * 1000)
        delivery = Delivery(
            delivery_id=job.job_id,
            webhook_id=job.webhook_id,
            alert_id=job.alert_id,
            sequence=job.sequence,
            attempt=job.failed + 1,
            at=_moment(job.claimed_ms),
            outcome=outcome,
            status=answer.status,
            latency_ms=latency_ms,
            answer=answer.text,
            error=answer.error,
            next_at=None if next_ms is None else _moment(next_ms),
        )
        level = logging.DEBUG if answer.is_success else logging.INFO
        log.log(level, "alert %s to %s: %s, status %s", job.alert_id, job.webhook_id, outcome, answer.status)
        try:
            async with self._noting:
                success_ms = ended_ms if outcome == "delivered" else None
                told = exhausted_alert(job, subscription, delivery) if outcome == "exhausted" else None
                noted = await self._jobs.note(job, delivery, next_ms=next_ms, success_ms=success_ms, told=told)
            if noted and outcome == "gone":
                await self._take_out(job.webhook_id, "disabled")
            if noted and outcome == "exhausted" and await self._jobs.last_success_ms(job.webhook_id) < job.since_ms:
                await self._take_out(job.webhook_id, "exhausted")
        except LedgerUnavailable as failure:
            log.warning("a delivery to %s could not be noted and will be repeated: %s", job.webhook_id, failure)

    def _judge(self, job: Leased, answer: Answer) -> tuple[DeliveryOutcome, float | None]:
        """What the attempt comes to, and after how many seconds the next one follows, if any."""
        if answer.is_success:
            return "delivered", None
        if answer.status == GONE:
            return "gone", None
        if job.is_test:
            return "failed", None
        delay_s = retry_delay_s(job.failed + 1, retry_after_s=answer.retry_after_s, random=self._random.random())
        return ("exhausted", None) if delay_s is None else ("failed", delay_s)

    async def _post(self, job: Leased, subscription: StoredSubscription) -> Answer:
        try:
            url, body = request_of(job.alert, subscription.format, subscription.url)
            headers = self._headers(job, subscription, body)
            session = self._sessions["https" if url.lower().startswith("https:") else "http"]
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                retry_after_s = read_retry_after(response.headers.get("Retry-After"), _moment(job.claimed_ms))
                return Answer(response.status, await _first_bytes(response), None, retry_after_s)
        except TimeoutError:
            return Answer(None, error=f"no answer within {TOTAL_S:g} s")
        except aiohttp.ClientResponseError as failure:  # in its own words it names the whole address, secrets and all
            return Answer(None, error=f"no answer in HTTP: {failure.message}"[:ANSWER_LOGGED])
        except (aiohttp.ClientError, OSError, ValueError, UnreadableSecret) as failure:
            return Answer(None, error=f"{type(failure).__name__}: {failure}"[:ANSWER_LOGGED])

    def _headers(self, job: Leased, subscription: StoredSubscription, body: bytes) -> dict[str, str]:
        timestamp_s = job.claimed_ms // 1000
        secrets = subscription.live_secrets(self._box, _moment(job.claimed_ms))
        return {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
            "webhook-id": job.alert_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(secrets, job.alert_id, timestamp_s, body),
            "quota-sequence": str(job.sequence),
        }

    async def _take_out(self, webhook_id: str, state: WebhookState) -> None:
        """Stop delivering to a webhook: at once in Redis, and on the settings topic, so that it outlives Redis.

        A person's change in the meantime stands.
        """
        try:
            async with self._jobs.changing(webhook_id):
                records = await self._jobs.records()
                subscription = read_subscriptions(records).get(webhook_id)
                if subscription is None or subscription.state != "active":
                    return
                changed = subscription.with_state(state)
                if not await self._jobs.replace(records[webhook_id], changed):
                    return
                log.warning("webhook %s is %s: nothing more is delivered to it", webhook_id, state)
                await self._publish_setting(changed.setting_key, changed.to_record())
        except LedgerUnavailable as failure:  # it may be Redis' alone; were it lost, the receiver's answer repeats it
            log.warning("that webhook %s is %s is not on the settings topic: %s", webhook_id, state, failure)

    async def _watch_feed(self) -> None:
        """Wake the loop for every alert that comes."""
        while True:
            try:
                async for _ in self._feed.follow():
                    self._wake.set()
            except LedgerUnavailable:
                await asyncio.sleep(POLL_S)

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return

    async def _finish(self) -> None:
        """Give attempts under way a few seconds; what is cut off then is due again when its lease ends."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=GRACE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def exhausted_alert(job: Leased, subscription: StoredSubscription, last: Delivery) -> QuotaAlert | None:
    """What is told of an alert that a receiver never took; of such an alert itself nothing is."""
    lost = QuotaAlert.model_validate_json(job.alert)
    if lost.kind == "webhook.exhausted":
        return None
    host = urlsplit(subscription.url).hostname  # no more of the address: with some receivers it is a secret
    answer = f"status {last.status}" if last.status is not None else "no answer"
    return QuotaAlert(
        alert_id=alert_id("webhook.exhausted", job.webhook_id, job.alert_id),
        kind="webhook.exhausted",
        severity="warning",
        occurred_at=last.at,
        recorded_at=last.at,
        policy_id=lost.policy_id,
        policy_sha256=lost.policy_sha256,
        incident_key=f"webhook.exhausted/{job.webhook_id}",
        message=(
            f"The webhook {job.webhook_id} at {host} did not take the alert {job.alert_id} in {last.attempt} attempts "
            f"({answer} at last): it is delivered again only if somebody asks for it."
        ),
        evidence={
            "webhook_id": job.webhook_id,
            "delivery_id": job.job_id,
            "alert_id": job.alert_id,
            "attempts": last.attempt,
            "status": last.status,
        },
        url=f"/v1/webhooks/{job.webhook_id}/deliveries",
    )


async def _first_bytes(response: aiohttp.ClientResponse) -> str:
    """The beginning of the answer, as it came; whatever happens to the rest, the status has said what counts."""
    try:
        async with asyncio.timeout(BODY_S):
            return (await response.content.read(BODY_BYTES))[:BODY_BYTES].decode("utf-8", "replace")[:ANSWER_LOGGED]
    except (TimeoutError, aiohttp.ClientError):
        return ""


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
