"""The signature, with the Standard Webhooks package as the judge."""

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from streams.webhooks.signing import TOLERANCE_S, WrongSignature, new_secret, sign, verify

BODY = '{"type":"quota.near_cap","data":{"message":"Österreich, 昇腾"}}'.encode()
MESSAGE = "al_0123456789abcdef"


def headers(signature: str, timestamp_s: int) -> dict[str, str]:
    return {"webhook-id": MESSAGE, "webhook-timestamp": str(timestamp_s), "webhook-signature": signature}


def test_a_secret_is_whsec_and_24_to_64_random_bytes() -> None:
    secret = new_secret()

    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert secret != new_secret()


def test_the_signature_is_the_one_the_standard_asks_for() -> None:
    secret, now_s = new_secret(), int(time.time())

    ours = sign([secret], MESSAGE, now_s, BODY)

    assert Webhook(secret).sign(MESSAGE, datetime.fromtimestamp(now_s, UTC), BODY.decode()) == ours


def test_a_strangers_receiver_verifies_it_and_refuses_a_changed_body() -> None:
    secret, now_s = new_secret(), int(time.time())
    told = headers(sign([secret], MESSAGE, now_s, BODY), now_s)

    assert Webhook(secret).verify(BODY, told)["type"] == "quota.near_cap"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.replace(b"near_cap", b"exceeded"), told)


def test_while_secrets_are_rotated_receivers_of_the_old_and_of_the_new_one_verify() -> None:
    old, new, now_s = new_secret(), new_secret(), int(time.time())
    told = headers(sign([new, old], MESSAGE, now_s, BODY), now_s)

    for held in (old, new):
        assert Webhook(held).verify(BODY, told)
        verify([held], told, BODY, now_s=now_s)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, told)


def test_verify_takes_what_the_package_signs() -> None:
    secret, now_s = new_secret(), int(time.time())
    theirs = Webhook(secret).sign(MESSAGE, datetime.fromtimestamp(now_s, UTC), BODY.decode())

    verify(["whsec_" + base64.b64encode(b"x" * 24).decode(), secret], headers(theirs, now_s), BODY, now_s=now_s)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-id": "al_other"}, "no signature fits"),
        ({"webhook-signature": "v1,AAAA"}, "no signature fits"),
        ({"webhook-signature": "v1,not base64 at all"}, "no signature fits"),
        ({"webhook-signature": "v1a,AAAA"}, "no signature fits"),
        ({"webhook-signature": ""}, "no signature fits"),
        ({"webhook-timestamp": "1000000001"}, "no signature fits"),
        ({"webhook-timestamp": "yesterday"}, "no number"),
    ],
)
def test_a_forged_message_is_refused(change: dict[str, str], why: str) -> None:
    secret = new_secret()
    told = headers(sign([secret], MESSAGE, 1_000_000_000, BODY), 1_000_000_000) | change

    with pytest.raises(WrongSignature, match=why):
        verify([secret], told, BODY, now_s=1_000_000_000)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_a_header_is_refused(name: str) -> None:
    secret = new_secret()
    told = headers(sign([secret], MESSAGE, 1_000_000_000, BODY), 1_000_000_000)
    del told[name]

    with pytest.raises(WrongSignature, match=name):
        verify([secret], told, BODY, now_s=1_000_000_000)


@pytest.mark.parametrize("late_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_a_message_from_another_time_is_refused(late_s: int) -> None:
    secret = new_secret()
    told = headers(sign([secret], MESSAGE, 1_000_000_000, BODY), 1_000_000_000)

    with pytest.raises(WrongSignature, match="300 s"):
        verify([secret], told, BODY, now_s=1_000_000_000 + late_s)


def test_header_names_are_read_in_any_case() -> None:
    secret = new_secret()
    told = {name.title(): text for name, text in headers(sign([secret], MESSAGE, 10, BODY), 10).items()}

    verify([secret], told, BODY, now_s=10)
