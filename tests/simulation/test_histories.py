"""Thousands of random histories of faults, each from one seed: after every step and at the end, the promises hold.

`SIMULATED_HISTORIES` says how many; CI lives through ten thousand. A seed that fails is printed with its steps and kept
in `seeds.txt`; those are lived through first, for ever. `python -m tests.simulation --seed N` tells one of them.
"""

import logging
import os
from pathlib import Path

import pytest

from tests.simulation.truth import Broken
from tests.simulation.world import World

HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "10000" if os.environ.get("CI") else "1000"))
AT_ONCE = 100
KEPT = Path(__file__).with_name("seeds.txt")
KEPT_SEEDS = [int(line.split()[0]) for line in KEPT.read_text().splitlines() if line[:1].isdigit()]


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def live_through(seed):
    world = World(seed)
    try:
        world.run()
    except Broken as broken:
        if seed not in KEPT_SEEDS:
            with KEPT.open("a") as kept:
                kept.write(f"{seed}  {broken}\n")
        steps = "\n".join(world.steps)
        pytest.fail(f"history {seed}: {broken}\n{steps}", pytrace=False)
    return world


@pytest.mark.parametrize("seed", KEPT_SEEDS)
def test_a_history_that_once_broke_a_promise_holds_them(seed):
    live_through(seed)


@pytest.mark.parametrize("begin", range(0, HISTORIES, AT_ONCE))
def test_random_histories_hold_every_promise(begin):
    for seed in range(begin, min(begin + AT_ONCE, HISTORIES)):
        live_through(seed)


def test_the_same_seed_gives_the_same_history():
    for seed in range(5):
        assert live_through(seed).steps == live_through(seed).steps


def test_histories_meet_every_fault():
    """Lest a change of the simulation leaves one out, and everything goes well for that reason."""
    told = "\n".join(step for seed in range(150) for step in live_through(seed).steps)

    faults = (
        "is killed", "freezes", "wakes up", "leaves:", "Redis falls back", "Redis is emptied", "contradicting",
        "a bad record", "somebody adopts", "is interrupted", ": posted", ": behind", ": fenced", ": known",
        ": families", ": accounts", ": policy", ": adopting",
    )  # fmt: skip
    assert [fault for fault in faults if fault not in told] == []
