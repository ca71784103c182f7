"""Each rule of families by an example: corrections, returns, cancels, resolutions, reservations, and orphans."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from ledger.policy import load_policy
from ledger.rules.assessment import ChargeDue
from ledger.rules.families import Member, difference, settle_family
from ledger.rules.follower import own_key
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.shipment_event import TPP_MAX
from tests.builders import a_line, encoded, on, shipment_document

ANNUAL, DIFFUSION = load_policy("annual-50k"), load_policy("diffusion-2025")
AT = datetime(2026, 6, 1, tzinfo=UTC)
ORIGINAL = ("/tests", "o")
H100, A100, L4 = 15_832, 4_992, 1_936
CLOUD = {"id": "lei:1", "country": "IN", "headquarters": "IN"}


def shipped(name="o", **told):
    return shipment_document(id=name, **told)


def reserved(**told):
    return shipment_document(id="o", type="shipment.reserved", **told)


def corrected(name, time="2026-04-01T00:00:00Z", **told):
    return shipment_document(id=name, type="shipment.corrected", original_id="o", **told) | {"time": time}


def follower(kind, name, time=None, source="/tests", **data):
    data = {"original_id": "o", "original_source": "/tests", **data}
    document = {"specversion": "1.0", "id": name, "source": source, "type": f"shipment.{kind}", "data": data}
    return document | ({"time": time} if time else {})


def returned(name, *lines, **told):
    return follower("returned", name, **told, **({"lines": list(lines)} if lines else {}))


def cancelled(name, **told):
    return follower("cancelled", name, **told)


def resolved(name, tpp_each, time="2026-04-01T00:00:00Z", vendor=None, model="Z9", **told):
    line = {"vendor": vendor, "model": model, "tpp_each": tpp_each}
    return follower("resolved", name, time, lines=[line], actor="A. Person", reason="read the data sheet", **told)


def using(name, quantity, **told):
    return shipment_document(id=name, quantity=quantity, original_id="o", **told)


def settle(*documents, at=AT, policy=ANNUAL):
    """The settlement of these events; one may be a pair of itself and its policy."""
    members = []
    for document in documents:
        told, ruling = document if isinstance(document, tuple) else (document, policy)
        event = read_event(encoded(told), default_source="/tests")
        members.append(Member(event, judge(event, ruling)))
    return settle_family(ORIGINAL, members, at=at)


def stands(*documents, **told):
    """What stands after all of them, by (account, period)."""
    return {(due.account, due.period): due.tpp for due in settle(*documents, **told).charges}


def outcomes(*documents, **told):
    """What became of each, by id."""
    return {key[1]: share.outcome for key, share in settle(*documents, **told).shares.items()}


def moved(settlement, name):
    """What one event brings or takes: every account of a family moves by the same."""
    return {due.tpp for due in settlement.shares["/tests", name].charges}


def india(tpp, period="2026"):
    return {("country:IN", period): tpp} if tpp else {}


# ----------------------------------------------------------------------------------------------- Which statement stands


def test_a_correction_is_charged_by_its_own_country_day_chip_and_channel_and_the_old_booking_is_taken_back():
    moved_to = corrected("c", destination="AE", shipped_at=on("2027-02-03"), model="A100", quantity=3)

    assert stands(shipped()) == india(64 * H100)
    assert stands(shipped(), moved_to) == {("country:AE", "2027"): 3 * A100}
    assert stands(shipped(), corrected("c", authorization={"kind": "nveu"})) == {}
    assert outcomes(shipped(), moved_to) == {"o": "superseded", "c": "applied"}


@pytest.mark.parametrize(
    ("one", "other", "latest"),
    [
        (("c1", "2026-04-01T00:00:00Z", "/a"), ("c2", "2026-04-01T00:00:01Z", "/a"), ("/a", "c2")),
        (("c1", "2026-04-01T02:00:00+02:00", "/b"), ("c2", "2026-04-01T00:00:00Z", "/a"), ("/b", "c1")),
        (("c1", "2026-04-01T00:00:00Z", "/a"), ("c2", "2026-04-01T00:00:00Z", "/a"), ("/a", "c2")),
        (("c1", "2026-04-01T00:00:00Z", "/a"), ("c1", "2026-04-01T00:00:00Z", "/b"), ("/b", "c1")),
    ],
    ids=["by time", "then by source", "then by id", "of one id under two sources"],
)
def test_of_several_corrections_the_latest_stands(one, other, latest):
    documents = [
        follower("corrected", *told, destination="AE", shipped_at=on("2026-01-01"), lines=[a_line(quantity=quantity)])
        for quantity, told in enumerate((one, other), 1)
    ]
    found = settle(shipped(), *documents)

    assert own_key(found.standing.event) == latest
    assert {key for key, share in found.shares.items() if share.outcome != "superseded"} == {latest}


def test_each_statement_is_charged_under_the_policy_of_its_own_record():
    assert stands((shipped(), ANNUAL), (corrected("c"), DIFFUSION)) == india(64 * H100, "2025-2027")
    assert stands((shipped(), DIFFUSION), (corrected("c"), ANNUAL)) == india(64 * H100, "2026")


# ------------------------------------------------------------------------------------------------------ What comes back


def test_a_part_return_falls_on_the_account_and_period_of_the_shipment():
    back = returned("r", a_line(quantity=4), shipped_at=on("2027-05-05"))

    assert stands(shipped(), back) == india(60 * H100)
    assert moved(settle(shipped(), back), "r") == {-4 * H100}


def test_a_return_counts_against_whichever_statement_stands_whatever_came_first():
    back = returned("r", a_line(quantity=4), time="2026-03-15T00:00:00Z")
    later, earlier = corrected("c", quantity=10, destination="AE"), corrected("c", "2020-01-01T00:00:00Z", quantity=10)

    assert stands(shipped(), back, later) == {("country:AE", "2026"): 6 * H100}
    assert stands(shipped(), back, earlier) == india(6 * H100)
    assert stands(shipped(), back, corrected("c", quantity=3)) == {}


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ({"model": "h100-sxm", "quantity": 1}, 9),
        ({"vendor": "NVIDIA Corporation", "model": "H100 SXM", "quantity": 1}, 9),
        ({"model": "H100 SXM", "quantity": 1, "tpp_each": 20_000}, 9),
        ({"vendor": "AMD", "model": "H100 SXM", "quantity": 1}, 10),
        ({"model": "H100 PCIe", "quantity": 1}, 10),
        ({"tpp_each": H100, "quantity": 1}, 10),
        ({"eccn": "4E091", "quantity": 1}, 10),
    ],
)
def test_a_return_takes_the_catalogues_part_by_whatever_name_and_no_other(line, left):
    assert stands(shipped(quantity=10), returned("r", line)) == india(left * H100)
    assert outcomes(shipped(quantity=10), returned("r", line))["r"] == ("void" if left == 10 else "applied")


def test_items_without_a_model_come_back_by_their_stated_tpp():
    lines = [{"tpp_each": 5_000, "quantity": 3}, {"tpp_each": 6_000, "quantity": 3}]

    assert stands(shipped(lines=lines), returned("r", {"tpp_each": 6_000, "quantity": 2})) == india(21_000)
    assert stands(shipped(lines=lines), returned("r", {"tpp_each": 7_000, "quantity": 2})) == india(33_000)


def test_items_come_back_as_they_were_counted_from_the_first_line_on():
    lines = [a_line(quantity=2, tpp_each=20_000), a_line(quantity=2)]

    assert stands(shipped(lines=lines), returned("r", a_line(quantity=3))) == india(H100)


def test_nobody_returns_more_than_is_left_and_the_earlier_return_comes_first():
    first, second = (
        returned(name, a_line(quantity=7), time=on(day)) for name, day in (("z", "2026-03-02"), ("a", "2026-03-03"))
    )
    found = settle(shipped(quantity=10), second, first)

    assert (found.charges, moved(found, "z"), moved(found, "a")) == ([], {-7 * H100}, {-3 * H100})
    assert found.shares["/tests", "a"].told == ["Line 1: 3 of 7 x H100 SXM were left."]
    assert outcomes(shipped(quantity=7), first, second) == {"o": "applied", "z": "applied", "a": "void"}


@pytest.mark.parametrize(
    "whole", [returned("x", time=on("2020-01-01")), cancelled("x"), cancelled("x", lines=[a_line()])]
)
def test_a_cancel_or_a_return_without_lines_leaves_nothing_whenever_it_comes(whole):
    others = [corrected("c", quantity=1_000), returned("r", a_line(quantity=1), time=on("2026-05-05"))]

    assert stands(shipped(), whole) == stands(shipped(), whole, *others) == {}
    assert outcomes(shipped(), whole, *others) == {"o": "superseded", "c": "applied", "x": "applied", "r": "void"}


def test_a_second_cancel_is_void():
    assert outcomes(shipped(), cancelled("x"), cancelled("y")) == {"o": "applied", "x": "applied", "y": "void"}


def test_every_account_of_a_shipment_shrinks_by_the_same():
    under = {"authorization": {"kind": "nveu"}, "consignee": CLOUD, "shipped_at": on("2027-08-01")}
    found = settle(shipped(**under), returned("r", a_line(quantity=4)), policy=DIFFUSION)

    assert [(due.period, due.tpp, due.carried) for due in found.charges] == [
        ("2027-Q3", 60 * H100, False),
        ("2027-Q4", 60 * H100, True),
    ]
    assert moved(found, "r") == {-4 * H100}


def test_what_is_not_charged_comes_back_too():
    lines = [a_line("H20", 5), a_line("Z9", 5, "Acme")]
    back = [returned("a", a_line("H20", 5)), returned("b", {"model": "z-9", "quantity": 3})]

    assert outcomes(shipped(lines=lines), *back) == {"o": "held", "a": "applied", "b": "applied"}
    assert outcomes(shipped(lines=lines), *back, returned("c", {"model": "z-9", "quantity": 2}))["o"] == "applied"
    assert settle(shipped(lines=lines), cancelled("x")).held == []


# ------------------------------------------------------------------------------------------------------ A person's word

HELD = {"lines": [a_line("Z9", 10, "Acme"), a_line(quantity=1)], "shipped_at": on("2025-11-11")}


@pytest.mark.parametrize(("tpp_each", "booked"), [(1_599, False), (1_600, True), (50_000, True)])
def test_a_resolved_line_is_booked_at_the_shipments_own_date_if_its_class_is(tpp_each, booked):
    found = settle(shipped(**HELD), resolved("v", tpp_each))

    assert {(due.account, due.period): due.tpp for due in found.charges} == india(H100 + 10 * tpp_each * booked, "2025")
    assert (found.held, moved(found, "v")) == ([], {10 * tpp_each} if booked else set())
    assert outcomes(shipped(**HELD), resolved("v", tpp_each)) == {"o": "applied", "v": "applied"}


@pytest.mark.parametrize(
    ("model", "vendor", "word_vendor"),
    [("Ascend 910D", "Huawei", None), ("Ascend 910D", None, None), ("Z9", "Hygon", None), ("Z9", None, "Hygon")],
)
def test_a_part_made_in_china_stays_unbooked_whoever_says_so(model, vendor, word_vendor):
    held, word = shipped(lines=[a_line(model, 10, vendor)]), resolved("v", 50_000, model=model, vendor=word_vendor)

    assert settle(held).held
    assert settle(held, word).held == []
    assert stands(held, word) == {}


def test_of_several_words_the_latest_stands():
    words = [
        resolved("v", 2_000, on("2026-04-02")),
        resolved("w", 3_000, on("2026-04-01")),
        resolved("x", 4_000, on("2026-03-01")),
    ]

    assert stands(shipped(**HELD), *words) == india(H100 + 20_000, "2025")
    assert outcomes(shipped(**HELD), *words) == {"o": "applied", "v": "applied", "w": "superseded", "x": "superseded"}


@pytest.mark.parametrize(
    ("vendor", "model", "found"),
    [(None, "z9", True), ("ACME", "Z-9", True), ("Other", "Z9", False), ("Acme", "Z8", False)],
)
def test_a_word_names_a_line_by_its_folded_model_and_its_maker_if_it_says_one(vendor, model, found):
    word = resolved("v", 2_000, vendor=vendor, model=model)

    assert outcomes(shipped(**HELD), word) == {"o": "applied" if found else "held", "v": "applied" if found else "void"}


def test_a_part_that_the_catalogue_knows_without_its_tpp_is_resolved_by_any_of_its_names():
    held = shipped(lines=[a_line("Instinct MI308X", 2, "AMD")])

    assert stands(held, resolved("v", 5_000, model="mi308x")) == india(10_000)


def test_a_word_on_a_line_that_is_not_held_is_void():
    assert stands(shipped(), resolved("v", 50_000, model="H100 SXM")) == india(64 * H100)
    assert outcomes(shipped(), resolved("v", 50_000, model="H100 SXM")) == {"o": "applied", "v": "void"}
    assert outcomes(shipped(**HELD), corrected("c"), resolved("v", 5_000))["v"] == "void"


def test_a_line_that_is_held_for_want_of_a_consignee_waits_for_a_correction():
    under = {"authorization": {"kind": "lpp"}, "shipped_at": on("2026-01-01")}
    known = shipped(**under)
    unknown = shipped(lines=[a_line("Z9", 10, "Acme")], **under)

    assert outcomes(known, resolved("v", 5_000, model="H100 SXM"), policy=DIFFUSION) == {"o": "held", "v": "void"}
    found = settle(unknown, resolved("v", 5_000), policy=DIFFUSION)
    assert [(number, "consignee" in reason) for number, reason in found.held] == [(0, True)]
    assert (found.charges, found.shares["/tests", "v"].outcome) == ([], "applied")
    mended = corrected("c", lines=[a_line("Z9", 10, "Acme")], consignee=CLOUD, **under)
    assert stands(unknown, resolved("v", 5_000), mended, policy=DIFFUSION) == {("lpp:lei:1", "2026"): 50_000}


def test_a_word_that_brings_a_line_past_what_one_event_may_state_leaves_it_held():
    two = {"lines": [a_line("Z9", 2, "Acme"), a_line("Z8", 2, "Acme")]}
    words = [resolved("v", TPP_MAX // 2), resolved("w", 2_000, model="Z8")]
    found = settle(shipped(**two), *words)

    assert outcomes(shipped(**HELD), resolved("v", TPP_MAX)) == {"o": "held", "v": "void"}
    assert "more than" in settle(shipped(**HELD), resolved("v", TPP_MAX)).shares["/tests", "v"].told[0]
    assert [(due.tpp, number) for due, (number, _) in zip(found.charges, found.held, strict=True)] == [(TPP_MAX, 1)]


def test_a_line_that_is_not_booked_is_held_to_the_same_limit():
    held = shipped(lines=[a_line("Z9", TPP_MAX, "Hygon")])

    assert settle(held, resolved("v", 1)).held == []
    assert [number for number, _ in settle(held, resolved("v", 2)).held] == [0]


def test_of_several_words_of_one_event_the_last_stands():
    word = resolved("v", 2_000, vendor="Acme")
    word["data"]["lines"] += [{"model": "z9", "tpp_each": 3_000}, {"vendor": "ACME", "model": "Z9", "tpp_each": 4_000}]

    assert stands(shipped(**HELD), word) == india(H100 + 40_000, "2025")
    assert settle(shipped(**HELD), word).shares["/tests", "v"].told == []


def test_returns_and_words_meet():
    back = returned("r", {"model": "Z9", "quantity": 4}, time=on("2026-03-15"))

    assert stands(shipped(**HELD), back, resolved("v", 2_000)) == india(H100 + 12_000, "2025")
    assert stands(shipped(**HELD), cancelled("x"), resolved("v", 2_000)) == {}


# --------------------------------------------------------------------------------------------------------- Reservations


@pytest.mark.parametrize(("used", "left"), [([], 100), ([30], 70), ([30, 70], 0), ([101], 0), ([60, 60], 0)])
def test_a_reservation_falls_by_what_names_it_and_never_below_zero(used, left):
    uses = [using(f"s{number}", quantity) for number, quantity in enumerate(used)]
    found = settle(reserved(quantity=100), *uses)

    assert [(due.account, due.state, due.tpp) for due in found.charges] == [("country:IN", "reserved", left * H100)] * (
        left > 0
    )
    assert sum(-tpp for use in uses for tpp in moved(found, use["id"])) == (100 - left) * H100
    assert {found.shares["/tests", use["id"]].outcome for use in uses} <= {None}, (
        "its own family says what became of it"
    )


def test_a_use_counts_by_what_it_states_wherever_it_goes_and_whatever_becomes_of_it():
    elsewhere = using("s", 30, destination="AE", shipped_at=on("2025-01-01"), authorization={"kind": "nveu"})
    other_part = using("s", 30, model="A100")
    partly_held = using("s", None, lines=[a_line(quantity=30), a_line("Z9", 1_000, "Acme"), a_line("H20", 1_000)])

    assert stands(reserved(quantity=100), elsewhere) == stands(reserved(quantity=100), partly_held) == india(70 * H100)
    assert stands(reserved(quantity=100), other_part) == india(100 * H100 - 30 * A100)


def test_a_shipment_that_names_a_shipment_moves_nothing_there():
    assert stands(shipped(), using("s", 30)) == india(64 * H100)
    assert outcomes(shipped(), using("s", 30)) == {"o": "applied", "s": None}


def test_a_reservation_expires_at_its_time_and_frees_what_is_left():
    until = reserved(quantity=100, expires_at="2026-06-01T00:00:00Z")
    before, after = datetime(2026, 5, 31, 23, 59, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)

    held, freed = (settle(until, using("s", 30), at=at) for at in (before, after))
    assert (held.charges[0].tpp, held.expired_tpp, held.changes_at) == (70 * H100, 0, after)
    assert (freed.charges, freed.expired_tpp, freed.changes_at) == ([], 70 * H100, None)
    assert moved(held, "s") == moved(freed, "s") == {-30 * H100}
    assert settle(until, using("s", 100), at=before).changes_at == after  # what comes back later comes too late


def test_what_comes_after_the_expiry_finds_nothing():
    until = reserved(quantity=100, expires_at="2026-03-01T00:00:00Z")
    late, in_time = cancelled("x", time=on("2026-03-01")), cancelled("x", time=on("2026-02-28"))

    assert outcomes(until, late)["x"] == "void"
    assert outcomes(until, in_time)["x"] == "applied"
    assert moved(settle(until, using("s", 30, shipped_at=on("2026-03-02"))), "s") == set()


def test_a_cancel_frees_what_is_left_of_a_reservation():
    use = using("s", 30, shipped_at=on("2026-03-01"))
    found = settle(reserved(quantity=100), use, cancelled("x", time=on("2026-04-01")))

    assert (found.charges, moved(found, "s"), moved(found, "x")) == ([], {-30 * H100}, {-70 * H100})
    assert outcomes(reserved(quantity=30), use, cancelled("x", time=on("2026-04-01")))["x"] == "void"


def test_a_reservation_may_be_corrected_and_returned_in_part():
    anew = corrected("c", destination="AE", quantity=50, expires_at=on("2026-05-01"))
    found = settle(
        reserved(quantity=100),
        using("s", 30),
        returned("r", a_line(quantity=5)),
        anew,
        at=datetime(2026, 4, 1, tzinfo=UTC),
    )

    assert [(due.account, due.state, due.tpp) for due in found.charges] == [("country:AE", "reserved", 15 * H100)]
    assert stands(reserved(quantity=100), anew) == {}, "expired by its own time"
    assert stands(reserved(quantity=100, expires_at=on("2026-01-01")), corrected("c", quantity=50)) == india(50 * H100)


def test_only_reservations_expire():
    assert stands(shipped(expires_at=on("2026-01-01"))) == india(64 * H100)


def test_the_lines_of_a_reservation_are_held_until_it_expires():
    until = reserved(lines=[a_line("Z9", 10, "Acme")], expires_at="2026-06-01T00:00:00Z")

    assert [number for number, _ in settle(until, at=datetime(2026, 5, 1, tzinfo=UTC)).held] == [0]
    assert settle(until).held == []
    assert [due.state for due in settle(until, resolved("v", 5_000), at=datetime(2026, 5, 1, tzinfo=UTC)).charges] == [
        "reserved"
    ]


# --------------------------------------------------------------------------------------------- Orphans and other strays


def test_what_names_an_unknown_event_waits_and_books_nothing():
    strays = [returned("r", a_line()), cancelled("x"), corrected("c"), resolved("v", 5_000)]
    found = settle(*strays, using("s", 5))

    assert (found.charges, found.held, found.standing) == ((), (), None)
    assert outcomes(*strays, using("s", 5)) == dict.fromkeys("rxcv", "waiting") | {"s": None}
    assert found.shares["/tests", "r"].told == ["/tests#o, which it names, is not known yet."]


@pytest.mark.parametrize("kind", ["returned", "cancelled", "corrected", "resolved"])
def test_what_names_an_event_that_is_no_original_is_void(kind):
    goods = {"destination": "IN", "shipped_at": on("2026-01-01")} if kind == "corrected" else {}
    named = follower(kind, "o", on("2026-01-01"), lines=[a_line(tpp_each=H100)], actor="A", reason="R", **goods)
    elsewhere = named | {"data": named["data"] | {"original_id": "elsewhere"}}

    assert outcomes(named) == {"o": "void"}, "itself"
    assert outcomes(elsewhere, returned("r"), using("s", 5)) == {"r": "void", "s": None}


def test_an_adjustment_is_nobodys_original():
    data = {"country": "IN", "period": "2026", "tpp": 5, "actor": "A", "reason": "R"}
    adjusted = {"specversion": "1.0", "id": "o", "source": "/tests", "type": "ledger.adjusted", "data": data}

    assert outcomes(adjusted, cancelled("x")) == {"x": "void"}


def test_chips_in_use_are_never_debited_whatever_names_them():
    used = shipment_document(id="o", type="compute.used")
    followers = [corrected("c"), returned("r", a_line()), cancelled("x"), resolved("v", 5_000)]
    found = settle(used, *followers)

    assert (found.charges, found.held) == ((), ())
    assert outcomes(used, *followers) == {"o": "superseded", "c": "noted", "r": "void", "x": "void", "v": "void"}
    assert outcomes(used) == {"o": "noted"}


def test_one_id_under_two_sources_is_two_events():
    theirs = returned("o", a_line(quantity=4), source="/customs")

    assert stands(shipped(), theirs) == india(60 * H100)


def test_every_order_of_six_events_comes_to_the_same():
    documents = [
        reserved(lines=[a_line(quantity=100), a_line("Z9", 10, "Acme")]),
        using("s", 30),
        corrected("c", lines=[a_line(quantity=90), a_line("Z9", 5, "Acme")]),
        corrected("d", on("2026-03-03"), destination="AE"),
        returned("r", a_line(quantity=20), {"model": "Z9", "quantity": 9}),
        resolved("v", 2_000),
    ]
    first, *others = (settle(*order) for order in permutations(documents))

    assert {(due.account, due.period): due.tpp for due in first.charges} == india(40 * H100)
    assert all(other == first for other in others)


# ------------------------------------------------------------------------------------------------- What is booked of it


def a_charge(account, tpp, **told):
    return ChargeDue("nveu", account, "IN", "2026-Q1", "posted", tpp, **told)


def test_the_difference_is_booked_account_by_account():
    before, after = (
        [a_charge("a", 5), a_charge("b", 7), a_charge("c", 1)],
        [a_charge("b", 9), a_charge("c", 1), a_charge("d", 2)],
    )

    assert difference(before, after) == [a_charge("a", -5), a_charge("b", 2), a_charge("d", 2)]
    assert difference(after, after) == []


def test_an_account_in_whose_period_something_ships_only_now_is_looked_at():
    carried, own = a_charge("a", 5, carried=True), a_charge("a", 5)

    assert difference([carried], [own]) == [a_charge("a", 0)]
    assert difference([own], [carried]) == []
