"""The page at / in a real Chromium, over a real server and a real Redis: what a person sees, types and is spared."""

import json
import os
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect
from redis.asyncio import Redis

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.book.script import connect
from ledger.book.setting import Setting
from ledger.policy import load_policy
from streams.api.keys import create
from tests.browser.house import H100, House, house, opened
from tests.live_redis.adopting import adopt
from tests.live_redis.booking import NOW, Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURE = Path(__file__).parent.parent.parent / "streams" / "api" / "page" / "screenshot.png"
CAP_H100 = 50_000
MARKUP = "<img src=x onerror=document.title='taken'>"
PHONE = {"viewport": {"width": 390, "height": 844}}
GROUND = {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 20, 26)"}
NUMBER_WHAT_CAN_BE_FOCUSED = """() => {
  const able = [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0']")];
  const seen = able.filter((each) => each.checkVisibility());
  seen.forEach((each, place) => { each.dataset.place = place; });
  document.body.tabIndex = -1;
  document.body.focus();
  return seen.length;
}"""
FOCUSED = "[document.activeElement.dataset.place, getComputedStyle(document.activeElement).outlineStyle]"


@pytest_asyncio.fixture(loop_scope="module")
async def redis(redis_url):
    """The client on the browser's event loop."""
    async with Redis.from_url(redis_url) as client:
        yield client


async def rows(page):
    """The table as it stands, a list of cells a row."""
    read = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    return await page.locator("#countries tbody tr").evaluate_all(read)


async def names(page):
    return [name for name, *_ in await rows(page)]


async def shown(page, country):
    """How the map shows a country: what its classes say, and its colour."""
    area = page.locator(f'.area[data-country="{country}"]')
    return await area.get_attribute("class"), await area.evaluate("area => getComputedStyle(area).fill")


async def look_again(page):
    """What a tab does that is shown again: it asks at once, not with its next turn."""
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def walk(page):
    """Where the tabulator leads, once for each thing that can be focused: its place as one reads, and its outline."""
    walked = []
    for _ in range(await page.evaluate(NUMBER_WHAT_CAN_BE_FOCUSED)):
        await page.keyboard.press("Tab")
        walked.append(await page.evaluate(FOCUSED))
    return walked


async def fits_its_width(page):
    return await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


# ------------------------------------------------------------------------------------------------ The world at a glance


