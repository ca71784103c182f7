"""Keys at the endpoint on a real Redis: who may make which call, and what everybody else is told."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.script import connect
from ledger.book.setting import Setting
from ledger.policy import load_policy
from streams.api.key_ring import KeyRing
from streams.api.keys import SCOPES, create
from streams.settings import Settings
from tests.live_redis.adopting import adopt
from tests.live_redis.endpoint import Topic, caller, endpoint

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = load_policy("annual-50k")
PARTITION = "quota.settings:0"
OPEN = {"/livez", "/readyz", "/", "/docs", "/openapi.json"} | {
    f"/page/{name}" for name in ("page.css", "page.js", "world.json", "icon.svg")
}
SESSION = "/page/session"

SCOPE_OF = {
    ("GET", "/v1/quotas"): "quota:read",
    ("GET", "/v1/quotas/{iso2}"): "quota:read",
    ("GET", "/v1/quotas/{iso2}/entries"): "quota:read",
    ("GET", "/v1/accounts"): "quota:read",
    ("GET", "/v1/policy"): "quota:read",
    ("GET", "/v1/decisions"): "quota:read",
    ("POST", "/v1/assessments"): "quota:read",
    ("GET", "/v1/alerts"): "alerts:read",
    ("GET", "/v1/alerts/stream"): "alerts:read",
    ("POST", "/v1/shipments"): "shipments:write",
    ("GET", "/v1/webhooks"): "webhooks:admin",
    ("POST", "/v1/webhooks"): "webhooks:admin",
    ("GET", "/v1/webhooks/{webhook_id}"): "webhooks:admin",
    ("PATCH", "/v1/webhooks/{webhook_id}"): "webhooks:admin",
    ("DELETE", "/v1/webhooks/{webhook_id}"): "webhooks:admin",
    ("POST", "/v1/webhooks/{webhook_id}/rotate"): "webhooks:admin",
    ("POST", "/v1/webhooks/{webhook_id}/test"): "webhooks:admin",
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"): "webhooks:admin",
    ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"): "webhooks:admin",
}
"""Every call that asks for a key. One that is missing here fails a test below: nobody opens one by mistake."""


class Door:
    """An endpoint that asks for keys, and the worker's copy of them."""

    def __init__(self, redis, ledger, **settings):
        self.redis, self.keys, self.topic = redis, Keys(ledger), Topic()
        self.kept, self.offset = KeptSettings(redis, ledger), -1
        settings = Settings(
            ledger=ledger, auth="required", secret_key=SecretStr("a key"), webhook_allow="127.0.0.0/8", **settings
        )
        self.app = endpoint(redis, ledger, settings, producer=self.topic, clock=lambda: NOW)
        self.http = caller(self.app, "quota.example")

    async def copy(self, *stored):
        """What the worker does with records of keys."""
        settings = [Setting(key.setting_key, key.to_record()) for key in stored]
        self.offset = await self.kept.keep(PARTITION, self.offset, self.offset + len(settings), settings)

    async def key(self, *scopes):
        """A key in force: its record and its text."""
        stored, text = create("", scopes, now=NOW)
        await self.copy(stored)
        return stored, text

    async def call(self, text=None, path="/v1/quotas", method="GET", **more):
        headers = {"Last-Event-ID": "of no stream"}  # lest a stream be answered, which has no end
        if text is not None:
            headers["Authorization"] = f"Bearer {text}"
        return await self.http.request(method, path.replace("{iso2}", "IN"), headers=headers, **more)

    def calls(self):
        """Every call of the application: method and path."""
        return {(method, route.path) for route in routes(self.app.routes) for method in route.methods}


def routes(found):
    """The routes of an application, those of included routers too."""
    for route in found:
        if hasattr(route, "effective_candidates"):
            yield from routes(route.effective_candidates())
        else:
            yield route


@pytest.fixture
async def door(redis, ledger):
    door = Door(redis, ledger)
    await adopt(redis, ledger, POLICY)
    async with door.http:
        yield door


def said(event_id="e-1", **more):
    lines = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 1}]
    return {"id": event_id, "shipped_at": "2026-03-01T00:00:00Z", "destination": "IN", "lines": lines} | more


def structured(source, event_id="e-1", **more):
    data = said(event_id, **more)
    kind = data.pop("type", "shipment.shipped")
    return {"specversion": "1.0", "id": data.pop("id"), "source": source, "type": kind, "data": data}


