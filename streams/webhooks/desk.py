"""What people do with subscriptions, over HTTP and at the command line: make, change, rotate, remove, test, send again.

A subscription is a record on the settings topic first. Then it is changed in Redis too, so that whoever asks next sees
it, whether or not a worker runs; a worker copies the same from the topic.
"""

import re
import secrets
from datetime import datetime

from ledger.errors import WrongCall, WrongCursor
from ledger.policy import Policy
from schemas.quota_alert import QuotaAlert
from schemas.webhook import (
    Delivery,
    DeliveryQueued,
    SecretRotated,
    Webhook,
    WebhookChange,
    WebhookCreated,
    WebhookRequest,
)
from streams.webhooks.connect_guard import ConnectGuard
from streams.webhooks.feed import Feed
from streams.webhooks.formats import check_address
from streams.webhooks.jobs import Jobs
from streams.webhooks.subscription import (
    ROTATION,
    PublishSetting,
    SecretBox,
    StoredSubscription,
    create,
    matches,
    read_subscriptions,
)

RESENT_MAX = 10_000
"""Alerts that one call sends again; who wants more says a later time."""

DELIVERY_CURSOR = "^[1-9][0-9]{0,18}(-[0-9]{1,19})?$"
"""A cursor of a webhook's log: a place in a stream of Redis."""

_PLACE = re.compile(DELIVERY_CURSOR)


class UnknownWebhook(WrongCall):
    """No webhook has this id, or no delivery."""


