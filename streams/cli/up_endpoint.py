"""What `up` asks of the endpoint that it started, over HTTP as anyone would."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from ledger.errors import LedgerUnavailable
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import QuotaList
from streams.api.alerts import AlertPage

_TIMEOUT_S = 5.0


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
            LedgerUnavailable: the endpoint refused, or did not answer.
        """
        body = json.dumps({"url": receiver_url, "description": "the receiver of `up --sample`"}).encode()
        request = Request(f"{self.url}/v1/webhooks", body, {"Content-Type": "application/json"})  # noqa: S310  ours
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                secret: str = json.load(answer)["secret"]
        except HTTPError as refusal:
            with refusal:
                raise LedgerUnavailable(f"the webhook was refused: {refusal.read().decode()[:300]}") from None
        except (OSError, HTTPException) as failure:
            raise LedgerUnavailable(f"the endpoint did not answer: {failure}") from None
        return secret

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
