"""The door for every type of event: what each is by itself, and every error at once, whatever else is known."""

import pytest

from ledger.policy import load_policy
from ledger.rules.follower import original_of
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import TPP_MAX
from tests.builders import a_line, a_shipment, described, encoded

ANNUAL, DIFFUSION, DECEMBER = (load_policy(name) for name in ("annual-50k", "diffusion-2025", "december-2024"))
H100 = 15_832
PERSON = {"actor": "A. Person", "reason": "an audit"}


def event(kind, *, time="2026-05-01T00:00:00Z", **data):
    document = {"specversion": "1.0", "id": "e", "source": "/tests", "type": kind, "time": time, "data": data}
    return read_event(encoded(document), default_source="/tests")


def adjusted(**told):
    return event("ledger.adjusted", **{"country": "IN", "period": "2026", "tpp": 5, **PERSON, **told})


def errors_of(told, policy=ANNUAL):
    with pytest.raises(RejectedRecord) as refusal:
        judge(told, policy)
    assert refusal.value.event_key == told.key
    return {(error.reason, error.field) for error in refusal.value.errors}


# ---------------------------------------------------------------------------------------------- Statements of goods


def test_a_reservation_reserves_what_a_shipment_would_post():
    told = {"lines": [a_line(), a_line("Z9", 1, "Acme")], "consignee": {"id": "x"}, "authorization": {"kind": "nveu"}}
    posted, reserved = (
        judge(a_shipment(type=kind, **told), DIFFUSION) for kind in ("shipment.shipped", "shipment.reserved")
    )

    assert {due.state for due in posted.charges} == {"posted"}
    assert {due.state for due in reserved.charges} == {"reserved"}
    assert [(due.account, due.tpp) for due in reserved.charges] == [(due.account, due.tpp) for due in posted.charges]
    assert reserved.held == posted.held


@pytest.mark.parametrize("kind", ["shipment.reserved", "shipment.corrected", "compute.used"])
def test_what_is_noticed_is_told_of_every_statement(kind):
    told = event(kind, original_id="o", destination="CN", lines=[a_line("Ascend 910B", 1, "Huawei")])

    assert {"tier3.shipment", "ascend.detected"} <= {notice.kind for notice in judge(told, ANNUAL).notices}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("shipment.shipped", "S-1 goes to India on 2026-05-01: Tier 2"),
        ("shipment.reserved", "S-1 is reserved for India on 2026-05-01: Tier 2"),
        ("shipment.corrected", "S-1 goes, as corrected, to India on 2026-05-01: Tier 2"),
        ("compute.used", "S-1 is in use in India on 2026-05-01: Tier 2"),
    ],
)
def test_a_receipt_begins_with_what_the_event_says(kind, said):
    told = event(kind, shipment_id="S-1", original_id="o", destination="IN", lines=[a_line()])

    assert receipt(told, ANNUAL)[0].startswith(said)


def receipt(told, policy):
    return described(told, policy).receipt


# ------------------------------------------------------------------------------------- Returns, cancels, resolutions


def test_a_follower_is_judged_without_its_original():
    back = judge(event("shipment.returned", original_id="o", lines=[a_line(), a_line("Z9", 1)]), ANNUAL)
    word = judge(
        event("shipment.resolved", original_id="o", lines=[{"model": "Z9", "tpp_each": 5_000}], **PERSON), ANNUAL
    )

    assert [(item.part, item.tpp_each) for item in back.items] == [("NVIDIA H100 SXM", H100), ("NVIDIA Z9", None)]
    assert [(item.part, item.tpp_each, item.eccn, item.booked) for item in word.items] == [
        ("Z9", 5_000, "3A090.a", True)
    ]
    assert judge(event("shipment.cancelled", original_id="o", time=None), ANNUAL).items == []


@pytest.mark.parametrize("kind", ["shipment.returned", "shipment.cancelled", "shipment.resolved"])
def test_a_follower_states_no_country_that_is_none(kind):
    lines = [a_line(tpp_each=H100)]
    told = event(kind, original_id="o", lines=lines, destination="UK", bill_to={"country": "EU"}, **PERSON)

    assert errors_of(told) == {("unknown_country", "data.destination"), ("unknown_country", "data.bill_to.country")}


