"""What a subscription asks for, and how its secret is kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ledger.errors import WrongCall
from schemas.quota_alert import QuotaAlert
from schemas.webhook import Webhook, WebhookRequest
from streams.webhooks.subscription import (
    SecretBox,
    StoredSubscription,
    UnreadableSecret,
    create,
    matches,
    read_record,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOX = SecretBox(SecretStr("a key for tests"))


def an_alert(**changes: Any) -> QuotaAlert:
    given: dict[str, Any] = {
        "alert_id": "al_1",
        "kind": "quota.near_cap",
        "severity": "warning",
        "country": "IN",
        "tier": 2,
        "event_key": "/logistics/acme#evt-1",
        "occurred_at": NOW,
        "recorded_at": NOW,
        "policy_id": "annual-50k",
        "policy_sha256": "0" * 64,
        "incident_key": "country:IN/2026/quota",
        "message": "India has used 75 % of its quota.",
    }
    return QuotaAlert.model_validate(given | changes)


def asking_for(**filters: Any) -> WebhookRequest:
    return WebhookRequest.model_validate({"url": "https://example.com/alerts"} | filters)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"kinds": ["quota.near_cap", "quota.exceeded"]}, True),
        ({"kinds": ["quota.exceeded"]}, False),
        ({"countries": ["AE", "IN"]}, True),
        ({"countries": ["AE"]}, False),
        ({"tiers": [2]}, True),
        ({"tiers": [1, 3]}, False),
        ({"severity_min": "info"}, True),
        ({"severity_min": "warning"}, True),
        ({"severity_min": "critical"}, False),
        ({"sources": ["/logistics/acme"]}, True),
        ({"sources": ["/logistics"]}, False),
        ({"countries": ["IN"], "kinds": ["quota.exceeded"]}, False),
    ],
)
def test_an_alert_goes_where_every_filter_lets_it_through(filters: dict[str, Any], *, wanted: bool) -> None:
    assert matches(asking_for(**filters), an_alert()) is wanted


def test_what_an_alert_does_not_say_passes_no_filter_on_it() -> None:
    alert = an_alert(kind="policy.adopted", country=None, tier=None, event_key=None)

    assert matches(asking_for(), alert)
    for filters in ({"countries": ["IN"]}, {"tiers": [2]}, {"sources": ["/logistics/acme"]}):
        assert not matches(asking_for(**filters), alert)


def test_a_source_with_a_number_sign_of_its_own_is_matched_whole() -> None:
    alert = an_alert(event_key="/a#b#evt#1")

    assert matches(asking_for(sources=["/a#b"]), alert)
    assert not matches(asking_for(sources=["/a#b#evt#1"]), alert)


def test_the_secret_is_told_once_and_kept_encrypted() -> None:
    stored, secret = create(asking_for(kinds=["quota.exceeded"]), BOX, now=NOW)

    record = stored.to_record()
    shown = stored.shown().model_dump_json()
    assert stored.id.startswith("wh_")
    assert stored.setting_key == f"webhook:{stored.id}"
    assert secret.removeprefix("whsec_").encode() not in record
    assert "secret" not in shown
    assert read_record(record).live_secrets(BOX, NOW) == [secret]


def test_a_record_says_again_what_was_asked_for() -> None:
    stored, _ = create(asking_for(countries=["IN"], description="duty desk", state="paused"), BOX, now=NOW)

    again = read_record(stored.to_record())

    assert again == stored
    assert again.shown() == Webhook(
        id=stored.id,
        url="https://example.com/alerts",
        countries=["IN"],
        description="duty desk",
        state="paused",
        created_at=NOW,
    )


def test_a_record_with_fields_of_a_later_version_is_still_read() -> None:
    stored, _ = create(asking_for(), BOX, now=NOW)
    later = json.loads(stored.to_record()) | {"invented_later": 1}
    later["secrets"][0]["live_until"] = "2026-03-02T00:00:00Z"

    assert read_record(json.dumps(later).encode()) == stored


def test_a_secret_under_another_key_is_named_and_no_key_is_refused() -> None:
    stored, _ = create(asking_for(), BOX, now=NOW)

    with pytest.raises(UnreadableSecret, match="QUOTA_SECRET_KEY"):
        stored.live_secrets(SecretBox(SecretStr("another key")), NOW)
    with pytest.raises(WrongCall, match="QUOTA_SECRET_KEY"):
        SecretBox(None)


def test_no_two_subscriptions_share_id_or_secret() -> None:
    made = [create(asking_for(), BOX, now=NOW) for _ in range(20)]

    assert len({stored.id for stored, _ in made}) == 20
    assert len({secret for _, secret in made}) == 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": ""},
        {"kinds": ["quota.nearcap"]},
        {"kinds": []},
        {"countries": ["in"]},
        {"tiers": [4]},
        {"severity_min": "high"},
        {"kind": ["quota.exceeded"]},
        {"state": "disabled"},
        {"format": "fax"},
    ],
)
def test_a_subscription_that_would_not_do_what_it_says_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asking_for(**wrong)


def test_a_changed_state_leaves_all_else() -> None:
    stored, _ = create(asking_for(), BOX, now=NOW)

    changed = stored.with_state("disabled")

    assert changed == StoredSubscription.model_validate(stored.model_dump() | {"state": "disabled"})
