"""Commands that adopt, and workers, killed at any moment under load: the sums follow from the list of adoptions."""

import random
import time

import pytest
from typer.testing import CliRunner

from ledger.book.position import partition_name
from ledger.policy import load_policy
from streams.cli.main import app
from streams.kafka.log_reader import open_log
from streams.settings import environment_of
from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until

HEAVY_H100 = 20_000
ROUNDS = 5
ROUND = 1500
"""Shipments a round."""


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=4)


def test_killed_adoptions_under_load_leave_sums_that_follow_from_the_adoptions_and_so_does_a_refill(
    desk, processes, tmp_path
):
    chance = random.Random(5)
    chips = tmp_path / "heavy.csv"
    chips.write_text(f"vendor,model,tpp\nNVIDIA,H100 SXM,{HEAVY_H100}\n")
    heavy = desk.settings.model_copy(update={"chips": chips})
    worker, count = processes.start("worker", desk.settings), 0
    wait_until(lambda: desk.redis.hget(desk.keys.meta, "adoption"), "the first adoption")
    for turn in range(ROUNDS):
        settings = heavy if turn % 2 == 0 else desk.settings
        command = processes.start("policy", settings, "adopt", "annual-50k")
        desk.produce([shipment(f"t{turn}-{number}") for number in range(ROUND)])
        count += ROUND
        wait_closed_or_done(desk, command)
        time.sleep(chance.uniform(0, 0.3))  # a moment of the rest of its life, which takes about as long
        processes.kill(command)
        if chance.random() < 0.4:
            processes.kill(worker)
            worker = processes.start("worker", desk.settings)
        run(settings, *chance.choice([["annual-50k"], ["annual-50k"], ["--abort"]]))
    run(heavy, "annual-50k")
    run(desk.settings, "annual-50k")
    desk.wait_settled(count, timeout_s=120)

    expected = sum_by_adoptions(desk, heavy_sha256=policy_sha256(heavy))
    assert desk.posted() == {"IN": expected}
    assert not desk.redis.hexists(desk.keys.meta, "adopting")
    before = desk.rules().adoptions
    assert len(before) >= 3

    processes.kill(worker)
    desk.redis.delete(*desk.redis.keys(desk.keys.pattern))
    processes.start("worker", desk.settings)
    desk.wait_settled(count, timeout_s=120)
    assert desk.posted() == {"IN": expected}
    assert desk.rules().adoptions == before


def wait_closed_or_done(desk, command):
    wait_until(
        lambda: desk.redis.hexists(desk.keys.meta, "adopting") or command.exit_code() == 0, "the ledger to be closed"
    )


def run(settings, *arguments):
    done = CliRunner().invoke(app, ["policy", "adopt", *arguments], env=environment_of(settings))
    assert done.exit_code in (0, 1, 2), done.output  # 1 and 2: too late to give it up, or nothing to


def policy_sha256(settings):
    return load_policy("annual-50k", settings.chips).sha256


def sum_by_adoptions(desk, heavy_sha256):
    rules, tpp = desk.rules(), 0
    with open_log(desk.settings) as log_reader:
        ends = log_reader.ends(desk.settings.topic_shipments)
    for number in range(4):
        partition = partition_name(desk.settings.topic_shipments, number)
        for offset in range(ends[partition]):
            heavy = rules.ruling(partition, offset).policy_sha256 == heavy_sha256
            tpp += HEAVY_H100 if heavy else H100
    return tpp
