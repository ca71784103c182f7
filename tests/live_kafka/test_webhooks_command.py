"""`quota-ledger webhooks` with a real worker and sender: who is told, and that a lost Redis knows it again."""

import json

import pytest
from standardwebhooks import Webhook as Verifier
from typer.testing import CliRunner

from streams.cli.main import app
from streams.settings import environment_of
from tests.live_kafka.desk import LiveDesk, shipment
from tests.parts import wait_until
from tests.taker import taking


@pytest.fixture
def receiver():
    with taking() as receiver:
        yield receiver


class Desk(LiveDesk):
    """A ledger whose webhooks are looked after at the command line."""

    def command(self, *arguments, code=0):
        done = CliRunner().invoke(app, ["webhooks", *arguments], env=environment_of(self.settings))
        assert done.exit_code == code, done.output
        return done

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json").stdout)


@pytest.fixture
def desk(make_settings):
    desk = Desk(make_settings(partitions=1))
    yield desk
    desk.close()


def tier3(name):
    return shipment(name, country="KP")


def test_a_webhook_is_added_tested_told_paused_resent_rotated_and_removed(desk, receiver, processes):
    processes.start("worker", desk.settings)
    processes.start("sender", desk.settings)
    desk.produce([shipment("e0")])
    desk.wait_settled(1)
    added = desk.command("add", receiver.url, "--kind", "tier3.shipment", "--country", "KP")
    secret, [listed] = added.stdout.strip(), desk.json("list")["items"]
    name = listed["id"]

    assert secret.startswith("whsec_")
    assert secret not in added.stderr
    assert "token" not in desk.command("list").stdout
    desk.command("test", name)
    desk.produce([tier3("e1"), shipment("e2", country="IN")])
    wait_until(lambda: ("tier3.shipment", "e1") in receiver.told(), "the alert")
    for headers, body in receiver.messages:
        Verifier(secret).verify(body, {key.lower(): value for key, value in headers.items()})

    desk.command("pause", name)
    desk.produce([tier3("e3")])
    desk.wait_settled(4)
    desk.command("resend", name, "--since", "2026-01-01T00:00Z", code=2)
    desk.command("resume", name)
    desk.command("resend", name, "--since", "2026-01-01T00:00Z")
    wait_until(lambda: ("tier3.shipment", "e3") in receiver.told(), "what was told in between")
    assert {kind for kind, _ in receiver.told()} == {"webhook.test", "tier3.shipment"}

    new_secret = desk.command("rotate", name).stdout.strip()
    [last, *_] = desk.json("deliveries", name)["items"]
    count = len(receiver.messages)
    desk.command("resend", name, last["delivery_id"])
    wait_until(lambda: len(receiver.messages) > count, "the delivery once more")
    headers, body = receiver.messages[-1]
    for one in (secret, new_secret):
        Verifier(one).verify(body, {key.lower(): value for key, value in headers.items()})

    receiver.status = 500
    desk.command("test", name, code=1)
    desk.command("remove", name)
    assert desk.json("list") == {"items": [], "next": None}
    desk.command("remove", name, code=2)


def test_an_emptied_redis_has_the_webhooks_again_and_tells_them(desk, receiver, processes):
    kept = desk.command("add", receiver.url, "--kind", "tier3.shipment").stdout.strip()
    desk.command("add", "http://127.0.0.1:9/", "--severity-min", "critical")
    gone = desk.json("list")["items"][1]["id"]
    desk.command("remove", gone)
    worker = processes.start("worker", desk.settings)
    processes.start("sender", desk.settings)
    desk.produce([tier3("e1")])
    wait_until(lambda: len(receiver.messages) == 1, "the alert")
    processes.kill(worker)
    desk.redis.delete(*desk.redis.keys(desk.keys.pattern))
    desk.produce([tier3("e2")])
    processes.start("worker", desk.settings)
    wait_until(lambda: ("tier3.shipment", "e2") in receiver.told(), "the alert of the new Redis")

    assert [one["url"] for one in desk.json("list")["items"]] == [receiver.url]
    headers, body = receiver.messages[-1]
    Verifier(kept).verify(body, {key.lower(): value for key, value in headers.items()})
