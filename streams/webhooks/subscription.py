"""A subscription: which alerts go where, and by which secrets they are signed.

It lives as a record on the settings topic, key `webhook:<id>`, from which the worker copies it into Redis. Its secrets
are encrypted under `QUOTA_SECRET_KEY` in both places. Nothing here talks to Kafka or Redis.
"""

import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import get_args

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from ledger.errors import LedgerError, WrongCall
from schemas.quota_alert import QuotaAlert, Severity
from schemas.webhook import Subscription, Webhook, WebhookRequest, WebhookState
from streams.webhooks.signing import new_secret

log = logging.getLogger(__name__)

SETTING_PREFIX = "webhook:"

PublishSetting = Callable[[str, bytes | None], Awaitable[None]]
"""Writes one record to the settings topic (key, value), until Kafka has it; raises LedgerUnavailable if it will not."""

ROTATION = timedelta(days=1)
"""How long the old secret still signs after a new one was made."""

_RANK = {severity: rank for rank, severity in enumerate(get_args(Severity))}


class UnreadableSecret(LedgerError):  # noqa: N818
    """A secret was encrypted under another `QUOTA_SECRET_KEY`: set that one again, or make the webhook anew."""


class SecretBox:
    """Encrypts webhook secrets.

    Args:
        secret_key: the setting `QUOTA_SECRET_KEY`.

    Raises:
        WrongCall: it is not set.
    """

    def __init__(self, secret_key: SecretStr | None) -> None:
        if secret_key is None or not secret_key.get_secret_value():
            raise WrongCall("QUOTA_SECRET_KEY is not set: webhook secrets are encrypted under it; any long random text")
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"quota-ledger webhook secrets")
        self._fernet = Fernet(urlsafe_b64encode(derive.derive(secret_key.get_secret_value().encode())))
        self.decrypt = lru_cache(maxsize=1024)(self._decrypt)  # the same few sign every message

    def encrypt(self, secret: str) -> str:
        """A secret as it may be stored."""
        return self._fernet.encrypt(secret.encode()).decode()

    def _decrypt(self, encrypted: str) -> str:
        """The secret again.

        Raises:
            UnreadableSecret: it was encrypted under another key.
        """
        try:
            return self._fernet.decrypt(encrypted).decode()
        except InvalidToken:
            raise UnreadableSecret("the webhook's secret was encrypted under another QUOTA_SECRET_KEY") from None


class StoredSecret(BaseModel):
    """One secret of a subscription, encrypted.

    Attributes:
        until: when it ends, for another has taken its place; None for the present one.
    """

    model_config = ConfigDict(frozen=True)

    encrypted: str
    until: AwareDatetime | None = None


class StoredSubscription(Subscription):
    """A subscription as its record on the settings topic holds it."""

    id: str
    state: WebhookState
    created_at: AwareDatetime
    secrets: list[StoredSecret]

    @property
    def setting_key(self) -> str:
        """The key of its record."""
        return SETTING_PREFIX + self.id

    def to_record(self) -> bytes:
        """The value of its record."""
        return self.model_dump_json(exclude_none=True).encode()

    def shown(self) -> Webhook:
        """As the API shows it."""
        return Webhook.model_validate(self.model_dump(exclude={"secrets"}))

    def live_secrets(self, box: SecretBox, now: datetime) -> list[str]:
        """The secrets that a message is signed by now: the present one, and the one before while it lasts.

        Raises:
            UnreadableSecret: see there.
        """
        live = [secret for secret in self.secrets if secret.until is None or now < secret.until]
        return [box.decrypt(secret.encrypted) for secret in live]

    def rotated(self, box: SecretBox, now: datetime) -> tuple["StoredSubscription", str]:
        """The same subscription with a new secret, and that, which is told this once. The one before lasts a while."""
        secret, present = new_secret(), next(kept for kept in self.secrets if kept.until is None)
        kept = [StoredSecret(encrypted=box.encrypt(secret)), present.model_copy(update={"until": now + ROTATION})]
        return self.model_copy(update={"secrets": kept}), secret

    def with_state(self, state: WebhookState) -> "StoredSubscription":
        """The same subscription in another state."""
        return self.model_copy(update={"state": state})


def create(wanted: WebhookRequest, box: SecretBox, *, now: datetime) -> tuple[StoredSubscription, str]:
    """A new subscription, not stored yet, and its secret, which is told this once.

    Args:
        wanted: what was asked for; its address has been checked by the connect guard.
        box: encrypts the secret.
        now: when it is created.
    """
    secret = new_secret()
    stored = StoredSubscription(
        **wanted.model_dump(),
        id=f"wh_{secrets.token_hex(12)}",
        created_at=now,
        secrets=[StoredSecret(encrypted=box.encrypt(secret))],
    )
    return stored, secret


def read_subscriptions(records: Mapping[str, bytes]) -> dict[str, StoredSubscription]:
    """The subscriptions by their webhook's id. A record that is none is passed over: others may write to that topic."""
    found = {webhook_id: _read(record) for webhook_id, record in records.items()}
    return {webhook_id: subscription for webhook_id, subscription in found.items() if subscription is not None}


def read_record(record: bytes) -> StoredSubscription:
    """A subscription from its record."""
    return StoredSubscription.model_validate_json(record)


@lru_cache(maxsize=4096)
def _read(record: bytes) -> StoredSubscription | None:
    """As `read_record`. Remembered: the same few are read with every run of alerts."""
    try:
        return read_record(record)
    except ValidationError as wrong:
        log.warning("a webhook's record is passed over: %s", wrong.errors(include_input=False, include_url=False)[0])
        return None


def matches(subscription: Subscription, alert: QuotaAlert) -> bool:
    """Whether the alert is one that the subscription asks for. What an alert does not say matches no filter on it."""
    if subscription.kinds is not None and alert.kind not in subscription.kinds:
        return False
    if subscription.countries is not None and alert.country not in subscription.countries:
        return False
    if subscription.tiers is not None and alert.tier not in subscription.tiers:
        return False
    if subscription.severity_min is not None and _RANK[alert.severity] < _RANK[subscription.severity_min]:
        return False
    return subscription.sources is None or _comes_from(alert, subscription.sources)


def _comes_from(alert: QuotaAlert, sources: list[str]) -> bool:
    """An event key is `source#id`, and both may hold a # of their own."""
    return alert.event_key is not None and any(alert.event_key.startswith(f"{source}#") for source in sources)
