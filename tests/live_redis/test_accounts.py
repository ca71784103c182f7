"""GET /v1/accounts on a real Redis: the meters beside the countries, page by page."""

import pytest
from pydantic import SecretStr

from streams.settings import Settings
from tests.live_redis.adopting import adopt
from tests.live_redis.booking import NOW, POLICIES, Desk
from tests.live_redis.endpoint import caller, endpoint

LPP_CAP = 26_900_000
ODD = "société =1+1 & co|2026"


def shipment(number, kind, tpp, *, holder="lei:1", **channel):
    return {
        "id": f"e{number}",
        "shipped_at": "2026-02-01T00:00:00Z",
        "destination": "IN",
        "consignee": {"id": holder, "country": "IN", "headquarters": "IN"},
        "authorization": {"kind": kind, **channel},
        "lines": [{"quantity": 1, "tpp_each": tpp}],
    }


@pytest.fixture
async def desk(redis, ledger):
    desk = Desk(redis, ledger, POLICIES["diffusion"])
    desk.rules = await adopt(redis, ledger, desk.policy)
    settings = Settings(ledger=ledger, auth="off", secret_key=SecretStr("a key of the tests"))
    async with caller(endpoint(redis, ledger, settings, clock=lambda: NOW)) as desk.http:
        yield desk


async def asked(desk, **parameters):
    answer = await desk.http.get("/v1/accounts", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_meter_says_how_much_is_used_of_its_limit(desk):
    await desk.post(0, [shipment(1, "lpp", 24_300_000), shipment(2, "license", 5000)])
    told = await asked(desk, kind="lpp", period="2026")

    [meter] = told["items"]
    assert (meter["account"], meter["kind"], meter["period"]) == ("lpp:lei:1", "lpp", "2026")
    assert (meter["cap_tpp"], meter["posted_tpp"], meter["available_tpp"]) == (LPP_CAP, 24_300_000, 2_600_000)
    assert (meter["status"], meter["used_ratio"]) == ("near_cap", round(24_300_000 / LPP_CAP, 6))
    assert meter["thresholds"] == [{"level": 90, "crossed_at": "2026-11-22T12:00:00Z"}]
    assert (told["next"], told["freshness"]["applied_at"]) == (None, "2026-11-22T12:00:00Z")


async def test_a_country_chooses_the_meters_whose_names_end_in_it(desk):
    await desk.post(0, [shipment(1, "nveu", 30_000), shipment(2, "uveu", 30_000, holdings_tpp=9_000_000)])
    named = shipment(3, "lpp", 5000)
    named["consignee"] |= {"id": None, "name": "Example Cloud"}
    await desk.post(0, [named])
    found = (await asked(desk, country="IN"))["items"]

    assert {meter["account"] for meter in found} == {"lpp:example cloud:IN", "nveu:lei:1:IN", "uveu:lei:1:IN"}
    assert (await asked(desk, country="AE"))["items"] == []
    assert (await desk.http.get("/v1/accounts?country=UK")).status_code == 422


async def test_a_share_of_holdings_has_no_limit_of_its_own(desk):
    await desk.post(0, [shipment(1, "uveu", 30_000, holdings_tpp=1_000_000)])
    found = (await asked(desk, kind="uveu"))["items"]

    assert {meter["account"] for meter in found} == {"uveu:lei:1:IN", "uveu:lei:1:outside-tier1"}
    assert {(meter["period"], meter["cap_tpp"], meter["status"]) for meter in found} == {("total", None, None)}


async def test_kind_and_period_choose_and_countries_are_no_meters(desk):
    await desk.post(0, [shipment(1, "lpp", 5000), shipment(2, "nveu", 7000), shipment(3, "license", 9000)])
    everything = (await asked(desk))["items"]
    one = (await asked(desk, kind="nveu", period="2026-Q1"))["items"]

    assert {meter["kind"] for meter in everything} == {"lpp", "nveu"}
    assert [(meter["account"], meter["posted_tpp"]) for meter in one] == [("nveu:lei:1:IN", 7000)]


async def test_pages_tell_every_meter_once_whatever_its_holder_is_called(desk):
    holders = [ODD, *(f"lei:{number}" for number in range(6))]
    await desk.post(0, [shipment(number, "lpp", 5000, holder=holder) for number, holder in enumerate(holders)])
    found, cursor = [], {}
    while True:
        told = await asked(desk, limit=3, **cursor)
        found += [meter["account"] for meter in told["items"]]
        if told["next"] is None:
            break
        cursor = {"cursor": told["next"]}

    assert found == sorted(f"lpp:{holder}" for holder in holders)
    assert len(found) == 7


async def test_the_list_is_csv_too_and_has_a_tag(desk):
    await desk.post(0, [shipment(1, "lpp", 5000, holder="=cmd")])
    sheet = await desk.http.get("/v1/accounts", params={"format": "csv"})
    again = await desk.http.get(
        "/v1/accounts", headers={"If-None-Match": (await desk.http.get("/v1/accounts")).headers["ETag"]}
    )

    header, row = sheet.content.decode("utf-8-sig").splitlines()
    assert header.startswith("account,kind,period,cap_tpp,posted_tpp")
    assert row.startswith("lpp:=cmd,lpp,2026,26900000,5000")
    assert again.status_code == 304


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "country"}, {"period": "2O26"}, {"cursor": "é"}, {"cursor": "!!!!"}, {"limit": 0}, {"perod": "2026"}],
)
async def test_what_cannot_be_asked_is_422_and_says_what(desk, wrong):
    answer = await desk.http.get("/v1/accounts", params=wrong)

    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text


@pytest.mark.parametrize("period", ["foo", "", "2026-Q5", "2025-2027", "2026\n"])
async def test_a_period_that_no_meter_has_is_answered_with_what_one_looks_like(desk, period):
    answer = await desk.http.get("/v1/accounts", params={"period": period})

    advice = "write one such as 2026 (lpp), 2026-Q1 (nveu), total (uveu)"
    assert answer.json()["errors"] == [{"reason": "bad_value", "field": "period", "advice": advice}]
    assert answer.json()["detail"] == f"period: {advice}"