async def test_shipments_change_the_map_the_table_and_the_feed_while_one_looks(redis, ledger, chromium):
    async with house(redis, ledger) as ours, opened(chromium, ours.address) as page:
        await expect(page.locator("#summary")).to_contain_text("nothing posted yet")
        await expect(page.locator("#no-rows")).to_have_text("Nothing is posted in 2026 yet.")
        await expect(page.locator("#live")).to_have_text("● live")
        before = {country: await shown(page, country) for country in ("IN", "SG", "KP")}
        await ours.ship("IN", CAP_H100 * 8 // 10)
        await ours.ship("SG", CAP_H100 + 1)
        await ours.ship("KP", 1)

        await expect(page.locator("#feed li").first).to_contain_text("North Korea is in Tier 3")
        await expect(page.locator('.area[data-country="KP"]')).to_have_class("area tier3 used")
        after = {country: await shown(page, country) for country in before}
        assert [classes for classes, _ in before.values()] == ["area use0", "area use0", "area tier3"]
        assert [classes for classes, _ in after.values()] == ["area near", "area past", "area tier3 used"]
        assert all(before[country][1] != after[country][1] for country in before)
        assert [(name, share, status) for name, _, share, status, *_ in await rows(page)] == [
            ("North Korea", "—", "prohibited"),
            ("Singapore", "100.0 %", "exceeded"),
            ("India", "80.0 %", "near cap"),
        ]
        assert page.complaints == []


async def test_the_table_sorts_and_filters(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        for country, quantity in (("IN", 9), ("AE", 7), ("DE", 8)):
            await ours.ship(country, quantity)
        async with opened(chromium, ours.address) as page:
            await expect(page.locator("#countries tbody tr")).to_have_count(3)
            assert await names(page) == ["India", "United Arab Emirates", "Germany"]
            posted = page.get_by_role("columnheader", name="Posted, TPP")
            for order, expected in (
                ("descending", ["India", "Germany", "United Arab Emirates"]),
                ("ascending", ["United Arab Emirates", "Germany", "India"]),
            ):
                await posted.get_by_role("button").click()
                await expect(posted).to_have_attribute("aria-sort", order)
                assert await names(page) == expected
            await page.select_option("#tier", "1")
            assert await names(page) == ["Germany"]
            await page.select_option("#tier", "")
            await page.check("#everyone")
            assert len(await rows(page)) == 250
            await page.fill("#find", "malta")
            assert await names(page) == ["Malta"]
            assert page.complaints == []


async def test_the_keyboard_reaches_everything_in_the_order_it_is_read(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        await ours.ship("IN", CAP_H100)
        async with opened(chromium, ours.address) as page:
            for address, last in ((ours.address, "#countries tbody a"), (f"{ours.address}#/IN", "#country .alerts li")):
                await page.goto(address)
                await expect(page.locator(last).first).to_be_visible()
                await expect(page.locator("#feed li")).not_to_have_count(0)
                await expect(page.locator("#live")).to_have_text("● live")
                walked = await walk(page)
                assert walked == [[str(place), "solid"] for place in range(len(walked))]
            await page.goto(ours.address)
            await page.locator("#countries tbody a").focus()
            await page.keyboard.press("Enter")
            await expect(page.locator("#country h1")).to_be_focused()
            assert page.complaints == []


async def test_a_screen_reader_hears_words_and_no_signs_and_lists_as_lists(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        await ours.ship("KP", 1)
        async with opened(chromium, ours.address) as page:
            await expect(page.locator("#countries tbody tr")).to_have_count(1)
            await expect(page.locator("#feed li")).to_have_count(1)
            heard = await page.locator("main").aria_snapshot()
            assert '- button "Posted, TPP"' in heard
            assert '- cell "prohibited"' in heard
            assert '- log "Alerts, the newest first":\n      - list:\n        - listitem:' in heard
            assert page.complaints == []


# ----------------------------------------------------------------------------------------------------- Country and form


async def test_a_countrys_page_shows_balance_levels_entries_and_alerts(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        for month in (1, 4, 7):
            await ours.ship("IN", CAP_H100 * 3 // 10, shipped_at=f"2026-{month:02}-01T00:00:00Z")
        async with opened(chromium, f"{ours.address}#/IN") as page:
            country = page.locator("#country")
            await expect(country.locator("h1")).to_have_text("India (IN), 2026")
            path = await country.locator(".plot .balance").get_attribute("d")
            assert path.count("V") == 3
            assert await country.locator(".plot .level").count() == 2
            assert f"{CAP_H100 * 9 // 10 * H100:,} TPP of" in await country.locator(".plot").get_attribute("aria-label")
            levels = country.get_by_role("region", name="Levels").locator("tbody tr")
            assert ["not crossed" in row for row in await levels.all_inner_texts()] == [False, False, True]
            assert await country.get_by_role("region", name="Entries").locator("tbody tr").count() == 3
            assert await country.locator(".alerts li").count() == 2
            await country.get_by_label("Period").fill("2025")
            await country.get_by_role("button", name="Show").click()
            await expect(country.locator("h1")).to_have_text("India (IN), 2025")
            await expect(country).to_contain_text("Nothing is posted in 2025 yet.")
            assert page.complaints == []


async def test_a_countrys_page_tells_and_draws_when_the_quota_will_be_used_up(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        for week in range(12):
            day = (NOW - timedelta(days=7 * week + 3)).date()
            await ours.ship("IN", CAP_H100 * (7 if week % 2 else 8) // 100, shipped_at=f"{day}T00:00:00Z")
        forecast = (await ours.quota("IN"))["forecast"]
        assert NOW.date().isoformat() < forecast["earliest_on"] < forecast["latest_on"] < "2026-12-31"
        async with opened(chromium, f"{ours.address}#/IN") as page:
            told = page.locator("#country .forecast")
            await expect(told).to_contain_text(f"Used up about {forecast['exhausted_on']}")
            await expect(told).to_contain_text(f"between {forecast['earliest_on']} and {forecast['latest_on']}")
            await expect(told).to_contain_text(forecast["method"])
            assert await page.locator(".plot .pace, .plot .range").count() == 2
            assert page.complaints == []


async def test_a_countrys_page_shows_the_meters_of_companies_there(redis, ledger, chromium):
    async with house(redis, ledger, policy="diffusion") as ours:
        company = {"name": "Example Cloud", "country": "IN", "headquarters": "IN"}
        await ours.ship("IN", 64, consignee=company, authorization={"kind": "nveu"})
        async with opened(chromium, f"{ours.address}#/IN") as page:
            meters = page.get_by_role("region", name="Companies' own meters").locator("tbody tr")
            await expect(meters).not_to_have_count(0)
            assert {await cells.first.inner_text() for cells in [row.locator("td") for row in await meters.all()]} == {
                "nveu:example cloud:IN:IN"
            }
            assert f"{64 * H100:,}" in await meters.first.inner_text()
            walked = await walk(page)
            assert '"Companies\' own meters"' in await page.locator("main").aria_snapshot()
            assert walked == [[str(place), "solid"] for place in range(len(walked))]
            await page.get_by_label("Period").fill("2025")
            await page.get_by_role("region", name="Companies' own meters").focus()
            await ours.ship("IN", 64, consignee=company, authorization={"kind": "nveu"})
            await look_again(page)
            await expect(meters.first).to_contain_text(f"{128 * H100:,}")
            await expect(page.get_by_role("region", name="Companies' own meters")).to_be_focused()
            await expect(page.get_by_label("Period")).to_have_value("2025")
            assert page.complaints == []


async def test_whoever_reads_all_entries_goes_on_reading_them_when_there_are_more(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        for _ in range(26):
            await ours.ship("IN", 1)
        async with opened(chromium, f"{ours.address}#/IN", **PHONE) as page:
            entries = page.get_by_role("region", name="Entries")
            await page.get_by_role("button", name="Show all 26").click()
            await expect(entries).to_be_focused()
            await expect(entries.locator("tbody tr")).to_have_count(26)
            await entries.evaluate("region => { region.scrollLeft = 40; }")
            await ours.ship("IN", 1)
            await look_again(page)
            await expect(entries.locator("tbody tr")).to_have_count(27)
            await expect(entries).to_be_focused()
            assert await entries.evaluate("region => region.scrollLeft") == 40
            assert page.complaints == []


async def test_the_form_answers_with_tier_charge_rule_and_source_and_books_nothing(redis, ledger, chromium):
    async with house(redis, ledger) as ours, opened(chromium, ours.address) as page:
        await page.click("#example")
        await page.click("#ask button[type=submit]")
        decision = page.locator("#decision")
        await expect(decision.locator(".verdict")).to_have_text("✓ Fits within the quota.")
        charge = decision.get_by_role("region", name="Charge").locator("tbody")
        await expect(charge).to_contain_text(f"{64 * H100:,}")
        rules = decision.get_by_role("region", name="Rules and their sources").locator("tbody")
        await expect(rules).to_contain_text("India is in Tier 2")
        await expect(rules).to_contain_text("§742.6")
        assert await ours.desk.balances() == {}
        assert page.complaints == []
        await page.fill("#event", json.dumps({"id": "1", "destination": "IN", "lines": []}))
        await page.click("#ask button[type=submit]")
        await expect(decision).to_contain_text("shipped_at: a shipment.shipped needs shipped_at")
        await expect(decision).to_contain_text("lines:")


async def test_text_from_elsewhere_stays_text(redis, ledger, chromium):
    async with house(redis, ledger) as ours:
        told = {"model": f"Ascend 910C {MARKUP}", "vendor": f"Huawei {MARKUP}", "consignee": {"name": MARKUP}}
        await ours.ship("IN", 1, id=MARKUP, **told)
        await ours.ship("IN", 1, id=f"{MARKUP}2")
        async with opened(chromium, ours.address) as page:
            await expect(page.locator("#feed")).to_contain_text(MARKUP)
            event = {
                "id": MARKUP,
                "shipped_at": "2026-03-01T00:00:00Z",
                "destination": "IN",
                "lines": [told | {"quantity": 1}],
            }
            await page.fill("#event", json.dumps(event))
            await page.click("#ask button[type=submit]")
            await expect(page.locator("#decision")).to_contain_text(MARKUP)
            await page.fill("#event", json.dumps(event | {"destination": MARKUP[:20]}))
            await page.click("#ask button[type=submit]")
            await expect(page.locator("#decision")).to_contain_text(MARKUP[:10])
            assert await page.locator("img").count() == 0
            await page.goto(f"{ours.address}#/IN")
            await expect(page.get_by_role("region", name="Entries")).to_contain_text(MARKUP)
            assert await page.locator("img").count() == 0
            assert await page.title() == "India: compute quota"
            assert [said for said in page.complaints if "422" not in said] == []


# ------------------------------------------------------------------------------------------------ Keys and what is away


async def test_alerts_that_were_told_while_the_endpoint_was_restarted_are_not_missed(redis, ledger, chromium):
    async with AsyncExitStack() as stack:
        async with house(redis, ledger) as ours:
            page = await stack.enter_async_context(opened(chromium, ours.address))
            await ours.ship("KP", 1)
            await expect(page.locator("#feed li")).to_have_count(1)
        await expect(page.locator("#live")).to_have_text("connecting again…")
        await ours.ship("IR", 1)
        await stack.enter_async_context(ours.serve(urlsplit(ours.address).port))
        await expect(page.locator("#feed li").first).to_contain_text("Iran is in Tier 3")
        await expect(page.locator("#live")).to_have_text("● live")
        await expect(page.locator("#feed li")).to_have_count(2)
        await expect(page.locator("#trouble")).to_be_hidden()


async def test_a_key_is_asked_for_once_and_kept_where_no_script_reads_it(redis, ledger, chromium):
    async with house(redis, ledger, auth="required") as ours, opened(chromium, ours.address) as page:
        stored, text = create("", ["quota:read", "alerts:read"], now=NOW)
        await KeptSettings(redis, ledger).keep("keys:0", -1, 0, [Setting(stored.setting_key, stored.to_record())])
        await expect(page.locator("#key-dialog")).to_be_visible()
        await page.fill("#key", text[:-1] + "x")
        await page.keyboard.press("Enter")
        await expect(page.locator("#key-state")).to_have_text("This key is not in force here.")
        await page.fill("#key", text)
        await page.keyboard.press("Enter")
        await expect(page.locator("#key-dialog")).to_be_hidden()
        await expect(page.locator("#live")).to_have_text("● live")
        [cookie] = await page.context.cookies(f"{ours.address}v1")
        assert (cookie["name"], cookie["value"], cookie["httpOnly"]) == ("quota_key", text, True)
        assert (cookie["sameSite"], cookie["path"]) == ("Strict", "/v1")
        assert await page.evaluate("document.cookie + JSON.stringify(localStorage)") == '{"keyed":"yes"}'
        await page.reload()
        await expect(page.locator("#live")).to_have_text("● live")
        await expect(page.locator("#key-dialog")).to_be_hidden()
        assert [said for said in page.complaints if "401" not in said] == []
        await page.get_by_role("button", name="Forget my key").click()
        await expect(page.locator("#key-dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#trouble")).to_have_text("A key is needed to see anything here.")
        await expect(page.get_by_role("button", name="Use a key")).to_be_visible()


async def test_what_is_not_known_is_said_and_never_shown_as_zero(redis, ledger, chromium):
    nothing = connect("redis://127.0.0.1:1/0", timeout_s=1)
    away = House(None, nothing, ledger, "off").app.state.parts
    desk = Desk(redis, ledger, load_policy("annual-50k"))
    async with House(desk, redis, ledger, "off").serve() as ours, opened(chromium, ours.address) as page:
        trouble = page.locator("#trouble")
        await expect(trouble).to_contain_text("no policy is adopted yet")
        await expect(page.locator("#summary")).to_have_text("No balances can be shown now.")
        desk.rules = await adopt(redis, ledger, desk.policy)
        await ours.ship("IN", 1)
        await look_again(page)
        await expect(page.locator("#countries tbody tr")).to_have_count(1)
        await expect(page.locator("#regime")).to_contain_text(desk.policy.title)
        await expect(trouble).to_be_hidden()
        ours.app.state.parts, here = away, ours.app.state.parts
        await look_again(page)
        await expect(trouble).to_contain_text("Redis")
        await expect(trouble).to_contain_text("What is shown is older.")
        assert await names(page) == ["India"]
        ours.app.state.parts = here
        await look_again(page)
        await expect(trouble).to_be_hidden()
        for seen_at, told in ((NOW, "nothing behind"), (NOW - timedelta(minutes=2), "no worker has looked for 120 s")):
            await Position(redis, ledger).note_ends({"shipments:0": 1}, seen_at)
            await look_again(page)
            await expect(page.locator("#freshness")).to_contain_text(told)
    await nothing.aclose()


async def test_a_map_that_could_not_be_fetched_is_drawn_as_soon_as_it_can_be(redis, ledger, chromium):
    async with house(redis, ledger) as ours, opened(chromium, ours.address) as page:
        await page.route("**/page/world.json", lambda route: route.abort())
        await page.reload()
        await expect(page.locator("#trouble")).to_have_text("The endpoint does not answer.")
        await expect(page.locator("#summary")).to_contain_text("nothing posted yet")
        await page.unroute("**/page/world.json")
        await look_again(page)
        await expect(page.locator('.area[data-country="IN"]')).to_have_class("area use0")
        await expect(page.locator("#trouble")).to_be_hidden()


# ---------------------------------------------------------------------------------------------------- Width and picture


@pytest.mark.parametrize("scheme", GROUND)
async def test_on_a_phone_nothing_is_wider_than_the_screen(redis, ledger, chromium, scheme):
    async with house(redis, ledger) as ours:
        await ours.ship("IN", CAP_H100, id="long" * 60, vendor="Huawei", model="Ascend910C" * 9)
        async with opened(chromium, ours.address, color_scheme=scheme, **PHONE) as page:
            await expect(page.locator("#feed li").first).to_be_visible()
            await page.click("#example")
            await page.click("#ask button[type=submit]")
            await expect(page.locator("#decision .verdict")).to_be_visible()
            assert await fits_its_width(page)
            await page.goto(f"{ours.address}#/IN")
            await expect(page.locator("#country .alerts li").first).to_be_visible()
            assert await fits_its_width(page)
            assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUND[scheme]
            assert page.complaints == []


async def test_the_picture_of_the_readme(redis, ledger, chromium, tmp_path):
    """`KEEP_PICTURE=1 pytest -n 0 tests/browser -k picture` puts it where the README shows it."""
    shipped = {"IN": 47_200, "SG": 50_100, "AE": 19_000, "SA": 30_000, "BH": 40_000, "MT": 9_000, "CH": 26_000}
    shipped |= {"BR": 6_000, "VN": 12_600, "MX": 14_000, "PL": 45_100, "KZ": 1_200, "ZA": 900, "DE": 12_000, "CN": 8}
    async with house(redis, ledger) as ours:
        for country, quantity in shipped.items():
            await ours.ship(country, quantity)
        async with opened(chromium, ours.address, viewport={"width": 1120, "height": 900}) as page:
            await expect(page.locator("#countries tbody tr")).to_have_count(len(shipped))
            await expect(page.locator("#live")).to_have_text("● live")
            picture = await page.screenshot(path=PICTURE if os.environ.get("KEEP_PICTURE") else tmp_path / "page.png")
            assert 20_000 < len(picture) < 400_000
            assert page.complaints == []
