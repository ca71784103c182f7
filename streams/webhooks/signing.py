"""The signature of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, and how a receiver verifies it.

Secrets are shown as `whsec_` and base64. While one is being changed for another, a message carries a signature by each.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret begins with, none itself
SECRET_BYTES = 32
"""The standard asks for 24 to 64."""

TOLERANCE_S = 300
"""How far a message's timestamp may lie from the receiver's clock."""


class WrongSignature(Exception):  # noqa: N818  the field's word
    """The message is not from a holder of the secret, or too old: do not act on it."""


def new_secret() -> str:
    """A secret nobody can guess."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(live_secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature by each secret, separated by spaces.

    Args:
        live_secrets: `whsec_` texts, at least one.
        message_id: the header `webhook-id`; without a dot.
        timestamp_s: the header `webhook-timestamp`, seconds since 1970.
        body: the bytes that are sent.
    """
    assert live_secrets, "a message without a signature would be refused by every receiver"
    assert "." not in message_id, "a dot would let two messages share their signed bytes"
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    return " ".join(f"v1,{base64.b64encode(_digest(secret, signed)).decode()}" for secret in live_secrets)


def verify(live_secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now_s: float) -> None:
    """Check one message as a receiver should, before reading its body.

    Args:
        live_secrets: the secrets the receiver holds; any of them will do.
        headers: the request's headers, names in any case.
        body: the bytes as they came.
        now_s: the receiver's clock, seconds since 1970.

    Raises:
        WrongSignature: saying what is wrong. A message that verifies may still be a repetition: remember its id.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stated_time, signatures = (named[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
        timestamp_s = int(stated_time)
    except KeyError as missing:
        raise WrongSignature(f"the header {missing} is missing") from None
    except ValueError:
        raise WrongSignature("the header webhook-timestamp is no number of seconds") from None
    if abs(now_s - timestamp_s) > TOLERANCE_S:
        raise WrongSignature(f"the message's time is more than {TOLERANCE_S} s away from here")
    signed = b"%b.%b.%b" % (message_id.encode(), stated_time.encode(), body)
    expected = [_digest(secret, signed) for secret in live_secrets]
    for signature in signatures.split():
        version, _, encoded = signature.partition(",")
        if version == "v1" and any(hmac.compare_digest(digest, _decoded(encoded)) for digest in expected):
            return
    raise WrongSignature("no signature fits: another secret, or the body was changed")


def _digest(secret: str, signed: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return hmac.new(key, signed, hashlib.sha256).digest()


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
