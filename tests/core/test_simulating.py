"""Two policies over the same events: balances in any order, alerts that one of them alone tells, bounded memory."""

import json
from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.digests import digest_of_key
from ledger.policy import load_policy, policy_from_document
from ledger.replay import projection
from ledger.replay.named import may_name_another, named_by
from ledger.replay.report import report
from ledger.replay.simulate import EXAMPLES_MAX, Simulation
from schemas.cloudevents import read_event
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import ShipmentEvent
from tests.assortment import assortment
from tests.builders import a_line, a_shipment
from tests.histories import history

ANNUAL, ALLIES, DIFFUSION, DECEMBER = map(
    load_policy, ("annual-50k", "allies-tier1", "diffusion-2025", "december-2024")
)
POLICIES = [ANNUAL, ALLIES, DIFFUSION, DECEMBER]
H100, CAP = 15_832, 791_600_000
LATER = datetime(2026, 12, 1, tzinfo=UTC)
BROKEN = RejectedRecord([FieldError("not_json", "", "no")])


def simulated(items, policy=ANNUAL, against=ALLIES, until=LATER):
    items = list(items)
    simulation = Simulation(
        policy, against, named_by(item for item in items if isinstance(item, ShipmentEvent)), today=until.date()
    )
    for item in items:
        simulation.take(item)
    simulation.let_time_pass(until)
    return simulation


def posted(side):
    """What stands on each account: posted, reserved, held lines."""
    stand = {
        name: (account.posted_tpp, account.reserved_tpp, account.held_lines) for name, account in side.accounts.items()
    }
    return {name: found for name, found in stand.items() if any(found)}


def read(value):
    try:
        return read_event(value, default_source="/tests")
    except RejectedRecord as rejected:
        return rejected


def without_contradictions(items):
    """The first of each key, and those that repeat it."""
    contents = {}
    for item in items:
        if isinstance(item, RejectedRecord) or contents.setdefault(item.key, item.content()) == item.content():
            yield item


# -------------------------------------------------------------------------------------------------------- The balances


def related(seed, count):
    """Related events: shipments and reservations with what is returned, corrected, resolved and used of them."""
    return [read(json.dumps(event).encode()) for event in history(Random(seed), count)]


ITEMS = [*without_contradictions(map(read, assortment(1, 60))), *related(4, 40)]
IN_ORDER = {policy.id: simulated(ITEMS, policy).policy for policy in POLICIES}


@settings(max_examples=40)
@given(st.permutations(range(len(ITEMS))), st.sampled_from([policy.id for policy in POLICIES]))
def test_the_order_of_events_never_changes_a_balance(order, policy):
    in_order = IN_ORDER[policy]
    out_of_order = simulated([ITEMS[number] for number in order], in_order.policy).policy

    assert posted(out_of_order) == posted(in_order)
    assert out_of_order.outcomes == in_order.outcomes
    assert out_of_order.rejected == in_order.rejected


@settings(max_examples=40)
@given(st.lists(st.sampled_from(range(len(ITEMS))), max_size=20))
def test_an_event_that_comes_again_changes_nothing(again):
    once, more = IN_ORDER["annual-50k"], simulated([*ITEMS, *(ITEMS[number] for number in again)]).policy

    assert posted(more) == posted(once)
    assert more.crossed == once.crossed


@given(st.lists(st.integers(1, 40_000), min_size=2, max_size=6))
def test_splitting_a_shipment_never_changes_the_sum_or_the_levels_crossed(quantities):
    whole = simulated([a_shipment(quantity=sum(quantities))])
    parts = simulated([a_shipment(id=f"p{n}", quantity=quantity) for n, quantity in enumerate(quantities)])

    assert posted(parts.policy) == posted(whole.policy)
    assert [(told.kind, told.level) for told in parts.policy.crossed] == [
        (told.kind, told.level) for told in whole.policy.crossed
    ]


def test_the_assortment_leaves_out_no_sort_of_crossing():
    crossed = Counter(
        told.kind
        for policy in POLICIES
        for seed in (11, 12)
        for told in simulated(map(read, assortment(seed, 400)), policy).policy.crossed
    )

    assert set(crossed) == {
        "quota.near_cap", "quota.exceeded", "lpp.near_limit", "lpp.exceeded", "nveu.exceeded", "uveu.exceeded",
    }  # fmt: skip


def test_of_contradicting_events_the_first_stands_and_the_others_are_conflicts():
    side = simulated([a_shipment(quantity=1), a_shipment(quantity=2), a_shipment(quantity=2)]).policy

    assert posted(side) == {("country:IN", "2026"): (H100, 0, 0)}
    assert side.outcomes == {"applied": 1}
    assert side.rejected == {"conflict": 2}


