"""When a failed delivery is tried again. Pure: the random number comes in."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MINUTE_S, HOUR_S = 60, 3600

DELAYS_S = (
    0,
    5,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
"""The wait before each attempt, counted from the end of the one before it: three days in all."""

ATTEMPTS_MAX = len(DELAYS_S)
JITTER = 0.2
"""Up to this part is added to a delay, so that a receiver coming back does not meet everything at once."""

RETRY_AFTER_MAX_S = 24 * HOUR_S


def retry_delay_s(failed_attempts: int, *, retry_after_s: float | None, random: float) -> float | None:
    """How long to wait after a failure.

    Args:
        failed_attempts: how many attempts have failed, from 1.
        retry_after_s: what the receiver asked for; it can only lengthen the wait, by a day at most.
        random: a number from 0 to 1.

    Returns:
        Seconds until the next attempt, None when there is none.
    """
    if failed_attempts >= ATTEMPTS_MAX:
        return None
    delay_s = DELAYS_S[failed_attempts] * (1 + JITTER * random)
    return max(delay_s, min(retry_after_s or 0, RETRY_AFTER_MAX_S))


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks for: a number of seconds or an HTTP date; None if it says neither.

    Of the three forms of a date that RFC 9110 §5.6.7 wants read, asctime's names no zone: all are in UTC.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        stated = parsedate_to_datetime(text)
        asked_for = stated if stated.tzinfo else stated.replace(tzinfo=UTC)
        return max((asked_for - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