def test_a_return_states_no_amount_that_no_ledger_can_hold():
    lines = [a_line(quantity=TPP_MAX), a_line(quantity=1), {"tpp_each": TPP_MAX, "quantity": 2}]
    told = event("shipment.returned", original_id="o", lines=lines, origin="UK")

    assert errors_of(told) == {
        ("unknown_country", "data.origin"),
        ("number_out_of_range", "data.lines.0.quantity"),
        ("number_out_of_range", "data.lines.2.quantity"),
    }
    halves = [{"tpp_each": TPP_MAX // 2 + 1, "quantity": 1}] * 2
    assert errors_of(event("shipment.returned", original_id="o", lines=halves)) == {
        ("number_out_of_range", "data.lines")
    }


def test_a_shipment_is_told_of_its_countries_and_its_amounts_at_once():
    told = a_shipment(quantity=TPP_MAX, destination="UK")

    assert errors_of(told) == {
        ("unknown_country", "data.destination"),
        ("number_out_of_range", "data.lines.0.quantity"),
    }


def test_the_lines_of_a_cancel_are_not_looked_at():
    told = {"original_id": "o", "lines": [a_line(quantity=TPP_MAX)]}

    assert judge(event("shipment.cancelled", **told), ANNUAL).items == []
    assert errors_of(event("shipment.cancelled", origin="UK", **told)) == {("unknown_country", "data.origin")}


def test_a_resolution_states_no_quantity_and_none_that_it_states_counts():
    lines = [{"model": "Z9", "tpp_each": TPP_MAX, "quantity": TPP_MAX}, a_line(quantity=TPP_MAX, tpp_each=1)]

    assert [
        item.tpp_each
        for item in judge(event("shipment.resolved", original_id="o", lines=lines, **PERSON), ANNUAL).items
    ] == [TPP_MAX, 1]


@pytest.mark.parametrize(
    ("kind", "told", "named"),
    [
        ("shipment.returned", {"original_id": "o"}, ("/tests", "o")),
        ("shipment.returned", {"original_id": "o", "original_source": "/other"}, ("/other", "o")),
        ("shipment.shipped", {"original_id": "o"}, ("/tests", "o")),
        ("shipment.shipped", {}, None),
        ("shipment.reserved", {"original_id": "o"}, None),
        ("compute.used", {"original_id": "o"}, None),
        ("ledger.adjusted", {"original_id": "o", "country": "IN", "period": "2026", "tpp": 1, **PERSON}, None),
    ],
)
def test_which_event_an_event_names(kind, told, named):
    told = {"destination": "IN", "lines": [a_line()], **told}

    assert original_of(event(kind, **told)) == named


# ------------------------------------------------------------------------------------------------------- Adjustments


@pytest.mark.parametrize("tpp", [5, -5, TPP_MAX, -TPP_MAX])
def test_an_adjustment_books_what_it_states_and_tells_of_nothing(tpp):
    found = judge(adjusted(tpp=tpp, country="CN"), ANNUAL)

    assert [(due.kind, due.account, due.country, due.period, due.state, due.tpp) for due in found.charges] == [
        ("country", "country:CN", "CN", "2026", "posted", tpp)
    ]
    assert (found.tier, found.notices, found.held, found.items) == (3, [], [], [])


def test_an_adjustment_of_nothing_books_nothing():
    assert judge(adjusted(tpp=0), ANNUAL).charges == []


def test_an_adjustment_is_of_the_tier_at_the_end_of_its_period():
    assert judge(adjusted(country="KH", period="2025"), ANNUAL).tier == 3
    assert judge(adjusted(country="KH", period="2026"), ANNUAL).tier == 2


@pytest.mark.parametrize(("policy", "good", "bad"), [(ANNUAL, "2026", "2025-2027"), (DIFFUSION, "2025-2027", "2026")])
def test_an_adjustment_names_a_country_and_a_period_of_the_policy(policy, good, bad):
    both = {("unknown_country", "data.country"), ("bad_value", "data.period")}

    assert judge(adjusted(period=good), policy).charges[0].period == good
    assert errors_of(adjusted(country="UK", period=bad, origin="EU"), policy) == {
        *both,
        ("unknown_country", "data.origin"),
    }
    assert errors_of(adjusted(country="UK", period=good), policy) == {("unknown_country", "data.country")}
    assert errors_of(adjusted(period=bad), policy) == {("bad_value", "data.period")}
    assert errors_of(adjusted(period=good, origin="EU"), policy) == {("unknown_country", "data.origin")}


@pytest.mark.parametrize("policy", [ANNUAL, DECEMBER])
def test_an_adjustment_needs_no_time_and_no_licence(policy):
    told = adjusted(time=None, country="CN", approved_by="B. Boss")

    assert receipt(told, policy) == [
        "A. Person adjusts China 2026, approved by B. Boss: an audit.",
        "China 2026: 0 + 5 = 5 TPP: shipments to Tier 3 are prohibited.",
    ]