def test_what_a_policy_cannot_judge_is_no_event_and_its_key_stays_free():
    side = simulated([a_shipment(destination="UK"), a_shipment()]).policy

    assert side.rejected == {"unknown_country": 1}
    assert side.outcomes == {"applied": 1}


def test_a_known_key_is_refused_for_what_is_wrong_with_the_record_before_it_is_a_conflict():
    assert simulated([a_shipment(), a_shipment(destination="UK")]).policy.rejected == {"unknown_country": 1}


def test_a_fault_of_the_ledger_parks_one_event_and_the_others_go_on(monkeypatch):
    def faulty(event, policy):
        if event.id == "bad":
            raise ZeroDivisionError
        return judge(event, policy)

    judge = projection.judge
    monkeypatch.setattr(projection, "judge", faulty)
    simulation = simulated([a_shipment(id="bad"), a_shipment(id="good")])

    assert simulation.policy.rejected == simulation.against.rejected == {"internal_error": 1}
    assert simulation.policy.outcomes == {"applied": 1}


def test_use_is_noted_and_unknown_parts_are_held_as_the_ledger_does():
    unknown = a_line("Mystery 9", 1, "Acme")
    used = a_shipment(id="u", type="compute.used", lines=[unknown])
    side = simulated([a_shipment(lines=[unknown, a_line()]), used]).policy

    assert posted(side) == {("country:IN", "2026"): (64 * H100, 0, 1)}
    assert side.outcomes == {"held": 1, "noted": 1}


def test_a_level_is_crossed_when_it_is_reached_and_the_cap_when_it_is_passed():
    steps = {"a": 37_499, "b": 1, "c": 12_500, "d": 1}
    told = simulated([a_shipment(id=name, quantity=quantity) for name, quantity in steps.items()]).policy.crossed

    assert [(one.event_key[-1], one.kind, one.level) for one in told] == [
        ("b", "quota.near_cap", 75),
        ("c", "quota.near_cap", 90),
        ("c", "quota.near_cap", 100),
        ("d", "quota.exceeded", 100),
    ]


def test_a_limit_that_comes_with_each_event_is_looked_at_with_each_event():
    holder = {"consignee": {"id": "x", "headquarters": "IN"}, "quantity": 1}
    holdings = {"a": 10**9, "b": 10**5}
    told = simulated(
        [
            a_shipment(id=name, authorization={"kind": "uveu", "holdings_tpp": owned}, **holder)
            for name, owned in holdings.items()
        ],
        DIFFUSION,
    ).policy.crossed

    assert [(one.event_key, one.account) for one in told] == [
        ("/tests#b", "uveu:x:IN"),
        ("/tests#b", "uveu:x:outside-tier1"),
    ]


def test_a_quarter_is_told_of_once_something_is_shipped_in_it_and_not_for_what_is_carried_into_it():
    buyer = {"authorization": {"kind": "nveu"}, "consignee": {"id": "x", "headquarters": "IN"}}
    large = a_shipment(id="a", shipped_at="2025-02-01T00:00:00Z", quantity=90_000, **buyer)
    small = a_shipment(id="b", shipped_at="2025-05-01T00:00:00Z", quantity=1, **buyer)
    told = simulated([large, small], DIFFUSION).policy.crossed

    assert [(one.event_key, one.period) for one in told] == [("/tests#a", "2025-Q1"), ("/tests#b", "2025-Q2")]


def test_a_return_takes_back_what_came_long_before_and_arms_the_levels_again():
    shipped, back = a_shipment(id="s", quantity=60_000), {"type": "shipment.returned", "original_id": "s"}
    returned = a_shipment(id="r", lines=[a_line(quantity=59_000)], time="2026-05-01T00:00:00Z", **back)
    again = a_shipment(id="t", quantity=40_000, shipped_at="2026-06-01T00:00:00Z")
    side = simulated([shipped, a_shipment(id="other", destination="MY"), returned, again]).policy

    assert posted(side)["country:IN", "2026"] == (41_000 * H100, 0, 0)
    assert side.outcomes == {"applied": 4}
    assert [(told.kind, told.level, told.armed) for told in side.crossed if told.event_key != "/tests#s"] == [
        ("quota.recovered", 100, 1),
        ("quota.near_cap", 75, 2),
    ]
    [india] = report(simulated([shipped, returned, again])).items
    assert india.policy.thresholds[0].crossed_at == shipped.shipped_at


