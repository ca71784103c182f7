"""The endpoint against its own OpenAPI document: schemathesis makes up calls of every kind and looks at each answer.

Left out: the stream of alerts, which has no end, and the demand that every call which the document allows is answered
2xx, for no schema knows all countries, calendars and addresses.
"""

import subprocess
import sys

import pytest

from tests.live_kafka.desk import shipment
from tests.parts import environment_without_settings, listens, wait_until

MAX_S = 15
EXAMPLES = 3
ARGUMENTS = (
    "--exclude-path", "/v1/alerts/stream",
    "--exclude-checks", "positive_data_acceptance",
    "--max-time", str(MAX_S),
    "--max-examples", str(EXAMPLES),
    "--generation-deterministic",
    "--continue-on-failure",
    "--warnings", "off",
    "--no-color",
)  # fmt: skip
ALL_SCOPES = ("quota:read", "alerts:read", "shipments:write", "webhooks:admin")


@pytest.fixture
def desk(open_desk, processes):
    desk = open_desk(partitions=1)
    desk.settings = desk.settings.model_copy(update={"auth": "required"})
    processes.start("worker", desk.settings)
    processes.start("api", desk.settings)
    desk.produce([shipment("e1", quantity=40_000), shipment("e2", country="KP")])
    desk.wait_settled(2)
    wait_until(lambda: listens(desk.settings.http_port), "the endpoint")
    return desk


def made_up_calls(desk, folder, *more):
    """What schemathesis says, and whether it found nothing."""
    address = f"http://127.0.0.1:{desk.settings.http_port}/openapi.json"
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", address, *ARGUMENTS, *more],
        cwd=folder,
        env=environment_without_settings(),
        capture_output=True,
        text=True,
        timeout=5 * MAX_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_with_a_key_every_answer_keeps_to_the_document(desk, processes, tmp_path):
    created = processes.start("keys", desk.settings, "create", *(f"--scope={scope}" for scope in ALL_SCOPES))
    assert created.process.wait(30) == 0
    key = next(word for word in created.log_tail(50).split() if word.startswith("qk_"))
    code, said = made_up_calls(desk, tmp_path, "-H", f"Authorization: Bearer {key}")

    assert code == 0, said


def test_without_a_key_every_call_that_needs_one_is_401(desk, tmp_path):
    code, said = made_up_calls(desk, tmp_path, "--phases", "coverage")

    assert code == 0, said