def refused(answer, status, name):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told = answer.json()
    assert told["type"] == f"urn:quota-ledger:problem:{name}"
    return told["detail"]


# ------------------------------------------------------------------------------------------------------ Every call asks


def test_the_walk_over_the_routes_finds_them_all(door):
    documented = {(method.upper(), path) for path, methods in door.app.openapi()["paths"].items() for method in methods}

    assert documented < door.calls()


def test_every_call_asks_for_a_key_but_health_the_page_and_the_documents(door):
    asking = {(method, path) for method, path in door.calls() if path not in OPEN | {SESSION} and method != "HEAD"}

    assert asking == set(SCOPE_OF)


async def test_open_calls_ask_for_no_key(door):
    for path in OPEN:
        assert (await door.call(path=path)).status_code == 200


@pytest.mark.parametrize(("method", "path"), sorted(SCOPE_OF))
async def test_a_call_without_a_key_is_401_and_with_every_scope_but_its_own_403_naming_that(door, method, path):
    scope = SCOPE_OF[method, path]
    _, others = await door.key(*SCOPES - {scope})
    _, own = await door.key(scope)

    refused(await door.call(None, path, method), 401, "unauthorized")
    detail = refused(await door.call(others, path, method), 403, "forbidden")
    assert f"the scope {scope};" in detail
    assert (await door.call(own, path, method)).status_code not in {401, 403}
    assert door.topic == []


