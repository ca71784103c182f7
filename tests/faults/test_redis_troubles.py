"""A Redis that cannot write, is slow, busy or forgetful of scripts: the worker waits in place, and the sums are exact.

Each on a Redis of its own. In all of them it is the same worker process that goes on afterwards.
"""

import shutil
import subprocess
import threading

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.faults.ground import DurableRedis
from tests.live_kafka.desk import H100, LiveDesk, shipment
from tests.parts import NotHere, wait_until

EVENTS = 20_000


@pytest.fixture
def start_redis(register, tmp_path):
    started = []

    def start(folder=tmp_path / "redis"):
        try:
            server = DurableRedis(folder, register)
        except NotHere as missing:
            pytest.skip(f"needs the real thing: {missing}")
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def open_on(make_settings):
    opened = []

    def open_on(server, partitions=2):
        desk = LiveDesk(make_settings(partitions=partitions, redis_url=f"redis://127.0.0.1:{server.port}/0"))
        opened.append(desk)
        return desk

    yield open_on
    for desk in opened:
        desk.close()


@pytest.fixture
def desk(start_redis, open_on):
    return open_on(start_redis())


def load(desk, count=EVENTS, note=""):
    desk.produce([shipment(f"e{number}") | {"shipment_id": f"{note}{number}"} for number in range(count)])


def waits_because_of(worker, code):
    return any(" waits: " in line and code in line for line in worker.log_tail(50).splitlines())


def is_exact_so_far(desk):
    """Whether the balance is that of the records up to the checkpoints: no call was carried out in part."""
    settled = desk.settled()
    posted = sum(desk.posted().values())
    assert settled == desk.settled(), "nothing can be written"
    return posted == settled * H100


def goes_on(desk, worker, count=EVENTS):
    desk.wait_settled(count, timeout_s=90)

    assert desk.posted() == {"IN": count * H100}
    assert worker.exit_code() is None


def test_out_of_memory_nothing_is_carried_out_in_part_and_the_worker_waits(desk, processes):
    worker = processes.start("worker", desk.settings)
    wait_until(lambda: desk.redis.hget(desk.keys.meta, "adoption"), "the worker to begin")
    desk.redis.config_set("maxmemory", desk.redis.info("memory")["used_memory"] + 300_000)
    load(desk)
    wait_until(lambda: waits_because_of(worker, "OOM") or waits_because_of(worker, "maxmemory"), "the worker to wait")

    assert desk.settled() < EVENTS
    assert is_exact_so_far(desk)
    desk.redis.config_set("maxmemory", 0)
    goes_on(desk, worker)


def test_a_redis_that_may_evict_keys_stops_the_worker_at_its_start(desk, processes):
    desk.redis.config_set("maxmemory-policy", "allkeys-lru")
    worker = processes.start("worker", desk.settings)

    assert worker.process.wait(30) == 2
    assert "noeviction" in worker.log_tail()


def test_a_full_disk_is_waited_out(start_redis, open_on, processes, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("needs the real thing: a file system of its own may not be mounted here")
    try:
        desk = open_on(start_redis(small / "redis"))
        worker = processes.start("worker", desk.settings)
        wait_until(lambda: desk.redis.hget(desk.keys.meta, "adoption"), "the worker to begin")
        ballast = small / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small).free - 200_000))
        load(desk)
        wait_until(lambda: waits_because_of(worker, "MISCONF"), "the worker to wait")
        assert desk.settled() < EVENTS
        assert is_exact_so_far(desk)
        ballast.unlink()
        goes_on(desk, worker)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_redis_that_forgets_its_scripts_is_given_them_again(desk, processes):
    worker = processes.start("worker", desk.settings)
    wait_until(lambda: desk.redis.hget(desk.keys.meta, "adoption"), "the worker to begin")
    load(desk)

    def flushed_all_along():
        desk.redis.script_flush()
        return desk.settled() >= EVENTS or worker.exit_code() is not None

    wait_until(flushed_all_along, "the load to be settled", 90)
    goes_on(desk, worker)


def test_a_redis_that_is_busy_with_a_script_is_waited_for(desk, processes):
    desk.redis.config_set("busy-reply-threshold", 50)
    worker = processes.start("worker", desk.settings)
    load(desk)
    wait_until(lambda: desk.settled() > EVENTS // 20, "a part of the load to be settled")
    endless = threading.Thread(target=run_for_ever, args=(desk,))
    endless.start()
    wait_until(lambda: waits_because_of(worker, "BUSY") or "busy" in worker.log_tail(50).lower(), "the worker to wait")
    desk.redis.script_kill()
    endless.join(10)

    goes_on(desk, worker)


def run_for_ever(desk):
    client = Redis.from_url(desk.settings.redis_url.get_secret_value())
    with pytest.raises(RedisError):
        client.eval("while true do end", 0)
    client.close()


@pytest.mark.parametrize("slow", ["paused", "frozen"])
def test_calls_that_are_carried_out_when_nobody_waits_for_them_any_more_count_once(desk, processes, slow):
    worker = processes.start("worker", desk.settings)
    load(desk)
    wait_until(lambda: desk.settled() > EVENTS // 20, "a part of the load to be settled")
    if slow == "paused":
        desk.redis.client_pause(6500, all=False)
    else:
        pause = Redis.from_url(desk.settings.redis_url.get_secret_value(), socket_timeout=20)
        pause.execute_command("DEBUG", "SLEEP", "6.5")
        pause.close()
    wait_until(lambda: waits_because_of(worker, "does not answer"), "the worker to wait")

    goes_on(desk, worker)
