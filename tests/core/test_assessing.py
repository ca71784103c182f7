"""Judging one event: the tier, what is booked, held and refused, and what is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.rules.assess import assess
from ledger.rules.license import license_required
from ledger.rules.reasons import rules_that_spoke
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import TPP_MAX
from tests.builders import a_line, a_shipment, booked, noticed, on

POLICY = load_policy("annual-50k")
H100 = 15_832


def test_a_shipment_to_tier_2_is_booked_on_its_destination_in_the_year_it_left():
    assessment = assess(a_shipment(destination="IN", quantity=64), POLICY)

    assert (assessment.tier, license_required(assessment)[0], assessment.noted) == (2, None, False)
    assert [(due.kind, due.account, due.country, due.period, due.state, due.tpp) for due in assessment.charges] == [
        ("country", "country:IN", "IN", "2026", "posted", 64 * H100)
    ]
    assert assessment.notices == []


@pytest.mark.parametrize(
    ("shipped_at", "period"),
    [
        ("2025-12-31T23:59:59Z", "2025"),
        ("2026-01-01T00:00:00Z", "2026"),
        ("2025-12-31T23:30:00-01:00", "2026"),  # half past midnight, UTC
        ("2026-01-01T00:30:00+01:00", "2025"),
    ],
)
def test_the_year_is_that_of_the_shipment_in_utc(shipped_at, period):
    assert booked(POLICY, shipped_at=shipped_at) == {("country:IN", period): 64 * H100}


@pytest.mark.parametrize(
    ("destination", "tier", "required"), [("DE", 1, None), ("PR", 1, None), ("CN", 3, True), ("MO", 3, True)]
)
def test_tiers_1_and_3_are_booked_too(destination, tier, required):
    assessment = assess(a_shipment(destination=destination), POLICY)

    assert (assessment.tier, license_required(assessment)[0]) == (tier, required)
    assert [due.account for due in assessment.charges] == [f"country:{destination}"]


@pytest.mark.parametrize(
    ("destination", "day", "tier"),
    [
        ("HK", "2020-12-22", 2),
        ("HK", "2020-12-23", 3),
        ("KH", "2026-02-02", 3),
        ("KH", "2026-02-03", 2),
    ],
)
def test_a_shipment_to_tier_3_is_told_from_the_day_the_country_is_in_it(destination, day, tier):
    notices = noticed(POLICY, destination=destination, shipped_at=on(day))

    assert assess(a_shipment(destination=destination, shipped_at=on(day)), POLICY).tier == tier
    assert ("tier3.shipment" in notices) == (tier == 3)
    if tier == 3:
        assert notices["tier3.shipment"].severity == "critical"
        assert notices["tier3.shipment"].evidence["destination"] == destination


@pytest.mark.parametrize("owner", [{"headquarters": "CN"}, {"ultimate_parent": {"country": "MO"}}])
@pytest.mark.parametrize("destination", ["IN", "DE", "US"])
def test_a_buyer_headquartered_in_tier_3_is_tier_3_wherever_the_goods_go(owner, destination):
    assessment = assess(a_shipment(destination=destination, consignee={"name": "X", **owner}), POLICY)

    assert (assessment.tier, license_required(assessment)[0]) == (3, True)
    assert "headquartered in" in assessment.tier_reason
    assert ("hq.tier3", "critical") in [(notice.kind, notice.severity) for notice in assessment.notices]
    assert [due.account for due in assessment.charges] == [f"country:{destination}"]


@pytest.mark.parametrize(
    ("headquarters", "day", "told"),
    [
        ("CN", "2023-11-16", False),
        ("CN", "2023-11-17", True),
        ("HK", "2023-11-17", True),
        ("KH", "2026-02-02", True),
        ("KH", "2026-02-03", False),
        ("SG", "2026-03-01", False),
        ("US", "2026-03-01", False),
    ],
)
def test_the_headquarters_rule_begins_on_its_day_and_asks_the_tier_of_that_day(headquarters, day, told):
    event = a_shipment(shipped_at=on(day), consignee={"name": "X", "headquarters": headquarters})

    assert [notice.kind for notice in assess(event, POLICY).notices] == ["hq.tier3"] * told


def test_where_a_consignee_is_located_is_not_its_headquarters():
    assert "hq.tier3" not in noticed(POLICY, consignee={"name": "X", "country": "CN"})


@pytest.mark.parametrize(
    ("line", "tpp", "eccn"),
    [
        (a_line("H100 SXM", 2), 31_664, "3A090.a"),
        (a_line("L4", 2), 3_872, "3A090.a"),
        (a_line("A40", 2), 0, "3A090.b"),
        (a_line("H20", 2), 0, None),
        (a_line("GeForce RTX 4080", 2), 0, None),
        (a_line("GeForce RTX 4090", 2), 10_570, "3A090.a"),
        (a_line("GB200 NVL72", 2), 5_760_000, "4A090.a"),
        (a_line("TPU v4", 2, "Google"), 8_800, "undetermined"),
        (a_line("Ascend 910B", 2, "Huawei"), 0, "3A090.a"),
        (a_line("BR100", 2, "Biren"), 0, "3A090.a"),
        ({"quantity": 2, "tpp_each": 4_800}, 9_600, "3A090.a"),
        ({"quantity": 2, "tpp_each": 4_799}, 9_598, "undetermined"),
        ({"quantity": 2, "tpp_each": 1_600}, 3_200, "undetermined"),
        ({"quantity": 2, "tpp_each": 1_599}, 0, None),
        ({"quantity": 2, "tpp_each": 6_016, "vendor": "Huawei"}, 0, "3A090.a"),
    ],
)
def test_what_meets_level_a_is_booked_and_all_else_only_shown(line, tpp, eccn):
    assessment = assess(a_shipment(lines=[line]), POLICY)

    assert sum(due.tpp for due in assessment.charges) == tpp
    assert assessment.lines[0].eccn == eccn
    assert assessment.lines[0].tpp > 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (a_line("Thinker 9000"), "is not in the catalogue"),
        (a_line("Thinker 9000", tpp_each=5_000), "is not in the catalogue"),
        (a_line("MI308X", vendor="AMD"), "no TPP of AMD Instinct MI308X is known"),
        (a_line("MI308X", vendor="AMD", tpp_each=5_000), "no TPP of AMD Instinct MI308X is known"),
        (a_line("A10", vendor=None), "is not in the catalogue"),
        (a_line("Ascend 910D", vendor="Huawei"), "no TPP of Huawei Ascend 910D is known"),
    ],
)
def test_a_part_nobody_can_count_is_held_and_the_other_lines_are_booked(line, reason):
    event = a_shipment(lines=[line, a_line(quantity=3)])
    assessment = assess(event, POLICY)
    notice = next(notice for notice in assessment.notices if notice.kind == "part.unknown")

    assert [(number, reason in text) for number, text in assessment.held] == [(0, True)]
    assert [due.tpp for due in assessment.charges] == [3 * H100]
    assert assessment.lines[0].tpp is None
    assert notice.severity == "warning"
    assert [found["line"] for found in notice.evidence["lines"]] == [0]


@pytest.mark.parametrize(("stated", "counted"), [(15_831, H100), (15_833, 15_833), (1, H100), (20_000, 20_000)])
def test_a_stated_tpp_that_differs_is_told_and_the_larger_counts(stated, counted):
    line = a_line(quantity=2, tpp_each=stated)

    assert booked(POLICY, lines=[line]) == {("country:IN", "2026"): 2 * counted}
    notice = noticed(POLICY, lines=[line])["tpp.mismatch"]
    assert notice.severity == "warning"
    assert notice.evidence["lines"] == [
        {"line": 0, "part": "NVIDIA H100 SXM", "stated_tpp_each": stated, "catalogue_tpp": H100}
    ]


def test_a_stated_tpp_that_agrees_is_not_told():
    assert noticed(POLICY, lines=[a_line(tpp_each=H100), a_line("A40", tpp_each=2_395)]) == {}


def test_a_stated_tpp_above_the_catalogues_lifts_the_class_too():
    assert booked(POLICY, lines=[a_line("H20", 1, tpp_each=5_000)]) == {("country:IN", "2026"): 5_000}
    assert booked(POLICY, lines=[a_line("H20", 1, tpp_each=2_000)]) == {}


def test_model_weights_have_no_tpp_and_are_neither_booked_nor_held():
    assessment = assess(a_shipment(lines=[{"quantity": 1, "eccn": " 4e091 ", "description": "weights"}]), POLICY)

    assert (assessment.charges, assessment.held) == ([], [])
    assert (assessment.lines[0].tpp, assessment.lines[0].eccn) == (None, "4E091")


def test_use_is_noted_and_never_booked_but_told_of():
    event = a_shipment(type="compute.used", destination="CN", lines=[a_line(), a_line("Ascend 910B", 1, "Huawei")])
    assessment = assess(event, POLICY)

    assert (assessment.noted, assessment.charges, assessment.held) == (True, [], [])
    assert {notice.kind for notice in assessment.notices} == {"tier3.shipment", "ascend.detected"}
    assert assess(a_shipment(type="compute.used", model="Thinker 9000"), POLICY).held == []


PLACES = {
    "data.destination": {"destination": "UK"},
    "data.origin": {"origin": "UK"},
    "data.exporter.country": {"exporter": {"country": "UK"}},
    "data.consignee.country": {"consignee": {"country": "UK"}},
    "data.consignee.headquarters": {"consignee": {"headquarters": "UK"}},
    "data.consignee.ultimate_parent.country": {"consignee": {"ultimate_parent": {"country": "UK"}}},
    "data.bill_to.country": {"bill_to": {"country": "UK"}},
    "data.end_use.model_developer_country": {"end_use": {"model_developer_country": "UK"}},
}


@pytest.mark.parametrize("field", PLACES)
def test_a_code_that_is_no_country_is_refused_wherever_it_stands_with_a_hint(field):
    with pytest.raises(RejectedRecord) as refusal:
        assess(a_shipment(**PLACES[field]), POLICY)

    assert [(error.reason, error.field) for error in refusal.value.errors] == [("unknown_country", field)]
    assert "did you mean GB (United Kingdom)?" in refusal.value.detail


def test_every_wrong_country_is_named_at_once():
    with pytest.raises(RejectedRecord) as refusal:
        assess(a_shipment(destination="India", origin="us", bill_to={"country": "XX"}), POLICY)

    assert [error.field for error in refusal.value.errors] == [
        "data.destination",
        "data.origin",
        "data.bill_to.country",
    ]


@pytest.mark.parametrize("code", ["in", "ＩＮ", "IN ", "IND", "", "XX", "EU"])  # noqa: RUF001
def test_only_the_tables_own_codes_are_countries(code):
    with pytest.raises(RejectedRecord, match="is no country code"):
        assess(a_shipment(destination=code), POLICY)


def test_amounts_beyond_what_is_held_exactly_are_refused_by_line_and_by_sum():
    each = TPP_MAX // H100

    assert booked(POLICY, quantity=each) == {("country:IN", "2026"): each * H100}
    with pytest.raises(RejectedRecord) as by_line:
        assess(a_shipment(lines=[a_line(quantity=1), a_line(quantity=each + 1)]), POLICY)
    with pytest.raises(RejectedRecord) as by_sum:
        assess(a_shipment(lines=[a_line(quantity=each), a_line(quantity=1)]), POLICY)

    assert [(e.reason, e.field) for e in by_line.value.errors] == [("number_out_of_range", "data.lines.1.quantity")]
    assert [(e.reason, e.field) for e in by_sum.value.errors] == [("number_out_of_range", "data.lines")]


def test_everything_that_spoke_names_its_source():
    event = a_shipment(consignee={"headquarters": "CN"}, lines=[a_line(), a_line("Ascend 910B", 1, "Huawei")])

    for rule, source in rules_that_spoke(assess(event, POLICY)):
        assert rule
        assert source.endswith("]"), source


def test_alerts_stay_small_however_many_lines_a_shipment_has():
    lines = [a_line("x" * 200, 1, description="Ascend") for _ in range(200)]

    for notice in noticed(POLICY, lines=lines).values():
        assert len(str(notice)) < 10_000


QUANTITIES = st.lists(st.integers(1, 10_000), min_size=1, max_size=12)
PART_LINES = st.lists(
    st.tuples(
        st.sampled_from([(part.vendor, part.names[0]) for part in POLICY.catalogue.parts]), st.integers(1, 5_000)
    ),
    min_size=1,
    max_size=6,
)


@given(QUANTITIES, st.sampled_from(["IN", "DE", "CN", "KH"]))
def test_splitting_a_shipment_never_changes_the_sum(quantities, destination):
    whole = booked(POLICY, destination=destination, quantity=sum(quantities))
    apart = sum(
        tpp
        for number, quantity in enumerate(quantities)
        for tpp in booked(POLICY, destination=destination, id=f"evt-{number}", quantity=quantity).values()
    )
    in_lines = booked(POLICY, destination=destination, lines=[a_line(quantity=quantity) for quantity in quantities])

    assert sum(whole.values()) == apart
    assert whole == in_lines


@given(PART_LINES)
def test_the_sum_is_that_of_the_lines_in_any_order(chosen):
    lines = [a_line(model, quantity, vendor) for (vendor, model), quantity in chosen]
    there, back = assess(a_shipment(lines=lines), POLICY), assess(a_shipment(lines=lines[::-1]), POLICY)

    assert sum(due.tpp for due in there.charges) == sum(line.tpp or 0 for line in there.lines if line.booked)
    assert there.charges == back.charges
    assert all(
        line.tpp is None or line.tpp == line.tpp_each * q for line, (_, q) in zip(there.lines, chosen, strict=True)
    )


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=60))
def test_no_text_upsets_the_judgement(model, vendor, description):
    event = a_shipment(lines=[a_line()])
    event.data["lines"][0].update(model=model or "x", vendor=vendor, description=description)

    assessment = assess(event, POLICY)

    assert len(assessment.lines) == 1
    assert bool(assessment.held) == (assessment.lines[0].tpp is None)
