"""Workers are killed and Redis falls back under load: the sums stay those of the distinct events on the topic."""

import random

import pytest

from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until

COUNTRIES = ("IN", "AE", "BR", "PL", "DE")
EVENTS = 40_000


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=8)


def load(desk, seed):
    """Events for several countries, one in twenty told twice; returns what must be booked."""
    chance = random.Random(seed)
    said, truth = [], dict.fromkeys(COUNTRIES, 0)
    for number in range(EVENTS):
        country, quantity = chance.choice(COUNTRIES), chance.randint(1, 3)
        event = shipment(f"e{number}", quantity=quantity, country=country)
        truth[country] += quantity * H100
        said.append(event)
        if number % 20 == 0:
            said.append(event)
    desk.produce(said)
    return len(said), truth


def test_workers_killed_in_the_middle_lose_and_double_nothing(desk, processes):
    count, truth = load(desk, seed=1)
    worker = processes.start("worker", desk.settings)
    for part in (1, 2, 3):
        wait_until(lambda part=part: desk.settled() >= part * count // 5, f"{part}/5 of the load to be settled")
        processes.kill(worker)
        worker = processes.start("worker", desk.settings)
    desk.wait_settled(count, timeout_s=90)

    assert desk.posted() == truth


def test_two_workers_of_which_one_is_killed_share_the_rest_and_the_sums_are_exact(desk, processes):
    count, truth = load(desk, seed=2)
    first = processes.start("worker", desk.settings)
    processes.start("worker", desk.settings)
    wait_until(lambda: desk.settled() >= count // 5, "a fifth of the load to be settled")
    processes.kill(first)
    desk.wait_settled(count, timeout_s=90)

    assert desk.posted() == truth


def test_a_redis_that_falls_back_fences_the_worker_and_the_next_one_makes_the_sums_exact(desk, processes):
    count, truth = load(desk, seed=3)
    worker = processes.start("worker", desk.settings)
    wait_until(lambda: desk.settled() >= count // 5, "a fifth of the load to be settled")
    kept = snapshot(desk)
    wait_until(lambda: desk.settled() >= count // 2, "half of the load to be settled")
    restore(desk, kept)

    assert worker.process.wait(30) == 70
    processes.start("worker", desk.settings)
    desk.wait_settled(count, timeout_s=90)
    assert desk.posted() == truth


def test_an_idle_worker_notices_that_redis_was_emptied_and_the_next_one_fills_it_again(desk, processes):
    worker = processes.start("worker", desk.settings)
    desk.produce([shipment(f"e{n}") for n in range(100)])
    desk.wait_settled(100)
    desk.redis.delete(*(name for name in desk.redis.keys(f"quota:{{{desk.settings.ledger}}}:*")))

    assert worker.process.wait(30) == 70
    processes.start("worker", desk.settings)
    desk.wait_settled(100)
    assert desk.posted() == {"IN": 100 * H100}


def snapshot(desk):
    """The ledger's keys as they are at one moment."""
    names = sorted(desk.redis.keys(f"quota:{{{desk.settings.ledger}}}:*"))
    reading = desk.redis.pipeline(transaction=True)
    for name in names:
        reading.dump(name)
    return dict(zip(names, reading.execute(), strict=True))


def restore(desk, kept):
    """Redis as it was at that moment, as after the loss of its last writes."""
    writing = desk.redis.pipeline(transaction=True)
    for name in desk.redis.keys(f"quota:{{{desk.settings.ledger}}}:*"):
        writing.delete(name)
    for name, content in kept.items():
        writing.restore(name, 0, content, replace=True)
    writing.execute()
