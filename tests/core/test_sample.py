"""The sample and the traffic: right events, sums that a second calculation finds too, ids that never collide."""

import csv
import json
import math
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import DATA, load_policy
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from streams.cli.sample_traffic import COUNTRIES, PARTS, sample_events, traffic

POLICY = load_policy("annual-50k")
CAP = 791_600_000
TODAY = date(2026, 11, 22)


def read(event):
    return read_event(json.dumps(event, ensure_ascii=False).encode(), default_source="/sample")


def balances(events):
    """TPP by (country, year) as the ledger books it."""
    sums = Counter()
    for event in events:
        for due in assess(read(event), POLICY).charges:
            sums[due.country, due.period] += due.tpp
    return dict(sums)


def recalculated(events):
    """The same from the events and the chip table alone, without a line of the ledger's code."""
    tpp, prc_made = {}, set()
    for row in csv.DictReader((DATA / "chips.csv").read_text(encoding="utf-8").splitlines()):
        for name in (row["model"], *row["aliases"].split(";")):
            if row["tpp"]:
                tpp[row["vendor"], name] = math.ceil(Fraction(row["tpp"]))
            if row["prc_origin"] == "true":
                prc_made.add((row["vendor"], name))
    below = {("NVIDIA", "A10")}
    sums = defaultdict(int)
    for event in events:
        data = event["data"]
        for line in data["lines"]:
            part = line.get("vendor"), line.get("model")
            if part not in prc_made | below:
                each = line["tpp_each"] if "model" not in line else tpp[part]
                sums[data["destination"], data["shipped_at"][:4]] += each * line["quantity"]
    return dict(sums)


def test_the_sums_of_the_sample_are_those_of_a_second_calculation():
    events = sample_events(today=TODAY)

    assert balances(events) == recalculated(events)
    assert balances(events) == {
        ("AE", "2025"): 60_400 * 4_992,
        ("CN", "2024"): 2_400 * 15_832,
        ("KH", "2026"): 128 * 15_832,
        ("IN", "2026"): 747_301_248,
    }


def test_the_sums_of_traffic_are_those_of_a_second_calculation():
    events = list(traffic(2_000, 7, TODAY))

    assert balances(events) == recalculated(events)


def test_the_reported_flows_are_there_with_their_references():
    flows = {event["id"]: event for event in sample_events(today=TODAY) if event["source"] == "/sample/reported"}

    assert {name: (flow["data"]["destination"], flow["data"]["shipped_at"][:7]) for name, flow in flows.items()} == {
        "F2": ("AE", "2025-09"),
        "F9": ("CN", "2024-07"),
        "F10": ("MY", "2025-05"),
    }
    for flow in flows.values():
        assert any(word in flow["reference"] for word in ("AP", "CNAS", "press"))


def test_what_is_not_reported_says_that_it_is_invented():
    for event in sample_events(today=TODAY):
        assert (event["source"] == "/sample/illustrative") == event["reference"].startswith("Invented")


def test_the_sample_raises_what_it_is_there_to_show():
    noticed = {
        event["id"]: [
            (n.kind, n.severity, n.evidence.get("basis"))
            for n in assess(read(event), POLICY).notices
            if n.kind != "redflag.rf07"  # most of them do not say where the buyer is headquartered
        ]
        for event in sample_events(today=TODAY)
    }

    assert {name: told for name, told in noticed.items() if told} == {
        "F9": [("tier3.shipment", "critical", None)],
        "F10": [("ascend.detected", "critical", "violation")],
        "F10-next-day": [("ascend.detected", "critical", "risk")],
        "KH-last-day": [("tier3.shipment", "critical", None), ("hq.tier3", "critical", None)],
    }


@given(st.dates(min_value=date(2020, 1, 1), max_value=date(2100, 12, 31)))
def test_india_climbs_past_75_and_90_percent_within_the_year_and_never_after_now(today):
    events = [event for event in sample_events(today=today) if event["data"]["destination"] == "IN"]
    used, reached = 0, []
    for event in events:
        used += sum(due.tpp for due in assess(read(event), POLICY).charges)
        reached.append(used * 100 / CAP)
        moment = read(event).shipped_at
        assert moment.year == today.year
        assert moment <= datetime(today.year, today.month, today.day, tzinfo=UTC)

    assert reached[-1] < 100
    assert [sum(level <= share for share in reached) for level in (75, 90)] == [4, 2]
    assert {event["source"] for event in events} == {"/sample/illustrative"}
    assert all(event["id"].endswith(f"-{today:%Y%m%d}") for event in events)
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_another_days_print_shares_only_the_dated_facts():
    one, other = ({e["id"]: e for e in sample_events(today=day)} for day in (TODAY, date(2026, 11, 23)))
    shared = one.keys() & other.keys()

    assert not any(name.startswith("IN-") for name in shared)
    assert all(one[name] == other[name] for name in shared)
    assert sample_events(today=TODAY) == list(one.values())


@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2028, 2, 29), TODAY])
def test_traffic_is_of_the_current_year_and_right_in_every_field(today):
    for event in traffic(300, 1, today):
        moment = read(event).shipped_at

        assert datetime(today.year, 1, 1, tzinfo=UTC) <= moment
        assert moment <= datetime(today.year, today.month, today.day, tzinfo=UTC)
        assert assess(read(event), POLICY).held == []


def test_traffic_is_the_same_by_its_seed_and_a_larger_count_begins_alike():
    assert list(traffic(500, 3, TODAY))[:100] == list(traffic(100, 3, TODAY))


def test_ids_are_unique_and_differ_between_seeds_and_days():
    ids = [
        event["id"]
        for seed, day in ((1, TODAY), (2, TODAY), (11, TODAY), (-1, TODAY), (1, date(2026, 11, 21)))
        for event in traffic(500, seed, day)
    ]

    assert len(set(ids)) == len(ids) == 2_500


@pytest.mark.parametrize("seed", range(8))
def test_a_thousand_shipments_on_top_of_the_sample_leave_every_country_under_its_cap(seed):
    used = balances([*sample_events(today=TODAY), *traffic(1_000, seed, TODAY)])
    capped = {
        place: tpp for place, tpp in used.items() if POLICY.account_cap(f"country:{place[0]}", place[1], date.max)
    }

    assert capped["IN", "2026"] > CAP * 9 // 10
    assert max(capped.values()) < CAP


def test_traffic_says_that_it_is_invented():
    assert all(event["reference"].startswith("Invented") for event in traffic(20, 1, TODAY))


def test_traffic_follows_the_weights_of_countries():
    seen = Counter(event["data"]["destination"] for event in traffic(20_000, 5, TODAY))
    total = sum(COUNTRIES.values())

    for country, weight in COUNTRIES.items():
        assert seen[country] == pytest.approx(20_000 * weight / total, rel=0.25, abs=40)


def test_traffic_ships_parts_of_the_catalogue():
    for vendor, model in PARTS:
        part = POLICY.catalogue.find(vendor, model)

        assert part is not None
        assert part.tpp is not None