async def test_the_openapi_document_says_the_scheme_and_the_scope_of_every_call(door):
    document = (await door.call(path="/openapi.json")).json()
    told = {
        (method.upper(), path): operation.get("security")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert told == {call: [{"key": [scope]}] for call, scope in SCOPE_OF.items()} | {
        ("GET", "/livez"): None,
        ("GET", "/readyz"): None,
    }
    assert "shipments:write" in (await door.call(path="/docs")).text


# ------------------------------------------------------------------------------------------------ Keys that are refused


async def test_missing_malformed_unknown_wrong_and_revoked_keys_get_one_answer(door):
    stored, text = await door.key("quota:read")
    revoked, revoked_text = await door.key("quota:read")
    await door.copy(revoked.revoked(NOW))
    unknown, unknown_text = create("", ["quota:read"], now=NOW)
    wrong_secret = unknown_text.replace(unknown.id, stored.id)
    answers = [
        await door.call(text) for text in (None, "", "nonsense", "qk_", unknown_text, wrong_secret, revoked_text)
    ]
    headers = (text, f"Basic {text}", f"Token {text}", f"Bearer {text} x", f"Bearer {text},", f"Bearer {text}é")
    answers += [await door.http.get("/v1/quotas", headers={"Authorization": header.encode()}) for header in headers]

    for answer in answers:
        refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
    assert len({answer.content for answer in answers}) == 1
    assert (await door.call(text)).status_code == 200
    assert (await door.http.get("/v1/quotas", headers={"Authorization": f"bearer {text}"})).status_code == 200


async def test_every_refused_key_is_looked_up_and_compared(door, monkeypatch):
    looked_up, compared = [], []
    find = KeyRing.find

    async def counted_find(ring, key_id):
        looked_up.append(key_id)
        return await find(ring, key_id)

    def counted_compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(KeyRing, "find", counted_find)
    monkeypatch.setattr("streams.api.keys.hmac.compare_digest", counted_compare)
    revoked, revoked_text = await door.key("quota:read")
    await door.copy(revoked.revoked(NOW))
    tried = (None, "nonsense", create("", ["quota:read"], now=NOW)[1], revoked_text)
    for text in tried:
        assert (await door.call(text)).status_code == 401

    assert len(looked_up) == len(tried)
    assert [len(one) == len(other) == 64 for one, other in compared] == [True] * len(tried)


async def test_a_revoked_key_opens_nothing_from_the_next_call_on(door):
    stored, text = await door.key("quota:read")
    before = await door.call(text)
    await door.copy(stored.revoked(NOW))

    assert before.status_code == 200
    refused(await door.call(text), 401, "unauthorized")


async def test_a_record_that_cannot_be_read_opens_nothing_and_hides_no_other_key(door):
    stored, text = await door.key("quota:read")
    other, _ = await door.key("quota:read")
    await door.redis.hset(door.keys.api_keys, stored.id, b'{"scopes": 7}')

    refused(await door.call(text), 401, "unauthorized")
    assert [key.id for key in await KeyRing(door.redis, door.keys.ledger).all()] == [other.id]


async def test_a_deleted_record_opens_nothing(door):
    stored, text = await door.key("quota:read")
    await door.kept.keep(PARTITION, door.offset, door.offset + 1, [Setting(stored.setting_key, None)])

    refused(await door.call(text), 401, "unauthorized")


async def test_keys_and_webhooks_of_one_id_do_not_meet(door):
    stored, text = await door.key("quota:read")
    await door.kept.keep(PARTITION, door.offset, door.offset + 1, [Setting(f"webhook:{stored.id}", b"{}")])
    await door.kept.keep(PARTITION, door.offset + 1, door.offset + 2, [Setting(f"webhook:{stored.id}", None)])

    assert (await door.call(text)).status_code == 200
    assert await door.redis.hlen(door.keys.webhooks) == 0


async def test_a_key_is_never_told_again_by_answer_or_log(door, caplog):
    _, text = await door.key("alerts:read")
    secret = text.rpartition("_")[2]
    answers = [await door.call(text), await door.call(text, "/v1/alerts"), await door.call(text + "x")]

    assert all(secret not in answer.text + str(answer.headers) for answer in answers)
    assert secret not in caplog.text


async def test_redis_away_is_503_and_not_an_open_door(ledger):
    redis = connect("redis://127.0.0.1:1/0", timeout_s=1)
    door = Door(redis, ledger)
    _, text = create("", sorted(SCOPES), now=NOW)
    async with door.http:
        for method, path in SCOPE_OF:
            assert "Redis" in refused(await door.call(text, path, method), 503, "unavailable")
        assert (await door.call(path="/livez")).status_code == 200
    await redis.aclose()


async def test_a_page_from_elsewhere_may_not_call_even_with_a_key(door):
    _, text = await door.key("quota:read")
    headers = {"Authorization": f"Bearer {text}", "Origin": "http://evil.example"}

    refused(await door.http.get("/v1/quotas", headers=headers), 403, "forbidden")


# ---------------------------------------------------------------------------------------- The key of a person's browser


async def test_a_key_that_is_given_once_comes_along_in_a_cookie_that_no_script_reads_until_it_is_dropped(door):
    _, text = await door.key("quota:read")
    given = await door.http.post(SESSION, json={"key": text})
    asked = await door.call()
    dropped = await door.http.delete(SESSION)

    name, *attributes = given.headers["set-cookie"].split("; ")
    assert (given.status_code, name) == (204, f"quota_key={text}")
    assert set(attributes) == {"HttpOnly", "SameSite=strict", "Path=/v1", "Max-Age=2592000"}
    assert (asked.status_code, dropped.status_code) == (200, 204)
    refused(await door.call(), 401, "unauthorized")


async def test_the_cookie_is_for_https_alone_where_the_page_came_by_it(door):
    _, text = await door.key("quota:read")
    direct = await door.http.post(f"https://quota.example{SESSION}", json={"key": text})
    proxied = await door.http.post(SESSION, json={"key": text}, headers={"Origin": "https://quota.example:8080"})

    assert "; Secure" in direct.headers["set-cookie"]
    assert "; Secure" in proxied.headers["set-cookie"]


@pytest.mark.parametrize(("body", "status"), [({"key": "qk_x"}, 401), ({"key": ""}, 401), ({}, 422), ([], 422)])
async def test_a_key_that_opens_nothing_is_not_kept(door, body, status):
    answer = await door.http.post(SESSION, json=body)

    refused(answer, status, "unauthorized" if status == 401 else "invalid-request")
    assert "set-cookie" not in answer.headers


async def test_a_revoked_key_ends_its_sessions(door):
    stored, text = await door.key("quota:read")
    await door.http.post(SESSION, json={"key": text})
    await door.copy(stored.revoked(NOW))

    refused(await door.call(), 401, "unauthorized")


OWN, ELSEWHERE = {"Origin": "http://quota.example:8080"}, {"Origin": "http://evil.example"}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),  # a browser that tells an unsafe address nothing
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("GET", {"Sec-Fetch-Site": "none"}, 200),
        ("GET", {"Sec-Fetch-Site": "same-site"}, 401),  # another port of this machine
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 401),
        ("GET", ELSEWHERE, 403),
        ("POST", OWN, 422),
        ("POST", {"Sec-Fetch-Site": "same-origin"} | OWN, 422),
        ("POST", {"Sec-Fetch-Site": "same-site"}, 401),
        ("POST", {}, 401),
        ("POST", ELSEWHERE, 403),
        ("POST", {"Origin": "null"}, 403),
    ],
)
async def test_the_cookie_opens_nothing_to_another_page_that_the_browser_shows(door, method, headers, status):
    _, text = await door.key("quota:read")
    await door.http.post(SESSION, json={"key": text})
    answer = await door.http.request(method, "/v1/quotas" if method == "GET" else "/v1/assessments", headers=headers)

    assert answer.status_code == status


