"""The endpoint on a real Redis: what it answers, and that it never answers what it does not know."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pydantic import SecretStr

from ledger.book.judged import Judged
from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.position import Position
from ledger.book.post import Book
from ledger.book.script import connect
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.adoption import Closure
from schemas.cloudevents import read_event
from schemas.decision import Decision
from schemas.quota_status import QuotaStatus
from schemas.webhook import Delivery
from streams.settings import Settings
from streams.webhooks.subscription import SecretBox, read_record
from tests.live_redis.adopting import adopt
from tests.live_redis.endpoint import Server, Topic, caller, endpoint

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = load_policy("annual-50k")
CAP = 791_600_000
H100 = 15_832
PARTITION = "shipments:0"


def said(event_id="e-1", *, quantity=1, country="IN", model="H100 SXM", **more):
    event = {"id": event_id, "shipped_at": "2026-03-01T00:00:00Z", "destination": country}
    return event | {"lines": [{"vendor": "NVIDIA", "model": model, "quantity": quantity}]} | more


class Desk:
    """The endpoint of one ledger, and what a worker would do to that ledger."""

    def __init__(self, redis, ledger, settings):
        self.redis, self.ledger, self.keys, self.topic = redis, ledger, Keys(ledger), Topic()
        self.book = Book(redis, ledger, now=lambda: NOW)
        self.position = Position(redis, ledger)
        self.offset = -1
        self.app = endpoint(redis, ledger, settings, producer=self.topic, clock=lambda: NOW)
        self.http = caller(self.app)

    async def adopt(self):
        self.rules = await adopt(self.redis, self.ledger, POLICY)

    async def post(self, *events):
        async def park(_):
            pytest.fail("nothing here is to be parked")

        run = []
        for offset, event in enumerate(events, start=self.offset + 1):
            value = json.dumps(event).encode()
            read = read_event(value, default_source="/kafka/shipments")
            run.append(Judged.of(offset, 1_770_000_000_000, value, (), event=read, judged=assess(read, POLICY)))
        await self.book.post(PARTITION, self.offset, [(POLICY, run)], rules=self.rules, park=park)
        self.offset += len(run)

    async def tell(self, offset, **alert):
        """Put an alert into the feed, as the worker does."""
        told = {"alert_id": f"al_{offset}", "kind": "quota.near_cap", "severity": "warning", "country": "IN"}
        told |= {"occurred_at": NOW.isoformat(), "recorded_at": NOW.isoformat(), "policy_id": "p"}
        told |= {"policy_sha256": "0", "incident_key": "i", "message": "m"} | alert
        fields = {"kind": told["kind"], "country": told["country"], "alert": json.dumps(told)}
        await self.redis.xadd(self.keys.alerts, fields, id=f"{offset + 1}-0")
        await self.redis.hset(self.keys.alert_ids, told["alert_id"], offset)


SETTINGS = {"auth": "off", "secret_key": SecretStr("a key of the tests"), "webhook_allow": "127.0.0.0/8"}


@pytest.fixture
async def desk(redis, ledger):
    desk = Desk(redis, ledger, Settings(ledger=ledger, **SETTINGS))
    await desk.adopt()
    async with desk.http:
        yield desk


def problem(answer, status, name):
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (answer.status_code, told["status"], told["type"]) == (status, status, f"urn:quota-ledger:problem:{name}")
    assert told["detail"]
    return told


# ------------------------------------------------------------------------------------------------------------- Balances


async def test_a_balance_says_how_much_is_used_of_what_and_how_fresh_that_is(desk):
    await desk.post(said(quantity=37_500))
    await desk.position.note_ends({PARTITION: 3}, NOW)
    answer = await desk.http.get("/v1/quotas/IN")
    told = answer.json()

    assert answer.status_code == 200
    assert told["posted_tpp"] == 37_500 * H100
    assert told["available_tpp"] == CAP - 37_500 * H100
    assert (told["cap_tpp"], told["tier"], told["period"], told["status"]) == (CAP, 2, "2026", "near_cap")
    assert (told["used_ratio"], told["h100_equivalents"]) == (0.75, 37_500.0)
    assert [level["level"] for level in told["thresholds"] if level["crossed_at"]] == [75]
    assert told["period_end"] == "2027-01-01T00:00:00Z"
    assert told["freshness"] == {"applied_at": "2026-11-22T12:00:00Z", "lag_records": 2, "lag_s": 0.0}
    assert (told["policy_id"], told["policy_sha256"]) == ("annual-50k", POLICY.sha256)


async def test_every_country_has_a_balance_and_filters_choose(desk):
    await desk.post(said("a", quantity=40_000), said("b", country="AE"), said("c", country="KP"))
    everyone = (await desk.http.get("/v1/quotas")).json()
    near = (await desk.http.get("/v1/quotas", params={"status": "near_cap"})).json()
    third = (await desk.http.get("/v1/quotas", params={"tier": 3, "period": "2026"})).json()

    assert len(everyone["items"]) == len(POLICY.countries) == 250
    assert everyone["next"] is None
    assert everyone["freshness"]["applied_at"] == "2026-11-22T12:00:00Z"
    assert [item["country"] for item in near["items"]] == ["IN"]
    assert {item["status"] for item in third["items"]} == {"prohibited"}
    assert {item["country"]: item["posted_tpp"] for item in third["items"]}["KP"] == H100


@pytest.mark.parametrize("period", ["9999", "0000", "26", "", "2026-Q1"])
@pytest.mark.parametrize("path", ["/v1/quotas", "/v1/quotas/IN"])
async def test_a_period_that_cannot_be_is_422(desk, path, period):
    answer = await desk.http.get(path, params={"period": period})

    assert f"{period!r} is no period" in problem(answer, 422, "invalid-request")["detail"]


async def test_the_first_and_the_last_period_have_balances(desk):
    for period, end in (("0001", "0002-01-01T00:00:00Z"), ("9998", "9999-01-01T00:00:00Z")):
        answer = await desk.http.get("/v1/quotas/IN", params={"period": period})

        assert answer.json()["period_end"] == end


@pytest.mark.parametrize(
    ("path", "said"), [("/v1/quotas/IN", "did you mean period?"), ("/v1/policy", "this call takes none")]
)
async def test_a_misspelt_parameter_is_422_and_named(desk, path, said):
    told = problem(await desk.http.get(path, params={"perod": "2026"}), 422, "invalid-request")

    assert [error["field"] for error in told["errors"]] == ["perod"]
    assert said in told["detail"]


async def test_a_parameter_that_stands_twice_is_422_for_only_one_could_count(desk):
    told = problem(await desk.http.get("/v1/quotas?tier=1&period=2026&tier=2"), 422, "invalid-request")

    assert told["detail"] == "tier: it stands there 2 times; write it once"


async def test_no_cap_is_null_and_never_zero(desk):
    told = (await desk.http.get("/v1/quotas/DE")).json()

    assert (told["status"], told["cap_tpp"], told["available_tpp"], told["used_ratio"]) == ("unlimited", *[None] * 3)
    assert told["thresholds"] == []


async def test_another_period_is_another_balance(desk):
    await desk.post(said())

    assert (await desk.http.get("/v1/quotas/IN", params={"period": "2025"})).json()["posted_tpp"] == 0
    problem(await desk.http.get("/v1/quotas/IN", params={"period": "2026-Q1"}), 422, "invalid-request")


async def test_an_unknown_country_is_404_with_the_likely_one(desk):
    told = problem(await desk.http.get("/v1/quotas/UK"), 404, "unknown-country")

    assert "GB" in told["detail"]


async def test_an_unchanged_answer_is_304_and_still_says_how_fresh_it_is(desk):
    await desk.post(said())
    for path in ("/v1/quotas", "/v1/quotas/IN", "/v1/policy"):
        tag = (await desk.http.get(path)).headers["etag"]
        await desk.position.note_ends({PARTITION: 100}, NOW)
        again = await desk.http.get(path, headers={"If-None-Match": f'"other", {tag}'})

        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    fresh = await desk.http.get("/v1/quotas/IN", headers={"If-None-Match": tag})
    assert json.loads(fresh.headers["quota-freshness"])["lag_records"] == 99


async def test_a_booking_changes_the_tag(desk):
    before = (await desk.http.get("/v1/quotas/IN")).headers["etag"]
    await desk.post(said())
    after = await desk.http.get("/v1/quotas/IN", headers={"If-None-Match": before})

    assert after.status_code == 200
    assert after.json()["posted_tpp"] == H100


# ------------------------------------------------------------------------------------------- Decisions and assessments


async def test_a_decision_tells_what_became_of_an_event(desk):
    await desk.post(said("a", quantity=2), said("b", quantity=3))
    answer = await desk.http.get("/v1/decisions", params={"source": "/kafka/shipments", "id": "b"})
    decision = Decision.model_validate_json(answer.content)

    assert (decision.event_key, decision.outcome) == ("/kafka/shipments#b", "applied")
    [charge] = decision.charges
    assert (charge.account, charge.before_tpp, charge.tpp, charge.after_tpp) == (
        "country:IN",
        2 * H100,
        3 * H100,
        5 * H100,
    )


async def test_an_event_that_was_not_seen_is_404_with_freshness(desk):
    await desk.post(said())
    told = problem(
        await desk.http.get("/v1/decisions", params={"source": "/http", "id": "nobody"}), 404, "unknown-event"
    )

    assert told["freshness"]["applied_at"] == "2026-11-22T12:00:00Z"


async def test_an_assessment_foresees_charge_and_alerts_and_books_nothing(desk):
    await desk.post(said("a", quantity=37_000))
    answer = await desk.http.post("/v1/assessments", json=said("b", quantity=8_500))
    decision = Decision.model_validate_json(answer.content)

    assert (decision.event_key, decision.outcome, decision.recorded_at) == ("/http#b", None, None)
    assert decision.charges[0].before_tpp == 37_000 * H100
    assert decision.charges[0].after_tpp == 45_500 * H100
    assert [(alert.kind, alert.level) for alert in decision.alerts] == [("quota.near_cap", 75), ("quota.near_cap", 90)]
    assert decision.fits is True
    assert (await desk.http.get("/v1/quotas/IN")).json()["posted_tpp"] == 37_000 * H100
    assert desk.topic == []


async def test_an_assessment_of_a_return_says_what_it_would_give_back_and_books_nothing(desk):
    await desk.post(said("a", quantity=3))
    back = {"id": "r", "type": "shipment.returned", "original_source": "/kafka/shipments", "original_id": "a"}
    lines = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 2}]
    known, unknown = [
        (await desk.http.post("/v1/assessments", json=back | {"lines": lines} | named)).json()
        for named in ({}, {"original_id": "nobody"})
    ]

    assert [(charge["before_tpp"], charge["tpp"], charge["after_tpp"]) for charge in known["charges"]] == [
        (3 * H100, -2 * H100, H100)
    ]
    assert (known["outcome"], known["tier"], known["fits"]) == (None, 2, None)
    assert (unknown["outcome"], unknown["charges"], unknown["tier"]) == (None, [], None)
    assert unknown["receipt"][-1] == "/kafka/shipments#nobody, which it names, is not known yet."
    assert (await desk.http.get("/v1/quotas/IN")).json()["posted_tpp"] == 3 * H100


async def test_reserved_quota_is_told_apart_and_is_not_available(desk):
    await desk.post(said("a", quantity=2), said("b", quantity=3, type="shipment.reserved"))
    told = (await desk.http.get("/v1/quotas/IN")).json()

    assert (told["posted_tpp"], told["reserved_tpp"]) == (2 * H100, 3 * H100)
    assert told["available_tpp"] == CAP - 5 * H100
    assert told["used_ratio"] == round(2 * H100 / CAP, 6)


async def test_events_of_every_type_go_onto_the_topic(desk):
    person = {"actor": "a person", "reason": "a reason"}
    events = [
        said("a", type="shipment.reserved"),
        said("b", type="shipment.corrected", original_id="a", time="2026-03-02T00:00:00Z"),
        said("c", type="compute.used"),
        {"id": "d", "type": "shipment.returned", "original_id": "a"},
        {"id": "e", "type": "shipment.cancelled", "original_id": "a"},
        {
            "id": "f",
            "type": "shipment.resolved",
            "original_id": "a",
            "lines": [{"model": "Z9", "tpp_each": 5}],
            **person,
        },
        {"id": "g", "type": "ledger.adjusted", "country": "IN", "period": "2026", "tpp": -5, **person},
    ]
    answer = await desk.http.post("/v1/shipments", json=events)
    wrong = await desk.http.post("/v1/shipments", json=events[-1] | {"period": "26", "country": "UK"})

    assert (answer.status_code, len(desk.topic)) == (202, len(events))
    told = problem(wrong, 422, "invalid-event")
    assert {(error["field"], error["reason"]) for error in told["errors"]} == {
        ("country", "unknown_country"),
        ("period", "bad_value"),
    }


async def test_an_assessment_takes_a_cloudevent_and_a_shipped_policy_by_name(desk):
    data = said()
    envelope = {"specversion": "1.0", "id": data.pop("id"), "source": "/erp", "type": "shipment.shipped", "data": data}
    answer = await desk.http.post("/v1/assessments", params={"policy": "annual-50k"}, json=envelope)

    assert answer.json()["event_key"] == "/erp#e-1"
    for name in ("/etc/passwd", "annual"):
        told = problem(
            await desk.http.post("/v1/assessments", params={"policy": name}, json=said()), 422, "invalid-request"
        )
        assert "annual-50k" in told["detail"]


@pytest.mark.parametrize(
    ("policy", "charged", "needed"),
    [
        ("annual-50k", ("country:IN", "2026", 791_600_000), None),
        ("allies-tier1", ("country:IN", "2026", None), None),
        ("allies-tier1-long", ("country:IN", "2026", None), None),
        ("december-2024", ("country:IN", "2026", None), False),
        ("diffusion-2025", ("lpp:lei:1", "2026", 26_900_000), None),
    ],
)
async def test_an_assessment_is_made_under_any_shipped_policy(desk, policy, charged, needed):
    event = said() | {"authorization": {"kind": "lpp"}, "consignee": {"id": "lei:1", "headquarters": "IN"}}
    answer = (await desk.http.post("/v1/assessments", params={"policy": policy}, json=event)).json()

    assert (answer["policy_id"], answer["license_required"]) == (policy, needed)
    assert [(c["account"], c["period"], c["cap_tpp"]) for c in answer["charges"]] == [charged]


async def test_an_assessment_may_look_ahead_where_a_shipment_may_not(desk):
    planned = said(country="AE", shipped_at="2027-04-07T00:00:00Z", consignee={"name": "G42", "headquarters": "AE"})
    eve = planned | {"shipped_at": "2027-04-06T23:59:59Z"}
    answers = [
        await desk.http.post("/v1/assessments", params={"policy": "december-2024"}, json=event)
        for event in (eve, planned)
    ]

    assert [answer.json()["license_required"] for answer in answers] == [False, True]
    told = problem(await desk.http.post("/v1/shipments", json=planned), 422, "invalid-event")
    assert told["errors"][0]["reason"] == "in_the_future"


async def test_an_invalid_event_is_422_with_every_error_at_once(desk):
    bad = said(quantity=0, shipped_at="yesterday", destination=7)
    told = problem(await desk.http.post("/v1/assessments", json=bad), 422, "invalid-event")

    assert {error["field"] for error in told["errors"]} == {"shipped_at", "destination", "lines.0.quantity"}
    assert all(error["reason"] and error["advice"] for error in told["errors"])
    unknown = problem(await desk.http.post("/v1/assessments", json=said(country="UK")), 422, "invalid-event")
    assert (unknown["errors"][0]["reason"], "GB" in unknown["detail"]) == ("unknown_country", True)


# ------------------------------------------------------------------------------------------------------------ Shipments


@pytest.mark.parametrize("structured", [False, True])
async def test_a_code_that_is_no_country_is_told_beside_what_is_wrong_otherwise(desk, structured):
    data = said(country="UK", quantity=0, consignee={"country": "ZZ", "ultimate_parent": 7})
    event = {"specversion": "1.0", "source": "/s", "type": "shipment.shipped"} | {"id": data.pop("id"), "data": data}
    event, prefix = (event, "data.") if structured else (data | {"id": "e-1"}, "")
    wrong = {"destination", "consignee.country", "consignee.ultimate_parent", "lines.0.quantity"}
    assessed = problem(await desk.http.post("/v1/assessments", json=event), 422, "invalid-event")
    sent = problem(await desk.http.post("/v1/shipments", json=event), 422, "invalid-event")

    assert {error["field"] for error in assessed["errors"]} == {prefix + field for field in wrong}
    assert sent["errors"] == assessed["errors"]


async def test_a_shipment_goes_onto_the_topic_as_it_was_sent(desk):
    body = json.dumps(said("a", shipment_id="S-1"), indent=2)
    answer = await desk.http.post("/v1/shipments", content=body)

    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "event_keys": ["/http#a"]})
    assert desk.topic == [("shipments", b"S-1", body.encode(), [("source", b"/http")])]


BINARY = {"ce-specversion": "1.0", "ce-id": "a%20b", "ce-source": "/logistics/acme", "ce-type": "shipment.shipped"}


async def test_a_cloudevent_in_binary_mode_keeps_its_attributes(desk):
    data = {name: value for name, value in said().items() if name != "id"}
    answer = await desk.http.post("/v1/shipments", json=data, headers=BINARY)
    [(topic, _, value, headers)] = desk.topic

    assert answer.json() == {"accepted": 1, "event_keys": ["/logistics/acme#a b"]}
    assert (topic, json.loads(value)) == ("shipments", data)
    assert read_event(value, headers, default_source="/x").key == "/logistics/acme#a b"
    assessed = await desk.http.post("/v1/assessments", json=data, headers=BINARY)
    assert assessed.json()["event_key"] == "/logistics/acme#a b"


@pytest.mark.parametrize(("absent", "field"), [("ce-id", "ce-id"), ("ce-source", "source"), ("ce-type", "type")])
async def test_binary_mode_without_what_it_needs_is_422(desk, absent, field):
    headers = {name: value for name, value in BINARY.items() if name != absent}
    told = problem(await desk.http.post("/v1/shipments", json=said(), headers=headers), 422, "invalid-event")

    assert [error["field"] for error in told["errors"]] == [field]
    assert desk.topic == []


async def test_the_headers_of_a_structured_event_change_nothing(desk):
    event = {"specversion": "1.0", "id": "s", "source": "/a", "type": "shipment.shipped", "data": said()}
    headers = BINARY | {"content-type": "application/cloudevents+json"}
    answer = await desk.http.post("/v1/shipments", content=json.dumps(event), headers=headers)

    assert answer.json()["event_keys"] == ["/a#s"]


async def test_a_list_goes_onto_the_topic_in_order(desk):
    answer = await desk.http.post("/v1/shipments", json=[said("a"), said("b")])

    assert answer.json()["event_keys"] == ["/http#a", "/http#b"]
    assert [read_event(value, headers, default_source="/x").key for _, _, value, headers in desk.topic] == [
        "/http#a",
        "/http#b",
    ]


async def test_one_bad_event_in_a_list_names_it_and_sends_nothing(desk):
    events = [said("a"), said("b", quantity=0), said("c", country="UK"), said("a", quantity=2), 7]
    told = problem(await desk.http.post("/v1/shipments", json=events), 422, "invalid-event")

    assert [(error["field"].split(".")[0], error["reason"]) for error in told["errors"]] == [
        ("[1]", "number_out_of_range"),
        ("[2]", "unknown_country"),
        ("[3]", "conflict"),
        ("[4]", "not_an_object"),
    ]
    assert desk.topic == []


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"[NaN]", b"nonsense", b'{"id": ' + b"[" * 100_000])
async def test_a_body_that_is_no_event_is_422(desk, body):
    answer = await desk.http.post("/v1/shipments", content=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_list_of_more_than_a_thousand_is_refused(desk):
    told = problem(await desk.http.post("/v1/shipments", json=[said()] * 1001), 422, "invalid-request")

    assert "1,000" in told["detail"]


async def test_a_body_past_the_limit_is_413(desk):
    problem(await desk.http.post("/v1/assessments", content=b" " * 200_000), 413, "too-large")
    problem(await desk.http.post("/v1/shipments", content=b" " * 17_000_000), 413, "too-large")

    async def chunks():
        for _ in range(200):
            yield b" " * 1000

    problem(await desk.http.post("/v1/webhooks", content=chunks()), 413, "too-large")


async def test_kafka_away_is_503_for_writes_while_reads_go_on(desk):
    desk.topic.away = True
    answer = await desk.http.post("/v1/shipments", json=said())

    assert "127.0.0.1:1" in problem(answer, 503, "unavailable")["detail"]
    assert (await desk.http.get("/v1/quotas/IN")).status_code == 200


# ------------------------------------------------------------------------------------------------- Alerts and webhooks


async def test_alerts_come_in_pages_newest_first_and_filters_choose(desk):
    for offset in range(5):
        await desk.tell(offset, country="IN" if offset % 2 else "AE")
    first = (await desk.http.get("/v1/alerts", params={"limit": 3})).json()
    rest = (await desk.http.get("/v1/alerts", params={"limit": 3, "cursor": first["next"]})).json()
    india = (await desk.http.get("/v1/alerts", params={"country": "IN"})).json()

    assert [alert["alert_id"] for alert in first["items"]] == ["al_4", "al_3", "al_2"]
    assert [alert["alert_id"] for alert in rest["items"]] == ["al_1", "al_0"]
    assert rest["next"] is None
    assert [alert["alert_id"] for alert in india["items"]] == ["al_3", "al_1"]
    assert (await desk.http.get("/v1/alerts", params={"since": "2027-01-01T00:00:00Z"})).json()["items"] == []


@pytest.mark.parametrize(
    "query", [{"kind": "quota.nonsense"}, {"country": "india"}, {"since": "yesterday"}, {"cursor": "x"}, {"limit": 0}]
)
async def test_a_filter_that_cannot_be_is_422(desk, query):
    assert (
        next(iter(query)) in problem(await desk.http.get("/v1/alerts", params=query), 422, "invalid-request")["detail"]
    )


async def test_a_country_that_is_none_gets_a_hint_instead_of_no_alerts(desk):
    body = {"url": "http://127.0.0.1:9/hook", "countries": ["IN", "UK"]}
    told = problem(await desk.http.post("/v1/webhooks", json=body), 422, "invalid-request")
    asked = problem(await desk.http.get("/v1/alerts", params={"country": "UK"}), 422, "invalid-request")

    assert [(error["reason"], error["field"]) for error in told["errors"]] == [("unknown_country", "countries.1")]
    assert "did you mean GB" in told["detail"]
    assert "did you mean GB" in asked["detail"]
    assert desk.topic == []


async def test_a_webhook_is_a_record_on_the_settings_topic_and_its_secret_is_told_once(desk):
    answer = await desk.http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook", "kinds": ["quota.exceeded"]})
    told = answer.json()
    [(topic, key, record, _)] = desk.topic

    assert answer.status_code == 201
    assert told["secret"].startswith("whsec_")
    assert (topic, key) == ("quota.settings", f"webhook:{told['id']}".encode())
    assert told["secret"].encode() not in record
    listed = (await desk.http.get("/v1/webhooks")).json()
    assert [webhook["id"] for webhook in listed["items"]] == [told["id"]]
    assert "secret" not in listed["items"][0]
    assert read_record(record).kinds == ["quota.exceeded"]


@pytest.mark.parametrize(
    "body", [{"url": "http://169.254.169.254/"}, {"url": "nonsense"}, {}, {"url": "https://example.com", "knds": []}]
)
async def test_a_webhook_that_may_not_be_is_422_and_not_kept(desk, body):
    problem(await desk.http.post("/v1/webhooks", json=body), 422, "invalid-request")

    assert desk.topic == []


async def a_webhook(desk, **asked):
    answer = await desk.http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook"} | asked)
    return answer.json()


async def test_a_webhook_can_be_read_at_once_and_its_parts_changed_and_filters_taken_away(desk):
    made = await a_webhook(desk, kinds=["quota.exceeded"], countries=["IN"])
    place = f"/v1/webhooks/{made['id']}"
    read = (await desk.http.get(place)).json()
    changed = await desk.http.patch(place, json={"kinds": None, "severity_min": "critical", "state": "paused"})
    again = (await desk.http.get(place)).json()

    assert read == {name: value for name, value in made.items() if name != "secret"}
    assert changed.status_code == 200
    assert changed.json() == again == read | {"kinds": None, "severity_min": "critical", "state": "paused"}
    key, record = desk.topic[-1][1:3]
    assert (key, read_record(record).state) == (f"webhook:{made['id']}".encode(), "paused")


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://10.0.0.1/"}, {"url": ""}, {"url": None}, {"state": "exhausted"}, {"countries": ["UK"]},
        {"kinds": []}, {"knds": []}, {"format": "pagerduty"},
    ],
)  # fmt: skip
async def test_a_change_that_may_not_be_is_422_and_changes_nothing(desk, change):
    made = await a_webhook(desk)
    problem(await desk.http.patch(f"/v1/webhooks/{made['id']}", json=change), 422, "invalid-request")

    assert len(desk.topic) == 1
    assert (await desk.http.get(f"/v1/webhooks/{made['id']}")).json()["url"] == "http://127.0.0.1:9/hook"


async def test_a_removed_webhook_is_deleted_on_the_topic_and_nothing_is_kept_for_it(desk):
    made = await a_webhook(desk)
    place = f"/v1/webhooks/{made['id']}"
    await desk.http.post(f"{place}/test")
    removed = await desk.http.delete(place)

    assert removed.status_code == 204
    assert desk.topic[-1][1:3] == (f"webhook:{made['id']}".encode(), None)
    for path, method in ((place, "GET"), (place, "DELETE"), (f"{place}/rotate", "POST"), (f"{place}/test", "POST")):
        problem(await desk.http.request(method, path), 404, "unknown-webhook")
    assert not await desk.redis.exists(desk.keys.webhooks, desk.keys.jobs, desk.keys.due(made["id"]))


async def test_a_rotated_secret_is_told_once_and_the_one_before_lasts_a_day(desk):
    made = await a_webhook(desk)
    told = (await desk.http.post(f"/v1/webhooks/{made['id']}/rotate")).json()
    stored, box = read_record(desk.topic[-1][2]), SecretBox(SETTINGS["secret_key"])

    assert told["secret"] != made["secret"]
    assert told["old_secret_until"] == "2026-11-23T12:00:00Z"
    assert stored.live_secrets(box, NOW) == [told["secret"], made["secret"]]
    assert stored.live_secrets(box, NOW + timedelta(days=1)) == [told["secret"]]
    assert told["secret"].encode() not in desk.topic[-1][2]


async def test_a_test_and_a_delivery_that_is_sent_again_are_due_and_the_log_comes_in_pages(desk):
    made = await a_webhook(desk)
    place = f"/v1/webhooks/{made['id']}"
    await desk.tell(0)
    delivery_id = f"{made['id']}:al_0"
    for attempt in (1, 2, 3):
        told = Delivery(
            delivery_id=delivery_id, webhook_id=made["id"], alert_id="al_0", sequence=7, attempt=attempt, at=NOW,
            outcome="failed", status=500, latency_ms=1, answer="<b>no</b>", error=None, next_at=None,
        )  # fmt: skip
        await desk.redis.xadd(desk.keys.deliveries(made["id"]), {"delivery": told.model_dump_json()})
    queued = await desk.http.post(f"{place}/test")
    again = await desk.http.post(f"{place}/deliveries/{delivery_id}/resend")
    page = (await desk.http.get(f"{place}/deliveries?limit=2")).json()
    rest = (await desk.http.get(f"{place}/deliveries", params={"limit": 2, "cursor": page["next"]})).json()
    jobs = {name.decode(): json.loads(job) for name, job in (await desk.redis.hgetall(desk.keys.jobs)).items()}

    assert (queued.status_code, again.status_code) == (202, 202)
    assert again.json() == {"delivery_id": delivery_id}
    assert jobs.keys() == {delivery_id, queued.json()["delivery_id"]}
    assert (jobs[delivery_id]["sequence"], jobs[delivery_id]["entry"]) == (7, "1-0")
    assert [one["attempt"] for one in page["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next"] is None
    problem(await desk.http.post(f"{place}/deliveries/{made['id']}:al_9/resend"), 404, "unknown-webhook")
    problem(await desk.http.get(f"{place}/deliveries?cursor=x"), 422, "invalid-request")
    for cursor in ("\u0661-1", "9" * 30, f"{2**64}-0", "0", "0-0"):  # digits, but no place in a log
        problem(await desk.http.get(f"{place}/deliveries", params={"cursor": cursor}), 422, "invalid-request")


async def test_nothing_is_tested_or_sent_again_at_a_webhook_that_takes_nothing(desk):
    made = await a_webhook(desk, state="paused")
    told = problem(await desk.http.post(f"/v1/webhooks/{made['id']}/test"), 422, "invalid-request")

    assert "paused" in told["detail"]


# ----------------------------------------------------------------------------------------------- Health, pages, errors


async def test_the_policy_in_force_is_told_with_its_document(desk):
    told = (await desk.http.get("/v1/policy")).json()

    assert (told["policy_id"], told["policy_sha256"], told["period"]) == ("annual-50k", POLICY.sha256, "2026")
    assert told["document"] == POLICY.document()
    adopted = {"number": 1, "policy_id": "annual-50k", "policy_sha256": POLICY.sha256, "from": {}}
    assert told["adoptions"] == [adopted | {"adopted_at": "2026-11-22T09:00:00Z", "actor": None, "reason": None}]
    assert told["adopting"] is None


async def test_a_ledger_that_is_closed_for_an_adoption_says_so_and_still_answers(desk):
    await desk.post(said())
    tag = (await desk.http.get("/v1/policy")).headers["etag"]
    closure = Closure(number=2, policy_id="mine", policy_sha256="ab" * 32, since=NOW)
    await KeptSettings(desk.redis, desk.ledger).close(closure)

    told = (await desk.http.get("/v1/policy", headers={"If-None-Match": tag})).json()
    assert told["adopting"] == {
        "number": 2,
        "policy_id": "mine",
        "policy_sha256": "ab" * 32,
        "since": "2026-11-22T12:00:00Z",
    }
    detail = problem(await desk.http.get("/readyz"), 503, "not-ready")["detail"]
    assert "closed since 2026-11-22 12:00:00 UTC for the adoption of mine (SHA-256 abababababab)" in detail
    assert (await desk.http.get("/v1/quotas/IN")).json()["posted_tpp"] == H100


async def test_after_an_adoption_the_new_policy_answers_and_both_are_listed(desk):
    await desk.post(said(quantity=40_000))
    await adopt(desk.redis, desk.ledger, load_policy("diffusion-2025"), begins={PARTITION: 1})
    policy = (await desk.http.get("/v1/policy")).json()
    old, new = [(await desk.http.get(f"/v1/quotas/IN?period={period}")).json() for period in ("2026", "2025-2027")]
    decision = (await desk.http.get("/v1/decisions", params={"source": "/kafka/shipments", "id": "e-1"})).json()

    assert [(one["number"], one["policy_id"], one["from"]) for one in policy["adoptions"]] == [
        (1, "annual-50k", {}),
        (2, "diffusion-2025", {PARTITION: 1}),
    ]
    assert policy["policy_id"] == "diffusion-2025"
    assert (old["posted_tpp"], old["policy_id"]) == (40_000 * H100, "annual-50k")
    assert (new["posted_tpp"], new["policy_id"]) == (0, "diffusion-2025")
    assert decision["policy_id"] == "annual-50k"
    assert (await desk.http.get("/v1/quotas/IN?period=2026-Q1")).status_code == 422


async def test_redis_away_is_503_everywhere_and_never_a_zero(ledger):
    redis = connect("redis://127.0.0.1:1/0", timeout_s=1)
    desk = Desk(redis, ledger, Settings(ledger=ledger, **SETTINGS))
    async with desk.http:
        for path in (
            "/v1/quotas",
            "/v1/quotas/IN",
            "/v1/alerts",
            "/v1/policy",
            "/v1/webhooks",
            "/v1/decisions?source=a&id=b",
        ):
            answer = await desk.http.get(path)
            assert "Redis" in problem(answer, 503, "unavailable")["detail"]
            assert answer.headers["retry-after"] == "1"
        for path in ("/v1/assessments", "/v1/shipments"):
            problem(await desk.http.post(path, json=said()), 503, "unavailable")
        problem(await desk.http.get("/readyz"), 503, "not-ready")
        assert (await desk.http.get("/livez")).status_code == 200
    await redis.aclose()


@pytest.mark.parametrize("path", ["/v1/quotas", "/v1/quotas/IN", "/v1/quotas/IN/entries", "/v1/accounts"])
async def test_a_ledger_that_another_version_laid_out_otherwise_is_not_read(desk, path):
    await desk.redis.hset(desk.keys.meta, "layout", "0")

    assert "in layout 0" in problem(await desk.http.get(path), 503, "unavailable")["detail"]
    assert "in layout 0" in problem(await desk.http.get("/readyz"), 503, "not-ready")["detail"]


async def test_readiness_names_what_is_missing(redis, ledger):
    desk = Desk(redis, ledger, Settings(ledger=ledger, kafka_bootstrap="127.0.0.1:1", **SETTINGS))
    async with desk.http:
        assert "no policy" in problem(await desk.http.get("/readyz"), 503, "not-ready")["detail"]
        await desk.adopt()
        ready = await desk.http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert (ready.json()["kafka"], ready.json()["policy_id"]) == ("away", "annual-50k")
        await desk.position.note_ends({PARTITION: 7}, NOW)
        assert (await desk.http.get("/readyz")).json()["freshness"]["lag_records"] == 7
        await desk.position.note_stopped("host-1", "shipments:0: Redis went back")
        assert "Redis went back" in problem(await desk.http.get("/readyz"), 503, "not-ready")["detail"]


async def test_calls_that_do_not_exist_are_problems_too(desk):
    problem(await desk.http.get("/v1/nothing"), 404, "not-found")
    problem(await desk.http.get("/v1/quotas/"), 404, "not-found")
    answer = await desk.http.delete("/v1/quotas")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_head_is_answered_as_get_but_without_a_body(desk):
    async with Server(desk.app) as server, httpx2.AsyncClient(base_url=server.address) as http:
        for path in ("/livez", "/", "/v1/quotas", "/v1/quotas/IN", "/v1/quotas/ZZ"):
            asked, looked = await http.get(path), await http.head(path)

            assert (looked.status_code, looked.content) == (asked.status_code, b"")
            for name in ("content-type", "content-length", "etag"):
                assert looked.headers.get(name) == asked.headers.get(name)
        problem(await http.get("/v1/shipments"), 405, "method-not-allowed")
        assert (await http.head("/v1/shipments")).status_code == 405


async def test_with_keys_required_every_call_but_health_and_pages_is_401(redis, ledger):
    desk = Desk(redis, ledger, Settings(ledger=ledger, **SETTINGS | {"auth": "required"}))
    await desk.adopt()
    async with desk.http:
        for path in ("/v1/quotas", "/v1/quotas/IN", "/v1/alerts", "/v1/policy", "/v1/webhooks", "/v1/decisions"):
            answer = await desk.http.get(path, headers={"Authorization": "Bearer qk_x_y"})
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/shipments", "/v1/assessments", "/v1/webhooks"):
            problem(await desk.http.post(path, json=said()), 401, "unauthorized")
        for path in ("/livez", "/readyz", "/", "/docs", "/openapi.json"):
            assert (await desk.http.get(path)).status_code == 200
    assert desk.topic == []


async def test_a_page_from_elsewhere_may_not_call_through_a_visitors_browser(desk):
    elsewhere = await desk.http.post("/v1/shipments", json=said(), headers={"Origin": "http://evil.example"})
    rebound = await desk.http.get("/v1/quotas", headers={"Host": "evil.example:8080"})
    own = await desk.http.get("/v1/quotas/IN", headers={"Origin": "http://127.0.0.1:8080"})

    problem(elsewhere, 403, "forbidden")
    problem(rebound, 403, "forbidden")
    assert own.status_code == 200
    assert desk.topic == []


@pytest.mark.parametrize("header", ["Host", "Origin"])
@pytest.mark.parametrize("host", ["[", "[::1", "[x]"])
async def test_a_header_that_names_no_host_is_refused_like_any_other_stranger(desk, header, host):
    headers = {header: host if header == "Host" else f"http://{host}"}

    problem(await desk.http.get("/v1/quotas", headers=headers), 403, "forbidden")
    if header == "Origin":
        problem(await desk.http.post("/page/session", json={}, headers=headers), 403, "forbidden")


async def test_the_pages_load_nothing_from_elsewhere(desk):
    for path in ("/", "/docs"):
        page = await desk.http.get(path)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert "unsafe" not in page.headers["content-security-policy"]
        assert re.findall(r"<script(?! type=\"module\" src=\"/page/)|<style|\sstyle=|\son\w+=", page.text) == []
    assert "GET /v1/quotas/{iso2}" in (await desk.http.get("/docs")).text


async def test_a_file_of_the_page_that_the_browser_holds_is_304(desk):
    for path in ("/", "/page/page.js", "/page/page.css", "/page/world.json", "/page/icon.svg"):
        page = await desk.http.get(path)
        again = await desk.http.get(path, headers={"If-None-Match": page.headers["etag"]})

        assert (page.status_code, again.status_code, again.content) == (200, 304, b"")
        assert again.headers["content-security-policy"] == page.headers["content-security-policy"]


async def test_every_country_is_on_the_map_but_antarctica(desk):
    world = (await desk.http.get("/page/world.json")).json()
    drawn = [*world["shapes"], *world["points"]]

    assert sorted([*drawn, "AQ"]) == sorted(POLICY.countries)
    assert {"SG", "BH", "HK", "MT", "MO"} < set(world["points"])


async def test_the_openapi_document_is_3_1_and_every_problem_is_documented_as_one(desk):
    document = (await desk.http.get("/openapi.json")).json()

    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def _references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


async def test_answers_keep_to_their_published_models(desk):
    await desk.post(said())

    QuotaStatus.model_validate_json((await desk.http.get("/v1/quotas/IN")).content)
    assert isinstance((await desk.http.get("/v1/quotas/IN")).json()["posted_tpp"], int)
