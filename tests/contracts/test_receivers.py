"""Receivers of others take what is signed: the README's, and the standard's libraries for Python and Node."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from streams.embedded.valkey import free_port
from streams.webhooks.signing import new_secret, sign
from tests.parts import wait_until

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OLD_S = 6 * 60


def a_message(*secrets, name="al_1", told="Österreich <!channel> 昇腾", old_s=0, **changed):
    """Headers and body of a delivery; `changed` replaces headers."""
    alert = {"type": "quota.near_cap", "timestamp": "2026-03-01T12:00:00Z", "data": {"message": told}}
    body, at_s = json.dumps(alert, ensure_ascii=False).encode(), int(time.time()) - old_s
    headers = {"webhook-id": name, "webhook-timestamp": str(at_s), "webhook-signature": sign(secrets, name, at_s, body)}
    return headers | {name.replace("_", "-"): value for name, value in changed.items()}, body


@pytest.fixture
def sample(tmp_path):
    """The README's receiver, its secret and what it prints."""
    [code] = re.findall(r"```python\n(import json, os, queue.*?)```", README, re.DOTALL)
    secret, port, printed = new_secret(), free_port(), tmp_path / "printed"
    (tmp_path / "receiver.py").write_text(code, encoding="utf-8")
    environment = os.environ | {"SECRET": secret, "PORT": str(port), "PYTHONUTF8": "1"}
    with printed.open("wb") as out, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, tmp_path / "receiver.py"], env=environment, stdout=out, stderr=log)

    def post(message):
        headers, body = message
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers | {"content-type": "text/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code
        except urllib.error.URLError:
            return None

    wait_until(lambda: post(({}, b"{}")) is not None, "the receiver", 20)
    yield post, secret, lambda: printed.read_text(encoding="utf-8").splitlines()
    process.kill()
    process.wait()


def test_the_readmes_receiver_is_about_twenty_lines():
    [code] = re.findall(r"```python\n(import json, os, queue.*?)```", README, re.DOTALL)

    assert len([line for line in code.splitlines() if line.strip()]) <= 21


def test_the_readmes_receiver_acts_once_on_what_the_ledger_signed_and_on_nothing_else(sample):
    post, secret, printed = sample
    other = new_secret()
    good = a_message(secret)

    assert [post(good), post(good), post(a_message(secret, told="the same id"))] == [204] * 3
    assert post(a_message(other, secret, name="al_2")) == 204
    forged = [
        a_message(other, name="al_3"),
        (good[0], good[1] + b" "),
        a_message(secret, name="al_3", old_s=OLD_S),
        a_message(secret, name="al_3", old_s=-OLD_S),
        a_message(secret, name="al_3", webhook_signature="v1,not base64"),
        a_message(secret, name="al_3", webhook_signature="nonsense"),
        a_message(secret, name="al_3", webhook_timestamp="yesterday"),
        a_message(secret, name="al_3", webhook_id="al_4"),
        ({}, good[1]),
    ]
    assert [post(message) for message in forged] == [400] * len(forged)
    wait_until(lambda: len(printed()) == 2, "what it acted on", 10)
    assert printed() == ["quota.near_cap Österreich <!channel> 昇腾"] * 2


NODE = """
const { Webhook } = require(process.argv[1]);
const [secret, messages] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verified = messages.map(({ headers, body }) => {
  try { return new Webhook(secret).verify(body, headers).data.message; } catch (error) { return error.name; }
});
console.log(JSON.stringify(verified));
"""


def test_the_library_of_standard_webhooks_for_node_verifies_what_the_ledger_signs(node_package):
    package, secret, other = node_package("standardwebhooks"), new_secret(), new_secret()
    good = a_message(secret)
    messages = [
        good, a_message(other, secret), a_message(secret, other), a_message(other), (good[0], good[1] + b" "),
        a_message(secret, old_s=OLD_S),
    ]  # fmt: skip
    told = [secret, [{"headers": headers, "body": body.decode()} for headers, body in messages]]
    done = subprocess.run(
        ["node", "-e", NODE, package], input=json.dumps(told).encode(), capture_output=True, check=True, timeout=60
    )

    assert json.loads(done.stdout) == ["Österreich <!channel> 昇腾"] * 3 + ["WebhookVerificationError"] * 3
