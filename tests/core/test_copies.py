"""Copies of answers: none is given away too old, one making serves all who wait, and a failure is nobody's later."""

import asyncio

import pytest

from streams.api.copies import KEPT_MAX, Copies


class Kitchen:
    """Makes numbered answers, and a clock that stands still until it is moved."""

    def __init__(self):
        self.now, self.made, self.failing = 0.0, 0, False
        self.copies = Copies(0.1, lambda: self.now)

    async def make(self):
        self.made += 1
        number = self.made
        await asyncio.sleep(0)
        if self.failing:
            raise ConnectionError("away")
        return number

    async def ask(self, question="all"):
        return await self.copies.get(question, self.make)


@pytest.fixture
def kitchen():
    return Kitchen()


async def test_a_copy_is_given_until_it_is_too_old_and_never_to_another_question(kitchen):
    first = await kitchen.ask()
    kitchen.now = 0.099
    again = await kitchen.ask()
    other = await kitchen.ask("another")
    kitchen.now = 0.1
    anew = await kitchen.ask()

    assert (first, again, other, anew) == (1, 1, 2, 3)


async def test_all_who_ask_at_once_share_one_making(kitchen):
    assert await asyncio.gather(*(kitchen.ask() for _ in range(50))) == [1] * 50


async def test_a_failure_reaches_all_who_wait_for_it_and_none_who_asks_later(kitchen):
    kitchen.failing = True
    found = await asyncio.gather(*(kitchen.ask() for _ in range(3)), return_exceptions=True)
    kitchen.failing = False

    assert [type(one) for one in found] == [ConnectionError] * 3
    assert await kitchen.ask() == 2


async def test_a_caller_who_gives_up_takes_nothing_from_the_others(kitchen):
    impatient = asyncio.create_task(kitchen.ask())
    patient = asyncio.create_task(kitchen.ask())
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient == 1


async def test_the_oldest_copies_make_room(kitchen):
    for number in range(KEPT_MAX + 1):
        await kitchen.ask(number)

    assert await kitchen.ask(KEPT_MAX) == KEPT_MAX + 1
    assert await kitchen.ask(0) == KEPT_MAX + 2


async def test_with_no_age_allowed_every_question_is_asked_anew():
    kitchen = Kitchen()
    kitchen.copies = Copies(0, lambda: kitchen.now)

    assert [await kitchen.ask(), await kitchen.ask()] == [1, 2]
