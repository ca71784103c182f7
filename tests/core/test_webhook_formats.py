"""What an alert is to Slack and to PagerDuty; what strangers wrote means nothing there."""

import json
from datetime import UTC, datetime

import pytest

from ledger.errors import WrongCall
from schemas.quota_alert import QuotaAlert
from streams.webhooks.formats import check_address, request_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue?routing_key=R0&x=1"
INJECTIONS = [
    "<!channel>", "<!here|here>", "<@U012>", "<https://evil.example|click>", "&lt;!channel&gt;",
    "*bold*\n_new_\r\nline",
    "<script>alert(1)</script>", "=cmd|'/c calc'!A0", "\u2028<!everyone>", '"}],"x":[{"', ":bomb:",
]  # fmt: skip


def an_alert(**changes):
    given = {
        "alert_id": "al_1", "kind": "quota.near_cap", "severity": "warning", "country": "IN", "level": 75,
        "account": "country:IN", "period": "2026", "used_tpp": 760, "cap_tpp": 1000, "occurred_at": NOW,
        "recorded_at": NOW, "policy_id": "p", "policy_sha256": "0", "incident_key": "quota/country:IN/2026",
        "message": "India reached 75 %.", "evidence": {"lowest_level": 75},
    }  # fmt: skip
    return QuotaAlert.model_validate(given | changes)


def body_of(format_, url="https://hooks.slack.com/x", **changes):
    address, body = request_of(an_alert(**changes).model_dump_json().encode(), format_, url)
    return address, json.loads(body)


def test_slack_gets_blocks_of_plain_text_and_a_line_for_the_notification():
    address, body = body_of("slack")

    assert address == "https://hooks.slack.com/x"
    assert body["text"] == "Warning: India reached 75 %."
    assert {block["type"] for block in body["blocks"]} == {"section", "context"}
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": body["text"], "emoji": False}
    assert "quota/country:IN/2026" in body["blocks"][1]["elements"][0]["text"]


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("field", ["message", "shipment_id", "event_key", "policy_id", "incident_key"])
def test_nothing_that_a_stranger_writes_is_markup_in_slack(field, injection):
    _, body = body_of("slack", **{field: injection})
    texts = [body["text"], body["blocks"][0]["text"]["text"], body["blocks"][1]["elements"][0]["text"]]

    assert not any(sign in text for text in texts for sign in "<>\n\r\u2028")
    assert body["mrkdwn"] is False
    assert {part["type"] for part in (body["blocks"][0]["text"], *body["blocks"][1]["elements"])} == {"plain_text"}
    assert len(body["blocks"]) == 2


def test_what_is_long_fits_into_a_block_of_slack_when_escaped():
    _, body = body_of("slack", message="<" * 5000)

    assert len(body["blocks"][0]["text"]["text"]) < 3000


def test_pagerduty_gets_its_key_in_the_body_alone_and_one_incident_for_all_levels():
    address, body = body_of("pagerduty", PAGERDUTY)

    assert address == "https://events.pagerduty.com/v2/enqueue?x=1"
    assert (body["routing_key"], body["event_action"]) == ("R0", "trigger")
    assert body["dedup_key"] == "quota/country:IN/2026"
    assert body["payload"]["severity"] == "warning"
    assert body["payload"]["summary"] == "India reached 75 %."
    assert body["payload"]["custom_details"]["used_tpp"] == 760


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"kind": "quota.recovered", "level": 90, "used_tpp": 760}, "trigger"),
        ({"kind": "quota.recovered", "level": 90, "used_tpp": 750}, "trigger"),
        ({"kind": "quota.recovered", "level": 90, "used_tpp": 749}, "resolve"),
        ({"kind": "quota.recovered", "level": 75, "used_tpp": 100}, "resolve"),
        ({"kind": "quota.recovered", "level": 90, "cap_tpp": None, "evidence": {}}, "resolve"),
        ({"kind": "quota.exceeded", "used_tpp": 1001}, "trigger"),
        ({"kind": "tier3.shipment"}, "trigger"),
    ],
)
def test_an_incident_resolves_when_the_balance_is_below_the_lowest_level(changes, action):
    assert body_of("pagerduty", PAGERDUTY, **changes)[1]["event_action"] == action


def test_incidents_with_long_names_stay_apart_in_pagerduty():
    keys = {body_of("pagerduty", PAGERDUTY, incident_key="x" * 400 + end)[1]["dedup_key"] for end in "ab"}

    assert len(keys) == 2
    assert all(len(key) <= 255 for key in keys)


def test_a_subscription_to_pagerduty_without_its_key_is_refused_with_advice():
    check_address("pagerduty", PAGERDUTY)
    check_address("slack", "https://hooks.slack.com/x")
    with pytest.raises(WrongCall, match="routing_key"):
        check_address("pagerduty", "https://events.pagerduty.com/v2/enqueue")
