"""Every guard of exactly-once is needed: without it a seeded history breaks a promise; with it that one does not."""

import logging

import pytest

from tests.simulation.__main__ import tell_common_guard
from tests.simulation.guards import GUARDS, first_broken
from tests.simulation.world import World


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_a_guard_a_promise_breaks_that_holds_with_it(guard):
    world, _broken = first_broken(guard)

    World(world.seed, guard.mix).run()


def test_a_command_tells_how_the_common_guard_loses_an_event_and_ours_does_not(capsys):
    tell_common_guard()
    common, ours = capsys.readouterr().out.split("\n\n")

    assert "fenced" not in common
    assert "but neither booked nor parked" in common
    assert "fenced" in ours
    assert "Every event is booked" in ours
