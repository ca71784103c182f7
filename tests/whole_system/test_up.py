"""`quota-ledger up` as a person runs it: what it shows, what a second shell finds, and that nothing outlives it."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from standardwebhooks import Webhook as Verifier

from streams.embedded.guard import is_alive, listed
from streams.embedded.state import running
from streams.embedded.valkey import free_port
from tests.parts import wait_until
from tests.taker import taking

UP = [sys.executable, "-m", "streams.cli.main", "up"]


class Shell:
    """One shell with an `up` in it."""

    def __init__(self, folder, *arguments, **variables):
        self.folder = folder
        self.port = free_port()
        self.environment = os.environ | {"QUOTA_STATE_DIR": str(folder), "QUOTA_HTTP_PORT": str(self.port)} | variables
        self.printed = folder / f"printed-{self.port}"
        with self.printed.open("wb") as file:
            self.process = subprocess.Popen(
                [*UP, *arguments], env=self.environment, stdout=file, stderr=file, start_new_session=True
            )

    def text(self):
        return self.printed.read_text()

    def until_it_prints(self, text, timeout_s=90):
        wait_until(lambda: text in self.text() or self.process.poll() is not None, text, timeout_s)

        assert text in self.text()

    def pids(self):
        return listed(self.folder / f"up-{self.port}" / "pids")

    def call(self, *arguments, **variables):
        command = [sys.executable, "-m", "streams.cli.main", *arguments]
        plain = {name: value for name, value in self.environment.items() if name != "QUOTA_HTTP_PORT"} | variables
        return subprocess.run(command, env=plain, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def shells(tmp_path):
    opened = []

    def open_shell(*arguments, **variables):
        opened.append(Shell(tmp_path, *arguments, **variables))
        return opened[-1]

    yield open_shell
    for shell in opened:
        shell.process.terminate()
        shell.process.wait(30)
        print(shell.text())


def test_up_shows_the_sample_and_leaves_nothing_behind(shells):
    shell = shells("--sample")
    shell.until_it_prints("running at")
    text = shell.text()
    pids = shell.pids()
    status = shell.call("status", "IN", "--json")
    alerts = shell.call("alerts", "--json")
    state_mode = (shell.folder / "up.json").stat().st_mode & 0o777
    shell.process.send_signal(signal.SIGINT)
    code = shell.process.wait(30)

    assert "India reached 75 % of its cap" in text
    assert "India reached 90 % of its cap" in text
    assert f"endpoint  http://127.0.0.1:{shell.port}" in text
    assert "Periods 2024, 2025, " in text
    kinds = [alert["kind"] for alert in json.loads(alerts.stdout)["items"]]
    assert f"webhooks: {len(kinds)} received" in text
    assert {"quota.near_cap", "tier3.shipment", "ascend.detected"} <= set(kinds)
    india = json.loads(status.stdout)
    assert india["status"] == "near_cap"
    assert 0.9 <= india["used_ratio"] < 1
    assert state_mode == 0o600
    assert code == 0
    assert len(pids) == 6
    assert [pid for pid in pids if is_alive(pid)] == []
    assert not (shell.folder / "up.json").exists()


def test_what_exits_is_started_again_and_nothing_survives_a_killed_up(shells):
    shell = shells()
    shell.until_it_prints("running at")
    before = shell.pids()
    _kafka, _valkey, worker, _sender, _api = before  # in the order of their start
    os.kill(worker, signal.SIGKILL)
    shell.until_it_prints("worker ended (signal 9), starts again")
    wait_until(lambda: len(shell.pids()) == len(before), "the worker's second start")
    pids = shell.pids()
    found_while_running = running(shell.folder)
    shell.process.kill()
    shell.process.wait(10)

    wait_until(lambda: not any(map(is_alive, pids)), "the end of everything that was started", 20)
    assert worker not in pids
    assert found_while_running is not None
    assert running(shell.folder) is None


def test_a_second_shell_adds_a_webhook_whose_secret_it_cannot_encrypt_and_rotates_it(shells):
    shell = shells()
    shell.until_it_prints("running at")
    with taking() as taker:
        elsewhere = {"QUOTA_SECRET_KEY": "of another ledger", "http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
        added = shell.call("webhooks", "add", taker.url, "--kind", "tier3.shipment", **elsewhere)
        [listed] = json.loads(shell.call("webhooks", "list", "--json").stdout)["items"]
        rotated = shell.call("webhooks", "rotate", listed["id"], "--json")
        tested = shell.call("webhooks", "test", listed["id"])
    unknown = shell.call("webhooks", "rotate", "no such id/..")
    inward = shell.call("webhooks", "add", "http://10.0.0.1/")

    assert (added.returncode, rotated.returncode, tested.returncode) == (0, 0, 0), tested.stdout
    assert listed["kinds"] == ["tier3.shipment"]
    [(headers, body)] = taker.messages
    for secret in (added.stdout.strip(), json.loads(rotated.stdout)["secret"]):
        Verifier(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    for refused in (unknown, inward):
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
    assert "private, local or reserved" in inward.stderr


def test_a_taken_port_is_named_before_anything_starts(shells):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        shell = shells(QUOTA_HTTP_PORT=str(port))
        code = shell.process.wait(30)

    assert code == 2
    assert f"port {port} of 127.0.0.1" in shell.text()
    assert "QUOTA_HTTP_PORT" in shell.text()
    assert not (shell.folder / f"up-{port}").exists()


@pytest.mark.parametrize(
    ("given", "address", "lacking"),
    [
        ("QUOTA_REDIS_URL", "redis://127.0.0.1:1", "QUOTA_KAFKA_BOOTSTRAP"),
        ("QUOTA_KAFKA_BOOTSTRAP", "127.0.0.1:1", "QUOTA_REDIS_URL"),
    ],
)
def test_one_part_of_ones_own_is_refused(shells, given, address, lacking):
    shell = shells(**{given: address})
    code = shell.process.wait(30)

    assert code == 2
    assert f"{given} is set and {lacking} is not" in shell.text()


def test_up_runs_on_ones_own_parts(shells, make_settings):
    settings = make_settings(partitions=4)
    shell = shells(
        QUOTA_KAFKA_BOOTSTRAP=settings.kafka_bootstrap,
        QUOTA_KAFKA_API_VERSION=settings.kafka_api_version,
        QUOTA_REDIS_URL=settings.redis_url.get_secret_value(),
        QUOTA_LEDGER=settings.ledger,
        QUOTA_AUTH="off",
        QUOTA_SECRET_KEY="a long text that nobody guesses",
        QUOTA_TOPIC_SHIPMENTS=settings.topic_shipments,
        QUOTA_TOPIC_REJECTED=settings.topic_rejected,
        QUOTA_TOPIC_ALERTS=settings.topic_alerts,
        QUOTA_TOPIC_SETTINGS=settings.topic_settings,
    )
    shell.until_it_prints("running at")
    state = running(shell.folder)

    assert state is not None
    assert state.settings["kafka_bootstrap"] == settings.kafka_bootstrap
    assert "secret_key" not in state.settings
    assert len(shell.pids()) == 3