def test_a_reservation_holds_until_its_time_is_over_and_then_one_alert_tells_of_it():
    reserved = a_shipment(id="r", type="shipment.reserved", quantity=10, expires_at="2026-06-01T00:00:00Z")
    used = a_shipment(id="s", quantity=4, original_id="r")
    before, after = (simulated([reserved, used], until=datetime(2026, month, 1, tzinfo=UTC)) for month in (5, 7))

    assert posted(before.policy) == {("country:IN", "2026"): (4 * H100, 6 * H100, 0)}
    assert posted(after.policy) == {("country:IN", "2026"): (4 * H100, 0, 0)}
    assert "reservation.expired" not in {kind for kind, _ in before.told_by_both}
    assert after.told_by_both["reservation.expired", "IN"] == 1


def test_a_reservation_that_nobody_names_expires_too():
    reserved = a_shipment(type="shipment.reserved", expires_at="2026-06-01T00:00:00Z")

    assert posted(simulated([reserved]).policy) == {}


def test_what_is_reserved_counts_towards_the_cap_where_the_policy_says_so():
    document = json.loads(json.dumps(ANNUAL.document()))
    document["policy"]["reserved_counts"] = True
    reserved = a_shipment(type="shipment.reserved", quantity=50_001)
    [india] = report(simulated([reserved], ANNUAL, policy_from_document(document))).items

    assert (india.policy.reserved_tpp, india.policy.used_ratio, india.policy.status) == (50_001 * H100, 0.0, "open")
    assert (india.against.reserved_tpp, india.against.used_ratio, india.against.status) == (
        50_001 * H100, 1.00002, "exceeded",
    )  # fmt: skip


def test_what_waits_for_an_event_that_never_comes_is_counted_as_waiting():
    side = simulated([a_shipment(id="r", type="shipment.returned", original_id="never")]).policy

    assert side.outcomes == {"waiting": 1}
    assert posted(side) == {}


def test_an_adjustment_without_a_time_crosses_a_level_when_the_event_before_it_happened():
    told = {"country": "IN", "period": "2026", "tpp": CAP, "actor": "a person", "reason": "counted"}
    adjusted = read(json.dumps({"id": "a", "type": "ledger.adjusted", **told}).encode())
    side = simulated([a_shipment(quantity=1, shipped_at="2026-02-03T00:00:00Z"), adjusted]).policy

    assert {(one.kind, one.occurred_at) for one in side.crossed} == {
        (kind, datetime(2026, 2, 3, tzinfo=UTC)) for kind in ("quota.near_cap", "quota.exceeded")
    }


@pytest.mark.parametrize("spelling", ["original_id", "original\\u005fid"])
def test_a_record_that_names_another_is_never_passed_over_at_first_sight(spelling):
    told = a_shipment(id="r", type="shipment.returned", original_id="s")
    value = json.dumps({"id": "r", "type": "shipment.returned", "original_id": "s"}).replace("original_id", spelling)

    assert may_name_another(value.encode())
    assert named_by([read(value.encode()), told, a_shipment()]) == {digest_of_key("/tests", "s")}


# ---------------------------------------------------------------------------------------------------------- The report


def test_the_question_of_the_field_is_answered_by_country():
    """What if India were in Tier 1? Nothing changes what is booked; the cap and its alerts are gone."""
    simulation = simulated([
        a_shipment(id="a", quantity=40_000, shipped_at="2026-03-01T00:00:00Z"),
        a_shipment(id="b", quantity=20_000, shipped_at="2026-04-01T00:00:00Z"),
        a_shipment(id="c", destination="MY", quantity=1),
    ])  # fmt: skip
    found = report(simulation)
    india, malaysia = found.items

    assert (india.country, india.name, india.period) == ("IN", "India", "2026")
    assert (india.policy.tier, india.policy.cap_tpp, india.policy.status) == (2, CAP, "exceeded")
    assert (india.against.tier, india.against.cap_tpp, india.against.status) == (1, None, "unlimited")
    assert india.policy.posted_tpp == india.against.posted_tpp == 60_000 * H100
    assert india.policy.used_ratio == 1.2
    assert india.policy.exceeded_at == datetime(2026, 4, 1, tzinfo=UTC)
    assert [(told.level, told.crossed_at.month) for told in india.policy.thresholds] == [(75, 3), (90, 4), (100, 4)]
    assert (india.against.thresholds, india.against.exceeded_at) == ([], None)
    assert malaysia.policy == malaysia.against
    assert [(told.kind, told.level, told.event_key) for told in found.only_policy.crossings] == [
        ("quota.near_cap", 75, "/tests#a"),
        ("quota.near_cap", 90, "/tests#b"),
        ("quota.near_cap", 100, "/tests#b"),
        ("quota.exceeded", 100, "/tests#b"),
    ]
    assert found.only_against.crossings == found.only_against.examples == []


