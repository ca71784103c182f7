"""What is asked of the endpoint that `up` started, over HTTP as anyone would, and never by a proxy."""

import json
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from ledger.errors import LedgerUnavailable, WrongCall
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import QuotaList
from schemas.webhook import WebhookCreated
from streams.api.alerts import AlertPage

_TIMEOUT_S = 5.0
_POST_TIMEOUT_S = 30.0
_SERVER_ERROR = 500


class Endpoint:
    """The endpoint at `url`. Questions answer None while it does not: it may be starting again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = build_opener(ProxyHandler({}))
        self._seen: set[str] = set()

    def is_ready(self) -> bool:
        """Whether balances can be asked for."""
        return self._get("/readyz", {}) is not None

    def balances(self, period: str) -> QuotaList | None:
        """Every country's balance in a period."""
        answer = self._get("/v1/quotas", {"period": period})
        return None if answer is None else QuotaList.model_validate_json(answer)

    def new_alerts(self, limit: int) -> list[QuotaAlert]:
        """The alerts that were not answered before, oldest first; of more than `limit` the newest."""
        answer = self._get("/v1/alerts", {"limit": str(limit)})
        if answer is None:
            return []
        newest_first = AlertPage.model_validate_json(answer).items
        fresh = [alert for alert in reversed(newest_first) if alert.alert_id not in self._seen]
        self._seen.update(alert.alert_id for alert in fresh)
        return fresh

    def subscribe(self, receiver_url: str) -> str:
        """Have every alert sent to a receiver; returns the secret that it verifies signatures with.

        Raises:
            WrongCall, LedgerUnavailable: see `post`.
        """
        told = self.post("/v1/webhooks", {"url": receiver_url, "description": "the receiver of `up --sample`"})
        return WebhookCreated.model_validate_json(told).secret

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """What it answers to a POST.

        Raises:
            WrongCall: it refused, and says why.
            LedgerUnavailable: it did not answer, or could not.
        """
        content = json.dumps(body).encode()
        request = Request(self.url + path, content, {"Content-Type": "application/json"})  # noqa: S310  ours
        try:
            with self._opener.open(request, timeout=_POST_TIMEOUT_S) as answer:
                told: bytes = answer.read()
                return told
        except HTTPError as refusal:
            with refusal, suppress(ValueError, KeyError):
                problem = json.load(refusal)["detail"]
                raise (LedgerUnavailable if refusal.code >= _SERVER_ERROR else WrongCall)(problem) from None
            raise LedgerUnavailable(f"{self.url} answered {refusal.code}") from None
        except (OSError, HTTPException) as failure:
            raise LedgerUnavailable(f"{self.url} does not answer: {failure}") from None

    def knows_receiver(self, receiver_url: str) -> bool:
        """Whether the subscription has reached the ledger."""
        answer = self._get("/v1/webhooks", {})
        return answer is not None and any(item["url"] == receiver_url for item in json.loads(answer)["items"])

    def _get(self, path: str, query: Mapping[str, str]) -> bytes | None:
        try:
            with self._opener.open(f"{self.url}{path}?{urlencode(query)}", timeout=_TIMEOUT_S) as answer:
                body: bytes = answer.read()
                return body
        except HTTPError as refusal:
            refusal.close()
            return None
        except (OSError, HTTPException):
            return None
