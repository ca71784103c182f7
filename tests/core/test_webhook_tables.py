"""Webhooks and deliveries on a terminal: nothing secret, and nothing by which a stranger could steer it."""

from datetime import UTC, datetime

from schemas.webhook import Delivery, Webhook
from streams.cli.tables import delivery_table, show, webhook_table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEERING = "\x1b]0;owned\x07\x1b[2J[red]bold[/red]\r\n<b>\u202e"


def printed(capsys, table):
    show(table)
    return capsys.readouterr().out


def a_webhook(**changes):
    given = {"id": "wh_1", "url": "https://hooks.example/T0/secret", "state": "active", "created_at": NOW}
    return Webhook.model_validate(given | changes)


def a_delivery(**changes):
    given = {
        "delivery_id": "wh_1:al_1", "webhook_id": "wh_1", "alert_id": "al_1", "sequence": 4, "attempt": 2, "at": NOW,
        "outcome": "failed", "status": 503, "latency_ms": 1234, "answer": "later", "error": None, "next_at": None,
    }  # fmt: skip
    return Delivery.model_validate(given | changes)


def test_of_an_address_only_the_host_is_shown_for_the_rest_may_be_a_secret(capsys):
    told = printed(capsys, webhook_table([a_webhook()]))

    assert "hooks.example" in told
    assert "secret" not in told


def test_filters_are_told_in_words(capsys):
    asked = {"kinds": ["quota.exceeded"], "countries": ["IN", "AE"], "tiers": [2], "severity_min": "critical"}

    assert "quota.exceeded; IN, AE; tier 2; critical and above" in printed(capsys, webhook_table([a_webhook(**asked)]))
    assert "everything" in printed(capsys, webhook_table([a_webhook()]))
    assert printed(capsys, webhook_table([])) == "No webhooks.\n"


def test_an_attempt_says_what_was_answered_or_why_nothing_was(capsys):
    told = printed(capsys, delivery_table([a_delivery(), a_delivery(status=None, error="no answer within 15 s")]))

    assert "503" in told
    assert "1,234" in told
    assert "later" in told
    assert "no answer within 15 s" in told
    assert printed(capsys, delivery_table([])) == "No deliveries.\n"


def test_what_strangers_wrote_does_not_steer_a_terminal(capsys):
    told = printed(capsys, delivery_table([a_delivery(answer=STEERING), a_delivery(error=STEERING)]))
    told += printed(capsys, webhook_table([a_webhook(description=STEERING, sources=[STEERING])]))

    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(told)
    assert "[red]bold[/red]" in told
