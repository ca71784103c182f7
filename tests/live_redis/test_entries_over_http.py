"""Entries and past balances as the endpoint answers them."""

import codecs
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from ledger.book.post import Book
from ledger.policy import load_policy
from streams.api.csv_answer import not_computed
from streams.debit_shipments import judge
from streams.kafka.run import Run
from streams.settings import Settings
from tests.live_redis.adopting import ADOPTED_AT, adopt
from tests.live_redis.test_api import CAP, H100, NOW, SETTINGS, Desk, problem, said

ENTRIES = "/v1/quotas/IN/entries"
ADJUSTMENT = {"country": "IN", "period": "2026", "tpp": -7, "actor": "a person", "reason": "counted anew"}


class Endpoint(Desk):
    """The endpoint, and a worker whose clock goes on."""

    def __init__(self, redis, ledger, settings):
        super().__init__(redis, ledger, settings)
        self.now = NOW
        self.book = Book(redis, ledger, now=lambda: self.now)

    async def get(self, path=ENTRIES, **params):
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post_records(self, *records):
        """Post records as they come from Kafka: (value, headers)."""
        policy = self.rules.in_force
        come = [
            SimpleNamespace(offset=offset, timestamp=1_790_000_000_000, key=None, value=value, headers=headers)
            for offset, (value, headers) in enumerate(records, self.offset + 1)
        ]
        items = judge(Run("shipments", 0, self.offset, come), policy)
        await self.book.post("shipments:0", self.offset, [(policy, items)], rules=self.rules, park=None)
        self.offset += len(records)


@pytest.fixture
async def desk(redis, ledger):
    desk = Endpoint(redis, ledger, Settings(ledger=ledger, **SETTINGS))
    await desk.adopt()
    async with desk.http:
        yield desk


async def test_an_entry_says_what_moved_because_of_what_under_which_policy_and_when(desk):
    await desk.post(said("a", quantity=2, shipment_id="S-1"), said("b", country="AE"))
    desk.now += timedelta(hours=1)
    await desk.post(said("c", quantity=3))
    told = await desk.get()

    newest, oldest = told["items"]
    assert oldest == {
        "account": "country:IN",
        "period": "2026",
        "state": "posted",
        "event_key": "/kafka/shipments#a",
        "cause": "shipment.shipped",
        "shipment_id": "S-1",
        "tpp": 2 * H100,
        "before_tpp": 0,
        "after_tpp": 2 * H100,
        "occurred_at": "2026-03-01T00:00:00Z",
        "recorded_at": "2026-11-22T12:00:00Z",
        "policy_id": "annual-50k",
        "policy_sha256": desk.rules.in_force.sha256,
        "topic": "shipments",
        "partition": 0,
        "offset": 0,
        "entry": 1,
    }
    assert (newest["event_key"], newest["before_tpp"], newest["after_tpp"]) == (
        "/kafka/shipments#c",
        2 * H100,
        5 * H100,
    )
    assert (newest["recorded_at"], newest["offset"], newest["entry"]) == ("2026-11-22T13:00:00Z", 2, 2)
    assert told["next"] is None
    assert told["freshness"]["applied_at"] == "2026-11-22T13:00:00Z"


async def test_pages_follow_their_cursor_in_either_order(desk):
    await desk.post(*(said(f"e-{number}") for number in range(5)))
    for order, expected in (("newest", [4, 3, 2, 1, 0]), ("oldest", [0, 1, 2, 3, 4])):
        found, more = [], {}
        while True:
            page = await desk.get(order=order, limit=2, **more)
            found += [entry["event_key"] for entry in page["items"]]
            if page["next"] is None:
                break
            more = {"cursor": page["next"]}
        assert found == [f"/kafka/shipments#e-{number}" for number in expected]


async def test_a_bare_events_own_source_is_told_whether_a_header_or_its_topic_names_it(desk):
    bare = [json.dumps(said(name)).encode() for name in ("a", "b")]
    await desk.post_records((bare[0], [("source", b"/erp/cordoba"), ("trace", b"1")]), (bare[1], []))
    told = await desk.get(order="oldest")

    assert [entry["event_key"] for entry in told["items"]] == ["/erp/cordoba#a", "/kafka/shipments#b"]


