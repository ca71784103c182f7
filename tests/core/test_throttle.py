"""How often a caller may call: at once, over time, and each for itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.api.throttle import BURST_S, Throttle


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_what_was_not_used_for_a_while_may_come_at_once_and_then_one_by_one():
    clock = Clock()
    throttle = Throttle(2, clock)
    at_once = [throttle.wait_s("a") for _ in range(21)]
    assert at_once == [0] * 20 + [0.5]
    assert throttle.wait_s("a") == 0.5, "a call that was refused does not count"
    clock.now_s += 0.5

    assert [throttle.wait_s("a"), throttle.wait_s("a")] == [0, 0.5]


def test_each_caller_counts_for_itself():
    throttle = Throttle(1, Clock())
    while not throttle.wait_s("a"):
        pass

    assert throttle.wait_s("b") == 0


def test_nought_holds_nobody_back_and_a_slow_limit_lets_one_pass():
    assert {Throttle(0, Clock()).wait_s("a") for _ in range(1000)} == {0}
    slow = Throttle(0.01, Clock())

    assert [slow.wait_s("a"), slow.wait_s("a")] == [0, pytest.approx(100)]


@given(st.floats(0.5, 1000), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_in_no_stretch_of_time_more_pass_than_the_limit_and_one_burst(calls_per_s, pauses_s):
    clock = Clock()
    throttle, passed = Throttle(calls_per_s, clock), []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        if not throttle.wait_s("a"):
            passed.append(clock.now_s)

    burst = max(1, BURST_S * calls_per_s)
    for first, began_s in enumerate(passed):
        for count, now_s in enumerate(passed[first:], 1):
            assert count <= burst + calls_per_s * (now_s - began_s) + 1


@given(st.floats(0.5, 20), st.integers(1, 5))
def test_who_waits_as_told_passes(calls_per_s, rounds):
    clock = Clock()
    throttle = Throttle(calls_per_s, clock)
    for _ in range(rounds):
        while not (wait_s := throttle.wait_s("a")):
            pass
        clock.now_s += wait_s + 1e-6

        assert throttle.wait_s("a") == 0
