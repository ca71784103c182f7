"""Tell a simulated history, or live through many.

python -m tests.simulation --guard common     how the common guard loses an event, and ours does not
python -m tests.simulation --guard NAME       the first history that goes wrong without one of our guards
python -m tests.simulation --seed N           every step of one history
python -m tests.simulation --histories N      as many, from --begin on; ends at the first that breaks a promise
"""

import argparse
import logging
import sys
from dataclasses import replace

from tests.simulation.guards import GUARDS, first_broken
from tests.simulation.truth import Broken
from tests.simulation.world import World

COMMON = GUARDS[0]
SMALL = replace(COMMON.mix, events=3, repeats=0, plain=1, partitions=1, workers=2, steps=130, wake=1)
SHORT = 675
"""A seed that is soon told. Whatever the simulation becomes, the next one that breaks will do."""

WORTH_TELLING = ("writes", "fetches", "posts shipments", "falls back", "leaves", "killed", "all faults end")


def tell_common_guard() -> None:
    """Two runs of one seed, alike until the guards differ."""
    world, broken = first_broken(replace(COMMON, mix=SMALL), begin=SHORT)
    print(f"The common guard (drop what is at or below the stored offset, post the rest), seed {world.seed!r}:")
    _print(world, f"LOST: {broken}")
    ours = World(world.seed, SMALL).run()
    print("\nOurs (post a run only if the stored offset is the one delivered before it), the same seed:")
    _print(ours, "Every event is booked, exactly once.")


def _told(world):
    told = (step for step in world.steps if any(words in step for words in WORTH_TELLING))
    return [step for step in told if ": accounts;" not in step]  # a level is crossed, and the call made again


def _print(world, end) -> None:
    for number, step in enumerate([*_told(world), end], 1):
        print(f"{number:4}  {step}")


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guard", choices=["common", *(guard.name for guard in GUARDS)])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--begin", type=int, default=0)
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if wanted.guard == "common":
        tell_common_guard()
    elif wanted.guard:
        guard = next(guard for guard in GUARDS if guard.name == wanted.guard)
        world, broken = first_broken(guard)
        print(f"Without this guard, {guard.why}. Seed {world.seed!r}:")
        _print(world, f"BROKEN: {broken}")
    elif wanted.seed is not None:
        return _live_through([wanted.seed], tell=True)
    else:
        return _live_through(range(wanted.begin, wanted.begin + wanted.histories), tell=False)
    return 0


def _live_through(seeds, *, tell) -> int:
    for seed in seeds:
        world = World(seed)
        try:
            world.run()
        except Broken as broken:
            print("\n".join(world.steps))
            print(f"BROKEN, seed {seed}: {broken}")
            return 1
        if tell:
            print("\n".join(world.steps))
    print(f"{len(seeds)} histories held every promise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