def read(answer):
    """The rows of a sheet, as Excel reads it: the mark at its begin says that it is UTF-8."""
    assert answer.content.startswith(codecs.BOM_UTF8)
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def test_csv_computes_nothing_that_a_sender_wrote(desk):
    formulas = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "＝1+1", "  =1+1", "\t=1+1")  # noqa: RUF001
    events = [
        {"specversion": "1.0", "id": text, "source": text, "type": "shipment.shipped", "data": said() | {"id": None}}
        for text in formulas
    ]
    events.append(said("plain", shipment_id='=HYPERLINK("http://evil.example","x")'))
    await desk.post(*events)
    adjusted = {"id": "adj", "type": "ledger.adjusted", "time": "2026-05-01T00:00:00Z"} | ADJUSTMENT
    await desk.post_records((json.dumps(adjusted).encode(), []))
    answer = await desk.http.get(ENTRIES, params={"format": "csv", "order": "oldest"})
    rows = read(answer)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["event_key"] for row in rows[:-2]] == [f"'{text}#{text}" for text in formulas]
    assert rows[-2]["shipment_id"] == '\'=HYPERLINK("http://evil.example","x")'
    assert [row["tpp"] for row in rows] == [*[str(H100)] * 8, "-7"], "a number stays one"
    assert (rows[-1]["shipment_id"], rows[-1]["occurred_at"]) == ("", "2026-05-01T00:00:00Z")
    assert list(rows[0]) == list((await desk.get())["items"][0])


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("x;=1+1;y", "x;'=1+1;y"),
        ("x; \n@SUM(A1)", "x; \n'@SUM(A1)"),
        (";=1", ";'=1"),
        ("x\n=1+1", "x\n'=1+1"),
        ("=1;=2", "'=1;'=2"),
        ("H100; 8 = one board; a-b", "H100; 8 = one board; a-b"),
    ],
)
def test_nor_does_csv_where_a_semicolon_ends_a_cell(text, cell):
    assert not_computed(text) == cell


async def test_csv_names_its_next_page_and_has_a_tag(desk):
    await desk.post(*(said(f"e-{number}") for number in range(3)))
    first = await desk.http.get(ENTRIES, params={"format": "csv", "limit": 2})
    link = first.headers["link"]
    second = await desk.http.get(link[link.index("<") + 1 : link.index(">")])

    assert link.endswith('; rel="next"')
    assert [row["event_key"][-3:] for row in read(second)] == ["e-0"]
    assert "link" not in second.headers
    again = await desk.http.get(
        ENTRIES, params={"format": "csv", "limit": 2}, headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_the_list_of_quotas_as_csv_has_a_line_a_country(desk):
    await desk.post(said())
    answer = await desk.http.get("/v1/quotas", params={"format": "csv"})
    rows = {row["country"]: row for row in read(answer)}

    assert len(rows) == 250
    assert (rows["IN"]["posted_tpp"], rows["DE"]["cap_tpp"]) == (str(H100), "")
    assert rows["TR"]["name"] == "Türkiye"


async def test_unchanged_entries_are_304_until_something_is_booked(desk):
    await desk.post(said("a"))
    tag = {"If-None-Match": (await desk.http.get(ENTRIES)).headers["etag"]}
    await desk.post(said("b", country="AE"))

    assert (await desk.http.get(ENTRIES, headers=tag)).status_code == 304
    await desk.post(said("c"))
    assert (await desk.http.get(ENTRIES, headers=tag)).status_code == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (ENTRIES, {"cursor": "nobody's"}),
        (ENTRIES, {"cursor": "1" * 70}),
        (ENTRIES, {"limit": "0"}),
        (ENTRIES, {"limit": "1001"}),
        (ENTRIES, {"order": "up"}),
        (ENTRIES, {"format": "xml"}),
        (ENTRIES, {"period": "2026-Q1"}),
        (ENTRIES, {"as_of": "2026-03-01T00:00:00Z"}),
        ("/v1/quotas", {"format": "xml"}),
        ("/v1/quotas/IN", {"as_of": "yesterday"}),
        ("/v1/quotas/IN", {"as_of": "2026-03-01T00:00:00"}),
        ("/v1/quotas/IN", {"known_at": "2026-13-01T00:00:00Z"}),
        ("/v1/quotas/IN", {"known_at": "0001-01-01T00:00:00+14:00"}),
    ],
)
async def test_a_parameter_that_cannot_be_is_422_and_named(desk, path, query):
    [(name, value)] = query.items()
    told = problem(await desk.http.get(path, params=query), 422, "invalid-request")

    assert name in told["detail"] or value in told["detail"]
    assert "Value error" not in told["detail"]