def test_under_one_policy_twice_nothing_differs():
    found = report(simulated(map(read, assortment(11, 300)), ANNUAL, load_policy("annual-50k")))

    assert found.policy == found.against
    assert all(item.policy == item.against for item in found.items)
    assert found.only_policy == found.only_against
    assert found.only_policy.crossings == found.only_policy.examples == []
    assert not any(counted.only_policy or counted.only_against for counted in found.alerts)
    assert sum(counted.both for counted in found.alerts) > 0


def test_alerts_are_the_same_by_kind_and_event_and_by_kind_account_period_and_level():
    """The ids of crossings differ, for they carry the policy; a notice of one policy alone is told as an example."""
    large = a_shipment(
        id="a", quantity=60_000, authorization={"kind": "lpp"}, consignee={"id": "x", "headquarters": "IN"}
    )
    found = report(simulated([large, a_shipment(id="b", destination="CN")], ANNUAL, DIFFUSION))
    counts = {counted.kind: (counted.both, counted.only_policy, counted.only_against) for counted in found.alerts}

    assert counts == {
        "quota.near_cap": (0, 3, 0),
        "quota.exceeded": (0, 1, 0),
        "tier3.shipment": (1, 0, 0),
        "lpp.notice": (0, 0, 1),
        "lpp.near_limit": (0, 0, 1),
        "lpp.exceeded": (0, 0, 1),
    }
    assert [(told.kind, told.country, told.event_key) for told in found.only_against.examples] == [
        ("lpp.notice", "IN", "/tests#a")
    ]
    assert [told.account for told in found.only_against.crossings] == ["lpp:x", "lpp:x"]
    assert found.against.accounts == {"lpp": 1, "country": 1}


def test_a_period_that_one_policy_does_not_know_is_empty_there():
    found = report(simulated([a_shipment(shipped_at="2026-03-01T00:00:00Z")], ANNUAL, DIFFUSION))

    assert [(item.period, item.policy is None, item.against is None) for item in found.items] == [
        ("2025-2027", True, False),
        ("2026", False, True),
    ]


@pytest.mark.parametrize(
    ("today", "tier", "cap_tpp", "status", "crossed"),
    [
        ("2026-01-15", 3, 0, "prohibited", []),
        ("2026-02-02", 3, 0, "prohibited", []),
        ("2026-02-03", 2, CAP, "exceeded", [75, 90, 100]),
        ("2027-05-01", 2, CAP, "exceeded", [75, 90, 100]),
    ],
)
def test_tier_cap_and_status_are_those_by_which_the_levels_of_that_day_are_measured(
    today, tier, cap_tpp, status, crossed
):
    shipment = a_shipment(destination="KH", shipped_at="2026-01-01T00:00:00Z", quantity=50_001)
    [cambodia] = report(simulated([shipment], until=datetime.fromisoformat(f"{today}T00:00:00Z"))).items
    told = cambodia.policy

    assert (told.tier, told.cap_tpp, told.status) == (tier, cap_tpp, status)
    assert [one.level for one in told.thresholds if one.crossed_at] == crossed


def test_records_that_are_no_events_are_counted_by_reason_and_are_alerts_of_no_country():
    found = report(simulated([BROKEN, BROKEN, a_shipment(), a_shipment(quantity=1)]))

    assert found.records_read == 4
    assert found.policy.rejected == found.against.rejected == {"not_json": 2, "conflict": 1}
    assert [(counted.kind, counted.country, counted.both) for counted in found.alerts] == [
        ("event.conflict", None, 1),
        ("event.rejected", None, 2),
    ]


def test_nothing_at_all_is_answered_with_nothing():
    found = report(simulated([]))

    assert (found.records_read, found.items, found.alerts) == (0, [], [])


def test_what_is_kept_of_alerts_about_single_events_has_a_bound():
    gone = load_policy("december-2024")
    gone.detection = gone.detection.model_copy(update={"ascend": None})
    shipments = [a_shipment(id=str(n), lines=[a_line("Ascend 910B", 1, "Huawei")]) for n in range(EXAMPLES_MAX + 30)]
    found = report(simulated(shipments, DECEMBER, gone))

    assert len(found.only_policy.examples) == EXAMPLES_MAX
    assert found.only_policy.notices == EXAMPLES_MAX + 30
    assert found.only_against.notices == 0


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_the_counts_add_up_to_the_records(policy):
    side = report(simulated(map(read, assortment(5, 200)), policy, ALLIES)).policy

    assert sum(side.outcomes.values()) + side.repeated + sum(side.rejected.values()) == 200
