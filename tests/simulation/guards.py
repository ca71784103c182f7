"""The guards of exactly-once, each with what it is for and the traffic in which its absence is felt soonest.

A guard is switched off at one named place of the models; the product's code stays as it is. `test_guards.py` proves
that each is needed.
"""

from dataclasses import dataclass

from tests.simulation.truth import Broken
from tests.simulation.world import Mix, World

HISTORIES_MAX = 1_500
"""How many histories may go well before a guard counts as not needed."""

_CALM = Mix(reply_lost=0, crash=0, freeze=0, thaw=0, rebalance=0, fall_back=0, pass_time=0, adopt=0, conflicts=0, bad=0)


def _mix(**changed) -> Mix:
    return Mix(**(vars(_CALM) | changed))


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes:
        name: by which the models know it.
        why: what goes wrong without it.
        mix: what happens in the histories that show it.
    """

    name: str
    why: str
    mix: Mix


GUARDS = (
    Guard(
        "compare-and-set",
        "after a fall-back, a run that lies ahead is posted, and what lies between is lost",
        _mix(fall_back=2, freeze=1, thaw=2, rebalance=1),
    ),
    Guard(
        "prev stamped at fetch",
        "a queued run is posted behind whatever checkpoint stands, also one that fell back",
        _mix(fall_back=2),
    ),
    Guard(
        "positions forgotten",
        "what is fetched before the seek is taken for what follows the position of an assignment before",
        _mix(fall_back=2, rebalance=3, steps=500, partitions=1, workers=2),
    ),
    Guard("ids", "an event that was sent twice is booked twice", _mix(repeats=0.5)),
    Guard(
        "saying what was told",
        "an event is passed over as known, though Redis has forgotten it between the two calls",
        _mix(repeats=0.6, conflicts=0.4, fall_back=3, events=4, partitions=3, steps=400),
    ),
    Guard("one atomic call", "a crash between the halves books a run twice", _mix(crash=1)),
    Guard("start from Redis", "the group begins where the lost Redis was, and can never go on", _mix(fall_back=2)),
    Guard("fail-stop", "a worker that goes on without its run waits for ever", _mix(fall_back=2)),
    Guard("awaited marks", "an original does not find the events that came before it", _mix(plain=0)),
    Guard(
        "conditional removal",
        "after a fall-back, another alert lies at the head of the outbox, and is removed untold",
        _mix(fall_back=1.5, bad=0.9, freeze=6, thaw=2, pass_time=4, produce=20, fetch=20, wake=8, steps=400),
    ),
    Guard(
        "the ledger's day",
        "a run is measured by the caps of a day that is over, after the accounts were measured by those of the next",
        _mix(pass_time=6, workers=3, partitions=3, events=30, steps=400, plain=1, wake=15, repeats=0),
    ),
    Guard(
        "family versions",
        "two workers each add an event to the family that both have read, and one is lost",
        _mix(plain=0, partitions=3, workers=3),
    ),
)


def first_broken(guard: Guard, begin: int = 0) -> tuple[World, Broken]:
    """The first history from a seed on that breaks a promise without this guard, and which promise."""
    for seed in range(begin, begin + HISTORIES_MAX):
        world = World(f"{guard.name} {seed}", guard.mix, off=[guard.name])
        try:
            world.run()
        except Broken as broken:
            return world, broken
    raise AssertionError(f"{HISTORIES_MAX} histories went well without this guard: {guard.name}")
