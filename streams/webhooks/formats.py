"""An alert as a receiver's request body: by Standard Webhooks, for Slack, or for PagerDuty. Pure.

What an alert says may come from strangers: into Slack's markup it is escaped.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ledger.errors import WrongCall
from schemas.plain_text import in_one_line
from schemas.quota_alert import QuotaAlert
from schemas.webhook import WebhookFormat

ROUTING_KEY = "routing_key"
"""The query parameter that carries PagerDuty's key in a subscription's address; it is sent in the body only."""

_DEDUP_MAX = 255
_SUMMARY_MAX = 1024
"""Characters that PagerDuty takes."""

_TEXT_MAX = 500
"""Slack takes 3,000 characters in a block, and each of ours may become five by escaping."""


@lru_cache(maxsize=64)
def request_of(alert: bytes, format_: WebhookFormat, url: str) -> tuple[str, bytes]:
    """The address to post to, and the body. Remembered: an alert goes to many at about the same time.

    Args:
        alert: in JSON, as it lies on the topic.
        format_: the subscription's.
        url: the subscription's.

    Raises:
        ValueError: the alert cannot be read.
    """
    if format_ == "standard":
        return url, _standard(alert)
    told = QuotaAlert.model_validate_json(alert)
    if format_ == "slack":
        return url, _json(_slack(told))
    address, routing_key = _without_key(url)
    return address, _json(_pagerduty(told, routing_key))


def check_address(format_: WebhookFormat, url: str) -> None:
    """Raise WrongCall where an address lacks what the format needs."""
    if format_ == "pagerduty" and not _without_key(url)[1]:
        example = f"https://events.pagerduty.com/v2/enqueue?{ROUTING_KEY}=…"
        raise WrongCall(f"url: PagerDuty needs the integration's key; write {example}")


def _standard(alert: bytes) -> bytes:
    """The body of Standard Webhooks around an alert, which keeps the bytes it has on the topic."""
    told = json.loads(alert)
    kind, occurred_at = (json.dumps(told[name]).encode() for name in ("kind", "occurred_at"))
    return b'{"type":%b,"timestamp":%b,"data":%b}' % (kind, occurred_at, alert)


def _slack(alert: QuotaAlert) -> dict[str, Any]:
    """A message of Slack's Block Kit for an incoming webhook. `text` is what a notification shows."""
    text = _escaped(f"{alert.severity.capitalize()}: {alert.message}")
    about = [alert.kind, alert.shipment_id or alert.event_key, alert.policy_id, alert.incident_key]
    context = _escaped(" · ".join(part for part in about if part))
    return {
        "text": text,
        "mrkdwn": False,
        "blocks": [{"type": "section", "text": _plain(text)}, {"type": "context", "elements": [_plain(context)]}],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _plain(text: str) -> dict[str, Any]:
    """Text in which neither markup nor the names of emoji mean anything."""
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    """Text in one line that Slack takes for no mention and no link: `<!channel>` would ring everybody."""
    line = in_one_line(text)[:_TEXT_MAX]
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pagerduty(alert: QuotaAlert, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2; alerts of one incident share its `dedup_key`."""
    return {
        "routing_key": routing_key,
        "event_action": "resolve" if _is_over(alert) else "trigger",
        "dedup_key": _short(alert.incident_key),
        "payload": {
            "summary": alert.message[:_SUMMARY_MAX],
            "source": "quota-ledger",
            "severity": alert.severity,
            "timestamp": alert.occurred_at.isoformat(),
            "component": alert.account,
            "class": alert.kind,
            "custom_details": alert.model_dump(mode="json", exclude_none=True),
        },
    }


def _is_over(alert: QuotaAlert) -> bool:
    """Whether nothing of the incident is left: the balance is below the lowest level, or measured by no cap now."""
    if alert.kind != "quota.recovered":
        return False
    if alert.cap_tpp is None or alert.used_tpp is None:
        return True
    lowest = int(alert.evidence.get("lowest_level", 0))
    return 100 * alert.used_tpp < lowest * alert.cap_tpp


def _without_key(url: str) -> tuple[str, str]:
    """An address without PagerDuty's key, and the key, "" if there is none."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    rest = [(name, value) for name, value in query if name != ROUTING_KEY]
    return urlunsplit(parts._replace(query=urlencode(rest))), dict(query).get(ROUTING_KEY, "")


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _short(incident_key: str) -> str:
    """At most the 255 characters that PagerDuty takes, and still another one for another incident."""
    if len(incident_key) <= _DEDUP_MAX:
        return incident_key
    return f"{incident_key[:180]}/{hashlib.sha256(incident_key.encode()).hexdigest()}"