class WebhookDesk:
    """The subscriptions of one ledger. Every method may raise LedgerUnavailable.

    Args:
        jobs: what is to be delivered.
        feed: the alerts.
        guard: which addresses a webhook may have.
        publish: writes a record to the settings topic.
    """

    def __init__(self, jobs: Jobs, feed: Feed, *, guard: ConnectGuard, publish: PublishSetting) -> None:
        self._jobs = jobs
        self._feed = feed
        self._guard = guard
        self._publish = publish

    async def all(self) -> list[Webhook]:
        """Every subscription, oldest first."""
        subscriptions = read_subscriptions(await self._jobs.records()).values()
        return sorted((one.shown() for one in subscriptions), key=lambda webhook: (webhook.created_at, webhook.id))

    async def find(self, webhook_id: str) -> Webhook:
        """One subscription.

        Raises:
            UnknownWebhook: there is none of this id.
        """
        return (await self._read(webhook_id))[1].shown()

    async def add(self, wanted: WebhookRequest, box: SecretBox, *, now: datetime) -> WebhookCreated:
        """Subscribe to alerts from now on.

        Raises:
            WrongCall: the address may not be.
        """
        await self._check(wanted.url, wanted)
        stored, secret = create(wanted, box, now=now)
        await self._publish(stored.setting_key, stored.to_record())
        await self._jobs.keep(stored)
        return WebhookCreated(**stored.shown().model_dump(), secret=secret)

    async def change(self, webhook_id: str, change: WebhookChange) -> Webhook:
        """Change what is stated.

        Raises:
            UnknownWebhook, WrongCall: see `find` and `add`.
        """
        async with self._jobs.changing(webhook_id):
            record, stored = await self._read(webhook_id)
            stated = {name: getattr(change, name) for name in change.model_fields_set}
            changed = stored.model_copy(update=stated)
            if stated.keys() & {"url", "format"}:
                await self._check(changed.url, changed)
            await self._put(record, changed)
        return changed.shown()

    async def rotate(self, webhook_id: str, box: SecretBox, *, now: datetime) -> SecretRotated:
        """Make a new secret; the one before signs too for a day.

        Raises:
            UnknownWebhook: see `find`.
        """
        async with self._jobs.changing(webhook_id):
            record, stored = await self._read(webhook_id)
            rotated, secret = stored.rotated(box, now)
            await self._put(record, rotated)
        return SecretRotated(id=webhook_id, secret=secret, old_secret_until=now + ROTATION)

    async def remove(self, webhook_id: str) -> None:
        """End a subscription; what was not delivered is not any more.

        Raises:
            UnknownWebhook: see `find`.
        """
        async with self._jobs.changing(webhook_id):
            _, stored = await self._read(webhook_id)
            await self._publish(stored.setting_key, None)
            await self._jobs.forget(webhook_id)

    async def test(self, webhook_id: str, policy: Policy, *, now: datetime) -> DeliveryQueued:
        """Have an alert that tells of nothing delivered, once.

        Raises:
            UnknownWebhook, WrongCall: see `find`; or nothing is delivered to it in its state.
        """
        stored = await self._active(webhook_id)
        alert = QuotaAlert(
            alert_id=f"al_test_{secrets.token_hex(8)}",
            kind="webhook.test",
            severity="info",
            occurred_at=now,
            recorded_at=now,
            policy_id=policy.id,
            policy_sha256=policy.sha256,
            incident_key=f"webhook.test/{webhook_id}",
            message="This is a test: nothing has happened.",
            url=f"/v1/webhooks/{webhook_id}",
        )
        return await self._order(stored, alert.alert_id, text=alert.model_dump_json().encode())

    async def deliveries(self, webhook_id: str, *, cursor: str | None, count: int) -> tuple[list[Delivery], str | None]:
        """Attempts at a webhook, the newest first, and the cursor of the next page; None when there is none.

        Raises:
            UnknownWebhook, WrongCursor: see `find`; or the cursor is none of ours.
        """
        await self._read(webhook_id)
        if cursor is not None and not _PLACE.fullmatch(cursor):
            raise WrongCursor
        found = await self._jobs.deliveries(webhook_id, before=cursor, count=count + 1)
        following = found[count - 1][0] if len(found) > count else None
        return [delivery for _, delivery in found[:count]], following

    async def resend(self, webhook_id: str, delivery_id: str) -> DeliveryQueued:
        """Have a delivery made again, under the same id and sequence number, whatever became of it.

        Raises:
            UnknownWebhook: there is no such webhook, or its log holds no such delivery any more.
            WrongCall: nothing is delivered to it in its state.
        """
        stored = await self._active(webhook_id)
        log = await self._jobs.deliveries(webhook_id, before=None, count=RESENT_MAX)
        last = next((delivery for _, delivery in log if delivery.delivery_id == delivery_id), None)
        if last is None:
            raise UnknownWebhook("the webhook's log holds no such delivery; `GET …/deliveries` lists those it does")
        return await self._order(stored, last.alert_id, sequence=last.sequence)

    async def resend_since(self, webhook_id: str, since: datetime) -> int:
        """Have every alert delivered again that was recorded since then and that the webhook asks for.

        Returns:
            How many.

        Raises:
            UnknownWebhook, WrongCall: as `resend`; or there are more than RESENT_MAX.
        """
        stored = await self._active(webhook_id)
        wanted: list[str] = []
        cursor: str | None = None
        while True:
            alerts, cursor = await self._feed.page(after=cursor, count=500, since=since)
            wanted += [alert.alert_id for alert in alerts if matches(stored, alert)]
            if len(wanted) > RESENT_MAX:
                raise WrongCall(f"more than {RESENT_MAX:,} alerts were recorded since then: say a later time")
            if cursor is None:
                break
        for alert_id in reversed(wanted):
            await self._order(stored, alert_id)
        return len(wanted)

    async def _order(
        self, stored: StoredSubscription, alert_id: str, *, sequence: int | None = None, text: bytes = b""
    ) -> DeliveryQueued:
        delivery_id = await self._jobs.order(stored.id, alert_id, sequence=sequence, text=text)
        if delivery_id is None:
            raise UnknownWebhook(f"the feed holds no alert {alert_id}: a test is not sent again")
        return DeliveryQueued(delivery_id=delivery_id)

    async def _active(self, webhook_id: str) -> StoredSubscription:
        _, stored = await self._read(webhook_id)
        if stored.state != "active":
            raise WrongCall(f"the webhook is {stored.state}: nothing is delivered to it; set its state to active first")
        return stored

    async def _read(self, webhook_id: str) -> tuple[bytes, StoredSubscription]:
        """A subscription and its record."""
        records = await self._jobs.records()
        stored = read_subscriptions(records).get(webhook_id)
        if stored is None:
            raise UnknownWebhook("no webhook has this id; `quota-ledger webhooks list` shows those that there are")
        return records[webhook_id], stored

    async def _check(self, url: str, asked: WebhookRequest | StoredSubscription) -> None:
        check_address(asked.format, url)
        await self._guard.check_url(url)

    async def _put(self, record: bytes, changed: StoredSubscription) -> None:
        await self._publish(changed.setting_key, changed.to_record())
        await self._jobs.replace(record, changed)
