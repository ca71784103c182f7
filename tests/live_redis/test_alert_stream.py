"""GET /v1/alerts/stream on a real Redis and a real server: nothing is missed or told twice, and it ends in time."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pydantic import SecretStr

from ledger.book.keys import Keys
from ledger.errors import LedgerUnavailable
from ledger.policy import load_policy
from streams.settings import Settings
from tests.live_redis.adopting import adopt
from tests.live_redis.endpoint import Server, caller, endpoint

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Desk:
    """A feed, and whoever listens to it."""

    def __init__(self, redis, ledger):
        self.redis, self.keys, self.told = redis, Keys(ledger), 0
        settings = Settings(ledger=ledger, auth="off", secret_key=SecretStr("a key of the tests"))
        self.app = endpoint(redis, ledger, settings, clock=lambda: NOW)

    async def tell(self, *names, at=NOW, **alert):
        for name in names:
            self.told += 1
            told = {"alert_id": name, "kind": "quota.near_cap", "severity": "warning", "country": "IN"}
            told |= {"occurred_at": at.isoformat(), "recorded_at": at.isoformat(), "policy_id": "p"}
            told |= {"policy_sha256": "0", "incident_key": "i", "message": "two\nlines"} | alert
            fields = {"kind": told["kind"], "country": told["country"], "alert": json.dumps(told)}
            await self.redis.xadd(self.keys.alerts, fields, id=f"{self.told}-0")

    @asynccontextmanager
    async def serve(self):
        """A server, and the address of the stream."""
        async with Server(self.app) as server:
            yield server, f"{server.address}/v1/alerts/stream"


@pytest.fixture
async def desk(redis, ledger):
    await adopt(redis, ledger, load_policy("annual-50k"))
    return Desk(redis, ledger)


@pytest.fixture
async def address(desk):
    async with desk.serve() as (_, address):
        yield address


async def heard(lines, count):
    """The next events: (name, id, alert_id)."""
    found, event = [], {}
    async for line in lines:
        if line == "" and "data" in event:
            found.append((event["event"], event["id"], json.loads(event["data"])["alert_id"]))
            if len(found) == count:
                return found
        event = {} if line == "" else event | dict([line.split(": ", 1)])
    return found


class Listener:
    """One call of the stream, held open."""

    def __init__(self, address, *, after=None, **parameters):
        self.http = httpx2.AsyncClient(timeout=10)
        headers = {} if after is None else {"Last-Event-ID": after}
        self.call = self.http.stream("GET", address, params=parameters, headers=headers)

    async def __aenter__(self):
        self.answer = await self.call.__aenter__()
        self.lines = self.answer.aiter_lines()
        return self

    async def __aexit__(self, *_):
        await self.call.__aexit__(None, None, None)
        await self.http.aclose()


async def test_a_stream_begins_with_what_comes_from_now_on(desk, address):
    await desk.tell("before")
    async with Listener(address) as listener:
        await desk.tell("a", "b")
        found = await heard(listener.lines, 2)

    assert listener.answer.headers["content-type"].startswith("text/event-stream")
    assert found == [("alert", "2", "a"), ("alert", "3", "b")]


async def test_whoever_comes_back_with_the_last_id_misses_nothing_though_the_server_is_another(desk, address):
    await desk.tell("before")
    async with Listener(address) as listener:
        await desk.tell("a")
        [(_, last, _)] = await heard(listener.lines, 1)
    await desk.tell("missed")
    async with desk.serve() as (_, other), Listener(other, after=last) as listener:
        await desk.tell("b")
        found = await heard(listener.lines, 2)

    assert [name for _, _, name in found] == ["missed", "b"]


@pytest.mark.parametrize("before", [(), ("before",)])
async def test_whoever_had_heard_nothing_yet_misses_nothing_either(desk, address, before):
    await desk.tell(*before)
    async with Listener(address, country="IN") as listener:
        last = await anext(line.removeprefix("id: ") async for line in listener.lines if line.startswith("id: "))
    await desk.tell("missed")
    async with Listener(address, country="IN", after=last) as listener:
        [(_, _, name)] = await heard(listener.lines, 1)

    assert name == "missed"


@pytest.mark.parametrize(("since", "names"), [({}, ["new"]), ({"since": NOW.isoformat()}, ["there", "new"])])
async def test_an_id_of_a_feed_that_was_lost_begins_the_new_one_as_if_none_had_been_named(desk, address, since, names):
    await desk.tell("there")
    async with Listener(address, after="999", **since) as listener:
        ids = (line.removeprefix("id: ") async for line in listener.lines if line.startswith("id: "))
        assert [await anext(ids), await anext(ids)] == ["999", "0" if since else "1"]
        await desk.tell("new")
        found = await heard(listener.lines, len(names))

    assert [name for _, _, name in found] == names


async def test_since_begins_in_the_past_and_filters_choose(desk, address):
    await desk.tell("long ago", at=NOW - timedelta(days=1))
    await desk.tell("then")
    await desk.tell("elsewhere", country="SG")
    await desk.tell("other", kind="quota.exceeded")
    async with Listener(address, since=NOW.isoformat(), country="IN", kind="quota.near_cap") as listener:
        await desk.tell("now")
        found = await heard(listener.lines, 2)

    assert [name for _, _, name in found] == ["then", "now"]


async def test_a_stream_outlasts_a_redis_that_is_away_for_a_browser_would_not_ask_again_after_a_503(desk, address):
    feed = desk.app.state.parts.feed
    here, looks = feed.newer, []

    async def away_once(*asked):
        looks.append(asked)
        if len(looks) == 1:
            raise LedgerUnavailable("Redis does not answer")
        return await here(*asked)

    feed.newer = away_once
    async with Listener(address) as listener:
        await desk.tell("meanwhile")
        [(_, _, name)] = await heard(listener.lines, 1)

    assert name == "meanwhile"


async def test_a_stream_goes_on_when_redis_comes_back_empty(desk, address):
    await desk.tell(*"abc")
    feed = desk.app.state.parts.feed
    here = feed.newer

    async def lost(*_):
        await desk.redis.delete(desk.keys.alerts)
        desk.told, feed.newer = 0, here
        raise LedgerUnavailable("Redis does not answer")

    async with Listener(address) as listener:
        feed.newer = lost
        ids = (line.removeprefix("id: ") async for line in listener.lines if line.startswith("id: "))
        assert [await anext(ids), await anext(ids)] == ["3", "0"]
        await desk.tell("new")
        found = await heard(listener.lines, 1)

    assert found == [("alert", "1", "new")]


async def test_a_server_that_is_told_to_end_ends_its_streams(desk):
    async with desk.serve() as (server, address), Listener(address) as listener:
        server.should_exit = True
        await asyncio.wait_for(asyncio.shield(server.serving), 10)
        with pytest.raises(httpx2.RemoteProtocolError):
            await heard(listener.lines, 1)


@pytest.mark.parametrize(
    ("headers", "parameters", "named"),
    [
        ({"Last-Event-ID": "x"}, {}, "Last-Event-ID"),
        ({}, {"country": "ZZ"}, "'ZZ'"),
        ({}, {"kind": "nonsense"}, "kind"),
        ({}, {"since": "yesterday"}, "since"),
    ],
)
async def test_what_cannot_be_streamed_is_422_before_it_begins(desk, headers, parameters, named):
    async with caller(desk.app) as http:
        answer = await http.get("/v1/alerts/stream", params=parameters, headers=headers)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]
