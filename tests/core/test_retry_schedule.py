"""When a failed delivery is tried again."""

from datetime import UTC, datetime
from itertools import accumulate

import pytest

from streams.webhooks.schedule import ATTEMPTS_MAX, read_retry_after, retry_delay_s

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR_S = 3600


def test_the_waits_are_those_that_receivers_were_told() -> None:
    waits = [retry_delay_s(failed, retry_after_s=None, random=0.0) for failed in range(1, 11)]

    assert waits == [5, 300, 1800, *(hours * HOUR_S for hours in (2, 5, 10, 14, 20, 24)), None]


def test_ten_attempts_are_spread_over_three_days() -> None:
    waits = [retry_delay_s(failed, retry_after_s=None, random=0.0) or 0 for failed in range(1, ATTEMPTS_MAX)]

    assert ATTEMPTS_MAX == 10
    assert 3 * 24 * HOUR_S < list(accumulate(waits))[-1] < 4 * 24 * HOUR_S


@pytest.mark.parametrize("failed", range(1, 10))
def test_jitter_only_lengthens_a_wait_by_a_fifth_at_most(failed: int) -> None:
    [short, middle, long] = [retry_delay_s(failed, retry_after_s=None, random=number) for number in (0.0, 0.5, 1.0)]

    assert short is not None
    assert middle == pytest.approx(short * 1.1)
    assert long == pytest.approx(short * 1.2)


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(120, 120), (3, 5), (0, 5), (-9, 5), (10**9, 24 * HOUR_S), (None, 5)]
)
def test_retry_after_lengthens_a_wait_within_a_day_and_never_shortens_it(asked_s: float, waited_s: float) -> None:
    assert retry_delay_s(1, retry_after_s=asked_s, random=0.0) == waited_s


def test_retry_after_buys_no_eleventh_attempt() -> None:
    assert retry_delay_s(10, retry_after_s=60, random=0.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("9" * 5000, 999_999_999_999),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Sun, 99 Mar 2026 12:02:00 GMT", None),
        ("Sun, 01 Mar 2026 14:02:00 +0200", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251_629_934_399),
        ("Sun, 01 Mar 99999 12:02:00 GMT", None),
    ],
)
def test_what_a_retry_after_asks_for(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOW) == seconds