async def test_another_page_neither_sets_nor_drops_the_cookie(door):
    _, text = await door.key("quota:read")
    for method in ("POST", "DELETE"):
        answer = await door.http.request(method, SESSION, json={"key": text}, headers=ELSEWHERE)

        refused(answer, 403, "forbidden")
        assert "set-cookie" not in answer.headers


async def test_a_bearer_key_counts_alone_though_a_cookie_comes_along(door):
    _, text = await door.key("quota:read")
    await door.http.post(SESSION, json={"key": text})

    refused(await door.call("qk_x"), 401, "unauthorized")


# -------------------------------------------------------------------------------------------- Keys bound to one source


async def test_a_key_that_is_bound_to_a_source_sends_events_of_that_source_alone(door):
    _, text = await door.key("shipments:write:/logistics/acme")
    own = await door.call(text, "/v1/shipments", "POST", json=structured("/logistics/acme"))
    others = [structured("/logistics/other"), structured("/logistics/acme/"), said()]
    answers = [await door.call(text, "/v1/shipments", "POST", json=event) for event in others]

    assert own.json()["event_keys"] == ["/logistics/acme#e-1"]
    for answer, source in zip(answers, ("/logistics/other", "/logistics/acme/", "/http"), strict=True):
        assert f"the scope shipments:write:{source};" in refused(answer, 403, "forbidden")
    assert len(door.topic) == 1


async def test_one_foreign_event_in_a_list_sends_nothing(door):
    _, text = await door.key("shipments:write:/a")
    mixed = [structured("/a", "1"), structured("/b", "2"), structured("/a", "3")]
    answer = await door.call(text, "/v1/shipments", "POST", json=mixed)

    assert "shipments:write:/b;" in refused(answer, 403, "forbidden")
    assert door.topic == []


async def test_a_bare_event_needs_the_source_http_whatever_it_says_of_itself(door):
    _, bound = await door.key("shipments:write:/http")
    _, elsewhere = await door.key("shipments:write:/a")
    bare = said(source="/a")

    assert (await door.call(bound, "/v1/shipments", "POST", json=bare)).json()["event_keys"] == ["/http#e-1"]
    refused(await door.call(elsewhere, "/v1/shipments", "POST", json=bare), 403, "forbidden")


async def test_a_bound_key_may_not_touch_what_another_source_has_sent(door):
    _, text = await door.key("shipments:write:/a")
    cancel = structured("/a", type="shipment.cancelled", original_id="x", original_source="/b")
    answer = await door.call(text, "/v1/shipments", "POST", json=cancel)

    assert "shipments:write:/b;" in refused(answer, 403, "forbidden")


async def test_a_key_may_be_bound_to_several_sources_and_one_that_is_not_bound_sends_all(door):
    both = [structured("/a", "1"), structured("urn:b:c", "2")]
    for scopes in (["shipments:write:/a", "shipments:write:urn:b:c"], ["shipments:write"]):
        _, text = await door.key(*scopes)
        answer = await door.call(text, "/v1/shipments", "POST", json=both)

        assert answer.status_code == 202


# ------------------------------------------------------------------------------------------------------- Used too often


async def test_a_key_that_is_used_too_often_waits_and_another_does_not(redis, ledger):
    door = Door(redis, ledger, key_calls_per_s=0.1)  # one call at once, and one every ten seconds
    await adopt(redis, ledger, POLICY)
    (_, eager), (_, other) = await door.key("quota:read"), await door.key("quota:read")
    async with door.http:
        assert (await door.call(eager)).status_code == 200
        answer = await door.call(eager)
        as_cookie = await door.http.get("/v1/quotas", headers={"Cookie": f"quota_key={eager}"})
        without = await door.call("qk_" + "0" * 16 + "_" + "0" * 48)
        again = await door.call("qk_" + "0" * 16 + "_" + "0" * 48)

        assert "0.1 calls a second" in refused(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert as_cookie.status_code == 429
        assert (without.status_code, again.status_code) == (401, 401)
        assert (await door.call(other)).status_code == 200
        assert (await door.http.get("/livez")).status_code == 200
