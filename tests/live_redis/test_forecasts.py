"""The forecast on a real Redis: by bookings that are read once, right after Redis went back, told everywhere alike."""

import asyncio
import random
from datetime import date, timedelta

from ledger.book import daily
from ledger.book.read import Reader
from streams.api.answers import quota_list, quota_of
from streams.settings import Settings
from tests.builders import on, shipment_document
from tests.live_redis.booking import NOW, open_desk
from tests.live_redis.endpoint import caller, endpoint

TODAY = NOW.date()
CAP_H100 = 50_000


def shipped(event_id, days_ago, quantity, country="IN", **told):
    day = on(TODAY - timedelta(days=days_ago))
    return shipment_document(id=event_id, shipped_at=day, destination=country, quantity=quantity, **told)


async def weekly(desk, quantity, weeks, country="IN"):
    """As many chips in each of the last weeks."""
    await desk.post(0, [shipped(f"{country}-{week}", 7 * week - 3, quantity, country) for week in range(1, weeks + 1)])


async def test_a_steady_pace_tells_the_day_on_which_the_cap_is_reached(any_redis, ledger):
    desk = await open_desk(any_redis, ledger)
    await weekly(desk, 4_000, 12)
    found = (await quota_of(desk.reader, "IN", None, TODAY)).forecast

    assert found.exhausted_on == TODAY + timedelta(days=3)  # 2,000 chips are left, and 4,000 go in a week
    assert found.earliest_on == found.latest_on == found.exhausted_on
    assert (found.pace_tpp_per_week, found.weeks) == (4_000 * 15_832, 12)
    assert found.method.count(".") == 1


async def test_what_comes_back_is_taken_from_the_week_in_which_it_does(redis, ledger):
    desk = await open_desk(redis, ledger)
    await weekly(desk, 1_000, 12)
    back = {"id": "r", "type": "shipment.returned", "shipped_at": on(TODAY - timedelta(days=1)), "original_id": "IN-9"}
    await desk.post(0, [back | {"source": "/tests"}])
    found = (await quota_of(desk.reader, "IN", None, TODAY)).forecast

    assert found.pace_tpp_per_week == round(1_000 * 15_832 * 11 / 12)


async def test_only_a_cap_that_is_still_being_filled_is_foretold(redis, ledger):
    desk = await open_desk(redis, ledger)
    for country in ("IN", "DE", "KP"):
        await weekly(desk, 1_000, 12, country)
    now = await quota_list(desk.reader, None, TODAY)
    later = await quota_list(desk.reader, "2026", date(2027, 2, 1))

    assert [item.country for item in now.items if item.forecast] == ["IN"]
    assert [item.country for item in later.items if item.forecast] == []
    assert now.items[[item.country for item in now.items].index("IN")] == await quota_of(desk.reader, "IN", None, TODAY)


async def test_bookings_are_read_once_and_anew_after_redis_went_back(any_redis, ledger, monkeypatch):
    """However a ledger went on, what was summed up over time is what somebody sums up who comes late."""
    monkeypatch.setattr(daily, "SCAN", 3)
    desk, dice = await open_desk(any_redis, ledger), random.Random(5)
    read = []
    monkeypatch.setattr(
        daily, "columns", lambda element, columns=daily.columns: read.append(element) or columns(element)
    )

    async def ship(*tags):
        for tag in tags:
            country = dice.choice(["IN", "AE"])
            await desk.post(
                0, [shipped(f"{tag}-{n}", dice.randrange(90), 8, country) for n in range(dice.randrange(1, 9))]
            )

    async def both():
        async def sums(reader):
            found = await reader.daily.of(await reader.accounts())
            return {account: (by_day.posted, by_day.reserved) for account, by_day in found.items()}

        late = await sums(Reader(any_redis, ledger, now=lambda: NOW))
        read.clear()
        return await sums(desk.reader), late

    await ship(*"abcdefgh")
    kept, late = await both()
    assert kept == late
    assert set(kept) == {"country:IN", "country:AE"}
    await both()
    assert read == [], "nothing came, nothing is read"
    await ship("i")
    kept, late = await both()
    assert kept == late
    assert len(read) == 1

    before, ends = await desk.snapshot(), desk.ends.copy()
    await ship(*"jkl")
    await both()
    await desk.restore(before)
    desk.ends = ends
    kept, late = await both()
    assert kept == late
    await ship(*"mnopq")
    kept, late = await both()
    assert kept == late


async def test_many_who_ask_at_once_have_the_bookings_read_once(redis, ledger, monkeypatch):
    desk = await open_desk(redis, ledger)
    await weekly(desk, 1_000, 12)
    read = []
    told = daily.columns
    monkeypatch.setattr(daily, "columns", lambda element: read.append(element) or told(element))
    found = await asyncio.gather(*(quota_of(desk.reader, "IN", None, TODAY) for _ in range(20)))

    assert len({answer.model_dump_json() for answer in found}) == 1
    assert len(read) == 1, "the weeks were posted in one run"


async def test_the_tag_changes_with_the_day_or_a_booking_and_with_nothing_else(redis, ledger):
    clock = [NOW]
    desk = await open_desk(redis, ledger)
    await weekly(desk, 4_000, 12)
    app = endpoint(redis, ledger, Settings(ledger=ledger, auth="off"), clock=lambda: clock[0])
    async with caller(app) as http:
        for path in ("/v1/quotas", "/v1/quotas/IN"):
            clock[0] = NOW
            first = await http.get(path)
            clock[0] = NOW + timedelta(hours=11)
            assert (await http.get(path)).headers["etag"] == first.headers["etag"]
            clock[0] = NOW + timedelta(days=1)
            assert (await http.get(path)).headers["etag"] != first.headers["etag"]
            clock[0] = NOW
            assert (await http.get(path)).headers["etag"] == first.headers["etag"]
        await desk.post(0, [shipped("one more", 20, 8)])
        assert (await http.get(path)).headers["etag"] != first.headers["etag"]
