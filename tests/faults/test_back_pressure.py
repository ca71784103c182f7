"""A worker whose Redis is frozen waits with a bounded memory, and every process ends soon when it is told to."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until

EVENTS = 150_000
FROZEN_S = 12
STOP_S = 10


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=8)


@pytest.fixture
def freeze(desk):
    pid = desk.redis.info("server")["process_id"]

    def stop():
        os.kill(pid, signal.SIGSTOP)

    yield stop
    os.kill(pid, signal.SIGCONT)


def rss_mb(child):
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def highest_mb(child, for_s):
    until, highest = time.monotonic() + for_s, 0.0
    while time.monotonic() < until:
        highest = max(highest, rss_mb(child))
        time.sleep(0.25)
    return highest


def load(desk):
    for start in range(0, EVENTS, 10_000):
        desk.produce([shipment(f"e{number}") for number in range(start, start + 10_000)])


def test_a_frozen_redis_under_a_backlog_costs_no_memory_and_no_event(desk, freeze, processes):
    load(desk)
    pid = desk.redis.info("server")["process_id"]
    worker = processes.start("worker", desk.settings)
    wait_until(lambda: desk.settled() >= EVENTS // 10, "a tenth of the backlog to be settled")
    before_mb = rss_mb(worker)
    freeze()
    first_half_mb, second_half_mb = highest_mb(worker, FROZEN_S / 2), highest_mb(worker, FROZEN_S / 2)
    os.kill(pid, signal.SIGCONT)
    desk.wait_settled(EVENTS, timeout_s=120)

    assert desk.posted() == {"IN": EVENTS * H100}
    assert first_half_mb < before_mb + 20  # a few runs wait for their agent, not all that was fetched ahead
    assert second_half_mb < first_half_mb + 5


@pytest.mark.parametrize("frozen", [False, True], ids=["busy", "while Redis is frozen"])
def test_a_worker_told_to_stop_in_the_middle_of_a_backlog_ends_soon_and_the_next_makes_it_exact(
    desk, freeze, processes, frozen
):
    load(desk)
    pid = desk.redis.info("server")["process_id"]
    first = processes.start("worker", desk.settings)
    wait_until(lambda: desk.settled() >= EVENTS // 20, "a part of the backlog to be settled")
    if frozen:
        freeze()
    first.signal(signal.SIGTERM)
    code = first.process.wait(STOP_S)
    os.kill(pid, signal.SIGCONT)
    processes.start("worker", desk.settings)
    desk.wait_settled(EVENTS, timeout_s=120)

    assert code == 0
    assert desk.posted() == {"IN": EVENTS * H100}


def test_sender_and_api_told_to_stop_end_soon(desk, processes):
    started = {
        "delivering": processes.start("sender", desk.settings),
        "listening": processes.start("api", desk.settings),
    }
    for word, child in started.items():
        wait_until(lambda word=word, child=child: word in child.log_tail(20), f"{child.name} to be at work")
        child.signal(signal.SIGTERM)

    assert [child.process.wait(STOP_S) for child in started.values()] == [0, 0]
