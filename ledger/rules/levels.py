"""When a balance crosses an alert level, falls back from it, or may move without anybody being told.

A level is a percentage of the cap. It is crossed once: it stays crossed until the balance has fallen at least one
point of the cap below it, and only then is it armed again. Passing the cap itself is one more mark, `over`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

FAR = 2**53 - 1
"""Farther than any balance gets: the bounds of an account that nothing limits."""

OVER = "over"


@dataclass(frozen=True, slots=True)
class Mark:
    """One level of one account: how often it was armed, and when it was crossed if it stands crossed."""

    armed: int = 1
    crossed_at: datetime | None = None


Marks = Mapping[str, Mark]
"""By level (`"75"`) and `OVER`; an absent mark is armed for the first time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account's levels are measured by.

    Attributes:
        cap_tpp: None: no limit.
        levels: percent.
        reserved_counts: whether what is reserved counts as used.
    """

    cap_tpp: int | None
    levels: tuple[int, ...]
    reserved_counts: bool = False

    def used(self, posted_tpp: int, reserved_tpp: int) -> int:
        """What counts as used, in TPP."""
        return posted_tpp + reserved_tpp if self.reserved_counts else posted_tpp

    def reached_at(self, mark: str) -> int:
        """The smallest use, in TPP, that crosses a mark: use x 100 >= level x cap; for `over`, use > cap."""
        assert self.cap_tpp is not None
        return self.cap_tpp + 1 if mark == OVER else -(-int(mark) * self.cap_tpp // 100)

    def left_at(self, mark: str) -> int:
        """The largest use that arms a crossed mark again: one point of the cap below it; `over` counts as 100."""
        assert self.cap_tpp is not None
        level = 100 if mark == OVER else int(mark)
        return (level - 1) * self.cap_tpp // 100

    def marks(self) -> tuple[str, ...]:
        """The marks of this account, lowest first. A cap of 0 knows no nearness, only `over`."""
        if self.cap_tpp is None:
            return ()
        return (*(map(str, self.levels) if self.cap_tpp else ()), OVER)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One thing to tell: a level reached, the cap passed, or the balance back below `level`."""

    kind: Literal["near", "exceeded", "recovered"]
    level: int
    armed: int
    used_tpp: int


def settle(marks: Marks, limits: Limits, used_tpp: int, at: datetime) -> tuple[Marks, list[Crossing]]:
    """Bring an account's marks to a new use.

    Args:
        marks: as they stood.
        limits: the account's cap and levels.
        used_tpp: the use after the booking.
        at: the moment noted for marks crossed now.

    Returns:
        The marks as they stand now, and what is to be told: every level of a jump, lowest first, or one recovery
        that names the highest level the balance fell below.
    """
    now = dict(marks)
    told: list[Crossing] = []
    fallen: list[tuple[int, int]] = []
    for name in limits.marks():
        mark = now.get(name, Mark())
        level = 100 if name == OVER else int(name)
        if mark.crossed_at is None and used_tpp >= limits.reached_at(name):
            now[name] = replace(mark, crossed_at=at)
            told.append(Crossing("exceeded" if name == OVER else "near", level, mark.armed, used_tpp))
        elif mark.crossed_at is not None and used_tpp <= limits.left_at(name):
            now[name] = Mark(armed=mark.armed + 1)
            fallen.append((level, mark.armed))
    if fallen:
        level, armed = max(fallen)
        told.append(Crossing("recovered", level, armed, used_tpp))
    return now, told


def measure_anew(marks: Marks, limits: Limits, used_tpp: int, at: datetime) -> tuple[Marks, list[Crossing]]:
    """Measure an account by other limits: every level is armed anew, and stands crossed only if it is reached now.

    What stands then depends on the use and the limits alone, not on what was crossed before: a Redis that is filled
    again under these limits comes to the same.

    Args:
        marks: as they stood under the limits before.
        limits: the account's cap and levels from now on.
        used_tpp: the use.
        at: the moment noted for marks crossed now.

    Returns:
        The marks as they stand now, and what is to be told: one recovery, of the highest level that stood crossed and
        that the use is below now, and then every level that is reached, lowest first.
    """
    now, told = settle({}, limits, used_tpp, at)
    fallen = [
        (100 if name == OVER else int(name), mark.armed)
        for name, mark in marks.items()
        if mark.crossed_at is not None and (limits.cap_tpp is None or used_tpp < limits.reached_at(name))
    ]
    if fallen:
        level, armed = max(fallen)
        told.insert(0, Crossing("recovered", level, armed, used_tpp))
    return now, told


LOUD = (FAR, -FAR)
"""The quiet range of an account whose cap comes with each event: every change of it is looked at."""


def quiet_range(marks: Marks, limits: Limits) -> tuple[int, int]:
    """The uses between which nothing is to be told: from (inclusive) and below (exclusive), in TPP."""
    start, end = -FAR, FAR
    for name in limits.marks():
        if marks.get(name, Mark()).crossed_at is None:
            end = min(end, limits.reached_at(name))
        else:
            start = max(start, limits.left_at(name) + 1)
    return start, end


def misplaced(marks: Marks, quiet: tuple[int, int], limits: Limits, used_tpp: int) -> str | None:
    """What is wrong with the marks of an account, or with the range in which nobody is told of it; None if nothing is.

    Args:
        marks: as they are kept.
        quiet: the range as it is kept. An account that is looked at with every change may lie between two looks.
        limits: the account's cap and levels.
        used_tpp: the use.
    """
    if quiet == LOUD:
        return None
    for name in limits.marks():
        level = "its cap" if name == OVER else f"{name} % of its cap"
        crossed = marks.get(name, Mark()).crossed_at is not None
        if not crossed and used_tpp >= limits.reached_at(name):
            return f"{used_tpp:,} TPP are past {level}, which is not noted: nobody will be told"
        if crossed and used_tpp <= limits.left_at(name):
            return f"{used_tpp:,} TPP are below {level}, which is noted as reached: nobody will be told of it again"
    if quiet != (due := quiet_range(marks, limits)):
        return f"nobody is told from {quiet[0]:,} to {quiet[1]:,} TPP, and it is to be from {due[0]:,} to {due[1]:,}"
    return None
