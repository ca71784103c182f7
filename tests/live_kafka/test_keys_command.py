"""`quota-ledger keys` with a real worker and endpoint: a key is in force while it should be, a lost Redis or not."""

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ledger.book.kept_settings import KeptSettings
from ledger.book.script import connect
from streams.api.key_ring import KeyRing
from streams.api.keys import StoredKey, create, id_and_secret
from streams.cli import keys
from streams.cli.main import app
from streams.kafka.producer import LazyProducer
from streams.keep_settings import policy_in_force
from streams.settings import environment_of
from tests.live_kafka.desk import LiveDesk, shipment
from tests.parts import wait_until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REVOKED_WITHIN_S = 1.0


class Desk(LiveDesk):
    """A ledger whose endpoint asks for keys."""

    def command(self, *arguments):
        return CliRunner().invoke(app, ["keys", *arguments], env=environment_of(self.settings))

    def create(self, *scopes):
        wait_until(lambda: self.redis.exists(self.keys.adoptions), "a worker at work")
        done = self.command("create", *(word for scope in scopes for word in ("--scope", scope)))
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def call(self, key, path="/v1/quotas/IN", body=None):
        """The status of a call; None while nobody listens."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.settings.http_port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code
        except urllib.error.URLError:
            return None


@pytest.fixture
def desk(make_settings):
    desk = Desk(make_settings(partitions=1, auth="required"))
    yield desk
    desk.close()


def test_a_key_opens_what_its_scopes_say_until_it_is_revoked(desk, processes):
    processes.start("worker", desk.settings)
    server = processes.start("api", desk.settings)
    reader, writer = desk.create("quota:read"), desk.create("shipments:write:/http")
    wait_until(lambda: desk.call(reader) is not None, "the endpoint")

    assert desk.call(reader) == 200
    assert desk.call(reader, "/v1/alerts") == 403
    assert desk.call("") == 401
    assert desk.call(writer, "/v1/shipments", shipment("e1")) == 202
    assert desk.call(reader, "/v1/shipments", shipment("e2")) == 403
    desk.wait_settled(1)

    assert desk.command("revoke", id_and_secret(reader)[0]).exit_code == 0
    assert desk.call(reader) == 401
    assert desk.call(writer, "/v1/shipments", shipment("e3")) == 202
    logs = server.log_tail(10_000)
    assert id_and_secret(reader)[1] not in logs
    assert id_and_secret(writer)[1] not in logs


def test_a_revocation_takes_effect_within_a_second(desk, processes):
    processes.start("worker", desk.settings)
    processes.start("api", desk.settings)
    desk.produce([shipment("e1")])
    desk.wait_settled(1)  # the worker reads its topics by now
    key = desk.create("quota:read")
    wait_until(lambda: desk.call(key) == 200, "the endpoint")
    stored = StoredKey.model_validate_json(desk.redis.hget(desk.keys.api_keys, id_and_secret(key)[0]))
    revoked = stored.revoked(stored.created_at)
    began = time.monotonic()
    desk.producer.send(desk.settings.topic_settings, revoked.to_record(), revoked.setting_key.encode()).get(10)
    wait_until(lambda: desk.call(key) == 401, "the revocation", 10)

    assert time.monotonic() - began < REVOKED_WITHIN_S


def test_an_emptied_redis_has_the_keys_again_and_a_revoked_one_stays_revoked(desk, processes):
    worker = processes.start("worker", desk.settings)
    processes.start("api", desk.settings)
    key, revoked = desk.create("quota:read"), desk.create("quota:read")
    assert desk.command("revoke", id_and_secret(revoked)[0]).exit_code == 0
    wait_until(lambda: desk.call(key) == 200, "the endpoint")
    before = desk.redis.hgetall(desk.keys.api_keys)
    desk.redis.flushall()

    assert desk.call(key) == 401
    assert worker.process.wait(30) == 70
    processes.start("worker", desk.settings)
    wait_until(lambda: desk.call(key) == 200, "the key")
    assert desk.call(revoked) == 401
    assert desk.redis.hgetall(desk.keys.api_keys) == before
    listed = json.loads(desk.command("list", "--json").stdout)
    assert [(one["id"], one["revoked_at"] is None) for one in listed["items"]] == [
        (id_and_secret(key)[0], True),
        (id_and_secret(revoked)[0], False),
    ]


async def test_an_emptied_redis_is_filled_in_one_step_so_that_no_revoked_key_opens_anything_in_between(make_settings):
    settings = make_settings(partitions=1)
    stored, _ = create("", ["quota:read"], now=NOW)
    producer = LazyProducer(settings)
    written = [(key.setting_key.encode(), key.to_record(), []) for key in (stored, stored.revoked(NOW))]
    producer.send_all(settings.topic_settings, written)
    redis = connect(settings.redis_url.get_secret_value())
    seen = []

    class Watched(KeptSettings):
        async def keep(self, *arguments):
            checkpoint = await super().keep(*arguments)
            seen.append((await KeyRing(redis, settings.ledger).find(stored.id)).revoked_at)
            return checkpoint

    await policy_in_force(settings, Watched(redis, settings.ledger), producer)
    producer.close()
    await redis.aclose()

    assert seen
    assert set(seen) == {NOW}


def test_without_a_worker_a_command_says_so_and_what_it_wrote_counts_once_there_is_one(desk, processes, monkeypatch):
    monkeypatch.setattr(keys, "COPIED_MAX_S", 0.3)
    created = desk.command("create", "--scope", "quota:read", "--name", "early")
    key = created.stdout.strip()
    key_id = id_and_secret(key)[0]

    assert created.exit_code == 69
    assert key_id
    assert "no worker copied it into Redis within 0.3 s" in created.stderr
    assert "need not be written again" in created.stderr
    assert id_and_secret(key)[1] not in created.stderr
    assert desk.command("revoke", key_id).exit_code == 2

    processes.start("worker", desk.settings)
    wait_until(lambda: desk.redis.hexists(desk.keys.api_keys, key_id), "the key")
    processes.start("api", desk.settings)
    wait_until(lambda: desk.call(key) == 200, "the endpoint")


def test_a_key_is_on_the_topic_as_its_hash_and_a_whole_key_given_as_an_id_is_not_repeated(desk, processes):
    processes.start("worker", desk.settings)
    key = desk.create("quota:read", "alerts:read")
    key_id, secret = id_and_secret(key)
    records = [
        record for record in desk.records(desk.settings.topic_settings) if record.key == f"key:{key_id}".encode()
    ]
    refused = desk.command("revoke", key)

    assert len(records) == 1
    assert secret.encode() not in records[0].value
    assert json.loads(records[0].value)["scopes"] == ["alerts:read", "quota:read"]
    assert refused.exit_code == 2
    assert secret not in refused.output
    assert secret not in desk.command("list").output