@pytest.mark.parametrize(
    "asked", ["as_of=2026-03-01T00:00:00+05:30", "as_of=2026-03-01T00:00:00", "known_at=2026-02-30T00:00:00Z"]
)
async def test_a_time_that_cannot_be_read_is_answered_with_how_to_write_one(desk, asked):
    told = problem(await desk.http.get(f"/v1/quotas/IN?{asked}"), 422, "invalid-request")

    assert "such as 2026-03-01T22:10:00Z (a + in an address is a space: write %2B)" in told["detail"]


async def test_an_unknown_country_is_404_with_the_likely_one(desk):
    for path in ("/v1/quotas/UK/entries", "/v1/quotas/UK?known_at=2026-03-01T00:00:00Z"):
        assert "GB" in problem(await desk.http.get(path), 404, "unknown-country")["detail"]


async def test_a_ledger_without_bookings_has_no_entries_and_an_emptied_one_is_503(desk):
    assert (await desk.get())["items"] == []
    assert (await desk.get("/v1/quotas/IN", as_of="2026-03-01T00:00:00Z"))["posted_tpp"] == 0
    await desk.post(said())
    cursor = "5-0"
    await desk.redis.delete(*await desk.redis.keys(desk.keys.pattern))
    problem(await desk.http.get(ENTRIES, params={"cursor": cursor}), 503, "unavailable")
    await desk.adopt()

    assert await desk.get(cursor=cursor) == await desk.get()
    assert (await desk.get("/v1/quotas/IN", known_at="2026-12-01T00:00:00Z"))["posted_tpp"] == 0


async def test_a_past_balance_is_told_with_what_was_used_then(desk):
    await desk.post(said("a", quantity=37_500), said("b", quantity=12_500, shipped_at="2026-06-01T00:00:00Z"))
    desk.now += timedelta(days=1)
    await desk.post(said("late", quantity=1, shipped_at="2026-02-01T00:00:00Z"))
    may = await desk.get("/v1/quotas/IN", as_of="2026-05-01T02:00:00+02:00")
    then = await desk.get("/v1/quotas/IN", known_at="2026-11-22T18:00:00Z")
    both = await desk.get("/v1/quotas/IN", as_of="2026-05-01T00:00:00Z", known_at="2026-11-22T18:00:00Z")
    now = await desk.get("/v1/quotas/IN")

    assert [one["posted_tpp"] // H100 for one in (may, then, both, now)] == [37_501, 50_000, 37_500, 50_001]
    assert [one["status"] for one in (may, then, both, now)] == ["near_cap", "exhausted", "near_cap", "exceeded"]
    assert (both["used_ratio"], both["available_tpp"], both["cap_tpp"]) == (0.75, CAP - 37_500 * H100, CAP)
    assert (may["as_of"], may["known_at"]) == ("2026-05-01T00:00:00Z", None)
    assert [both[name] for name in ("thresholds", "held_lines", "last_posted_at")] == [None] * 3
    assert now["thresholds"]


async def test_what_was_known_then_is_told_under_the_policy_of_then(desk):
    await desk.post(said(quantity=1000))
    desk.rules = await adopt(desk.redis, desk.ledger, load_policy("allies-tier1"), at=NOW + timedelta(days=1))
    then = await desk.get("/v1/quotas/IN", known_at=(NOW + timedelta(hours=23)).isoformat())
    now = await desk.get("/v1/quotas/IN", known_at=(NOW + timedelta(days=1)).isoformat())
    early = await desk.get("/v1/quotas/IN", known_at=(ADOPTED_AT - timedelta(days=1)).isoformat())

    assert [(one["policy_id"], one["tier"]) for one in (early, then, now)] == [
        ("annual-50k", 2),
        ("annual-50k", 2),
        ("allies-tier1", 1),
    ]
    assert [one["posted_tpp"] for one in (early, then, now)] == [0, 1000 * H100, 1000 * H100]


async def test_tier_and_period_of_the_past_are_those_of_that_day(desk):
    before = await desk.get("/v1/quotas/KH", as_of="2026-02-02T00:00:00Z")
    after = await desk.get("/v1/quotas/KH", as_of="2026-02-03T00:00:00Z")
    long_ago = await desk.get("/v1/quotas/IN", as_of=datetime(2025, 5, 1, tzinfo=UTC).isoformat())

    assert (before["tier"], after["tier"]) == (3, 2)
    assert long_ago["period"] == "2025"
