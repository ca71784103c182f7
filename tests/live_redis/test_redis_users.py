"""The users of Redis that are shipped: each can do what its process must, and nothing to what the others keep."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from ledger.book.kept_settings import KeptSettings
from ledger.book.outbox import Outbox
from ledger.book.position import Position
from ledger.book.read import Reader
from ledger.book.script import asked
from ledger.book.setting import Setting
from ledger.book.today import Today
from ledger.errors import LedgerUnavailable
from ledger.rules.levels import FAR
from schemas.webhook import Delivery
from streams.api.keys import SCOPES, create
from streams.settings import Settings
from streams.webhooks.feed import Filters
from streams.webhooks.jobs import Jobs
from tests.builders import shipment_document
from tests.live_redis.booking import LAST_MINUTE, NOW, open_desk
from tests.live_redis.endpoint import caller, endpoint
from tests.live_redis.test_deliveries import Desk as DeliveryDesk
from tests.live_redis.test_deliveries import a_run, answering, receiver, until  # noqa: F401  a fixture is among them

FILE = Path(__file__).parents[2] / "streams" / "deploy" / "users.acl"
USERS = dict(re.findall(r"^user (\w+) on (.*)$", FILE.read_text(), re.MULTILINE))
PASSWORD = "a password of the tests"
SHIPMENT = {"id": "e-9", "shipped_at": "2026-03-01T00:00:00Z", "destination": "IN", "lines": [{"tpp_each": 9000}]}
SHIPMENT["lines"][0]["quantity"] = 1


@pytest.fixture
async def user(any_redis):
    """A factory: a client of one of the shipped users, who has a password here."""
    clients = []

    async def client_of(name):
        rules = re.findall(r"\([^)]*\)|\S+", USERS[name])
        await any_redis.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules)
        place = any_redis.get_connection_kwargs()
        clients.append(Redis(host=place["host"], port=place["port"], username=name, password=PASSWORD))
        return clients[-1]

    yield client_of
    for client in clients:
        await client.aclose()


async def test_a_wrong_password_is_told_as_one_and_not_as_a_redis_that_is_away(user):
    place = (await user("worker")).get_connection_kwargs()
    for name, password in (("worker", "another"), ("nobody", PASSWORD)):
        redis = Redis(host=place["host"], port=place["port"], username=name, password=password)
        with pytest.raises(LedgerUnavailable, match="refuses the user or the password in QUOTA_REDIS_URL"):
            await asked(redis.ping())
        await redis.aclose()


async def test_the_worker_can_post_tell_and_keep_settings(user, ledger):
    redis = await user("worker")
    desk = await open_desk(redis, ledger)
    position, outbox = Position(redis, ledger), Outbox(redis, ledger, relay="test")
    await position.check_redis()
    await position.check_log({"cluster_id": "c"})
    await position.note_ends({"shipments:0": 2}, NOW)
    await Today(redis, ledger).begin(NOW.date(), desk.rules)
    reserved = {"type": "shipment.reserved", "expires_at": "2026-03-02T00:00:00Z"}
    await desk.post(0, [shipment_document(quantity=40_000), shipment_document(id="evt-2", **reserved)])
    await desk.tick(LAST_MINUTE)
    assert await outbox.hold_lease(1)
    assert await outbox.remove(await outbox.head(100)) > 0
    await DeliveryDesk(redis, Settings(ledger=ledger, secret_key=SecretStr("k"))).deliver(a_run("1"))
    await position.note_stopped("w", "a reason")
    await position.clear_stopped("w")

    assert (await desk.balances())["country:IN", "2026", "posted"] == 40_000 * 15_832


async def test_the_sender_can_deliver_give_up_and_disable(user, any_redis, ledger, receiver, make_settings):  # noqa: F811
    desk = DeliveryDesk(any_redis, make_settings(partitions=0))
    taken, _ = await desk.subscribe(receiver.url("/good"))
    gone, _ = await desk.subscribe(receiver.url("/gone", answering(410)))
    await desk.deliver(a_run("1"))
    jobs = Jobs(await user("sender"), ledger)
    async with desk.sending(await user("sender")):
        await until(lambda: jobs.last_success_ms(taken.id), "a delivery")
        await until(lambda: _is(desk.published, "disabled"), "the other to be disabled")

    assert receiver.ids("/good") == ["al_1"]
    assert [one.webhook_id for one in await jobs.claim({gone.id: 9}, count=9, now_ms=FAR, lease_ms=1)] == []


async def _is(published, state):
    return any(f'"{state}"'.encode() in (value or b"") for value in published.values())


async def test_every_call_of_the_endpoint_works_as_its_user(user, any_redis, ledger):
    desk = await open_desk(any_redis, ledger)
    await desk.post(0, [shipment_document(id="e-1", quantity=40_000)])
    await DeliveryDesk(any_redis, Settings(ledger=ledger, secret_key=SecretStr("k"))).deliver(a_run("1"))
    stored, key = create("", SCOPES, now=NOW)
    await KeptSettings(any_redis, ledger).keep("keys:0", -1, 0, [Setting(stored.setting_key, stored.to_record())])
    settings = Settings(ledger=ledger, secret_key=SecretStr("k"), webhook_allow="127.0.0.0/8")
    app = endpoint(await user("api"), ledger, settings, clock=lambda: NOW)
    called = set()
    async with caller(app) as http:

        async def call(method, path, *, json=None, **parts):
            address, _, _ = path.partition("?")
            called.add((method, address))
            headers = {"Authorization": f"Bearer {key}"}
            answer = await http.request(method, path.format(**parts), json=json, headers=headers)
            assert answer.status_code < 300, (method, path, answer.text)
            return answer

        await call("GET", "/livez")
        await call("GET", "/readyz")
        await call("GET", "/v1/policy")
        await call("GET", "/v1/quotas")
        for asked in ("", "?as_of=2026-06-01T00:00:00Z", "?known_at=2026-12-01T00:00:00Z"):
            await call("GET", "/v1/quotas/{iso2}" + asked, iso2="IN")
        await call("GET", "/v1/quotas/{iso2}/entries", iso2="IN")
        await call("GET", "/v1/accounts")
        await call("GET", "/v1/alerts")
        await call("GET", "/v1/decisions?source=/tests&id=e-1")
        await call("POST", "/v1/assessments", json=SHIPMENT)
        await call("POST", "/v1/shipments", json=SHIPMENT)
        hook = (await call("POST", "/v1/webhooks", json={"url": "http://127.0.0.1:9/"})).json()["id"]
        await call("GET", "/v1/webhooks")
        await call("GET", "/v1/webhooks/{webhook_id}", webhook_id=hook)
        await call("PATCH", "/v1/webhooks/{webhook_id}", webhook_id=hook, json={"description": "d"})
        await call("POST", "/v1/webhooks/{webhook_id}/rotate", webhook_id=hook)
        await call("POST", "/v1/webhooks/{webhook_id}/test", webhook_id=hook)
        await call("GET", "/v1/webhooks/{webhook_id}/deliveries", webhook_id=hook)
        delivery = Delivery(
            delivery_id=f"{hook}:al_1", webhook_id=hook, alert_id="al_1", sequence=1, attempt=1, at=NOW,
            outcome="failed", status=500, latency_ms=1, answer="", error=None, next_at=None,
        )  # fmt: skip
        await any_redis.xadd(desk.keys.deliveries(hook), {"delivery": delivery.model_dump_json()})
        resend = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"
        await call("POST", resend, webhook_id=hook, delivery_id=delivery.delivery_id)
        await call("DELETE", "/v1/webhooks/{webhook_id}", webhook_id=hook)
    feed = app.state.parts.feed
    assert (await feed.newer("0", Filters()))[0][0][1].alert_id == "al_1"
    called.add(("GET", "/v1/alerts/stream"))  # which asks that

    there_are = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert called == there_are


FOREIGN = [
    ("hset", "balances", "country:IN|2026", "0"),
    ("hdel", "balances", "country:IN|2026"),
    ("hset", "api_keys", "1", "{}"),
    ("hset", "meta", "checkpoint:shipments:0", "-1"),
    ("hset", "alert_ids", "a", "0"),
    ("hset", "policies", "a", "{}"),
    ("xadd", "journal", "*", "a", "b"),
    ("xadd", "alerts", "*", "a", "b"),
    ("rpush", "bookings:country:IN|2026", "a"),
    ("rpush", "expiries", "a"),
    ("ltrim", "outbox", "1", "0"),
    ("del", "balances"),
    ("del", "jobs"),
    ("set", "relay", "me"),
    ("expire", "balances", "1"),
    ("rename", "balances", "jobs"),
]


@pytest.mark.parametrize("name", ["api", "sender"])
async def test_what_others_keep_is_refused(user, any_redis, ledger, name):
    desk = await open_desk(any_redis, ledger)
    await desk.post(0, [shipment_document()])
    before = await desk.snapshot()
    redis = await user(name)
    told = "return redis.call('HSET', KEYS[1], 'a', 'b')"
    sha1 = await any_redis.script_load(told)
    foreign = [(command, desk.keys._key(key), *more) for command, key, *more in FOREIGN]
    foreign += [("evalsha", sha1, 1, desk.keys.balances), ("eval", told, 1, desk.keys.jobs), ("set", "mine", "1")]
    foreign += [("get", "another:program"), ("flushall",), ("config", "get", "*"), ("keys", "*"), ("acl", "list")]
    for command in foreign:
        with pytest.raises(ResponseError, match="permission"):
            await redis.execute_command(*command)

    assert await desk.snapshot() == before


async def test_a_user_that_may_not_is_told_so_in_words(user, ledger):
    redis = await user("api")

    with pytest.raises(LedgerUnavailable, match="permissions"):
        await Position(redis, ledger).note_stopped("w", "a reason")
    assert await Reader(redis, ledger, now=lambda: NOW).rules() is None
