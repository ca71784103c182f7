"""The embedded parts one by one: what they promise to `up`."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ledger.errors import LedgerUnavailable, WrongCall
from streams.embedded import guard, kafka, valkey
from streams.embedded.children import Child, end_all
from streams.embedded.receiver import LocalReceiver
from streams.embedded.state import remove_state, running, write_state
from streams.settings import Settings
from streams.webhooks.signing import new_secret, sign
from tests.parts import wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def test_a_topic_that_is_there_is_not_made_twice(tmp_path, register):
    cluster = kafka.EmbeddedKafka(tmp_path, register)
    cluster.make_topic("once", 1)
    with pytest.raises(LedgerUnavailable, match="topic once"):
        cluster.make_topic("once", 1)
    cluster.stop()

    assert cluster.child.exit_code() is not None


def test_the_cluster_ends_when_its_parent_lets_go(tmp_path, register):
    cluster = kafka.EmbeddedKafka(tmp_path, register)
    cluster.child.process.stdin.close()

    assert cluster.child.process.wait(10) == 0
    end_all([cluster.child])


def test_without_any_redis_the_message_names_what_to_install(monkeypatch):
    monkeypatch.setattr(valkey, "wheel_program", lambda: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(WrongCall, match=r"install redis-server.*QUOTA_REDIS_URL"):
        valkey.server_program()


def test_without_librdkafka_the_message_names_what_to_install(monkeypatch):
    monkeypatch.setattr(kafka.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(kafka.ctypes.util, "find_library", lambda _: None)

    with pytest.raises(WrongCall, match=r"pip install confluent-kafka.*QUOTA_KAFKA_BOOTSTRAP"):
        kafka.library_path()


def post(url, secret, message_id, body=b"{}"):
    now_s = int(time.time())
    signature = sign([secret], message_id, now_s, body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(now_s), "webhook-signature": signature}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_the_receiver_verifies_and_counts_each_message_once(tmp_path, register):
    secret = new_secret()
    receiver = LocalReceiver(tmp_path, register)
    receiver.tell_secret(secret)
    answers = [
        post(receiver.url, secret, "al_1"),
        post(receiver.url, secret, "al_1"),
        post(receiver.url, secret, "al_2"),
        post(receiver.url, new_secret(), "al_3"),
    ]

    def told_of_all():
        receiver.count()
        return receiver.verified + receiver.repeated + receiver.refused == 4

    wait_until(told_of_all, "the receiver's counts", 10)
    end_all([receiver.child])

    assert answers == [200, 200, 200, 401]
    assert (receiver.verified, receiver.repeated, receiver.refused) == (2, 1, 1)


def test_what_ignores_sigterm_is_killed(tmp_path, register):
    child = Child("stubborn", STUBBORN, log=tmp_path / "log", register=register)
    wait_until(lambda: "up" in child.log_tail(), "its first line", 10)
    end_all([child], patience_s=0.2)

    assert child.exit_code() == -9


def test_the_guard_ends_what_its_dead_keeper_had_started(tmp_path):
    """A keeper is killed with -9; what it started, it started in groups of their own."""
    keeper_code = f"""
import json, os, signal, sys
from pathlib import Path
from streams.embedded.children import Child, Register
register = Register(Path({str(tmp_path / "pids")!r}))
register.open_guard()
child = Child("sleeper", {SLEEPER!r}, log=Path({str(tmp_path / "log")!r}), register=register)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    keeper = subprocess.run(
        [sys.executable, "-c", keeper_code],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    pid = int(keeper.stdout)

    assert keeper.returncode == -9
    wait_until(lambda: not guard.is_alive(pid), "the end of the orphan", 15)


def test_a_list_names_only_what_still_runs(tmp_path):
    pids = tmp_path / "pids"
    pids.write_text("+11\n+12\n-11\n+13\n")

    assert guard.listed(pids) == [12, 13]


def test_the_state_of_a_process_that_is_gone_is_nobodys(tmp_path):
    write_state(Settings(state_dir=tmp_path, secret_key="secret"), "http://127.0.0.1:8080")
    mine = running(tmp_path)
    path = tmp_path / "up.json"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid}))
    others = running(tmp_path)
    remove_state(tmp_path)

    assert mine is not None
    assert mine.pid == os.getpid()
    assert others is None
    assert path.exists(), "another's file is not taken away"
    assert "secret" not in path.read_text()
