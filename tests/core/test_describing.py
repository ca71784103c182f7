"""A decision in words: balances before and after, status, and a receipt that a person understands."""

from datetime import UTC, datetime

import pytest

from ledger.policy import load_policy
from ledger.rules.describe import status_of
from tests.builders import a_line, a_shipment, described, on

POLICY = load_policy("annual-50k")
CAP = 791_600_000
H100 = 15_832
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def decision(*, used=0, outcome=None, **told):
    return described(a_shipment(**told), POLICY, used=used, outcome=outcome, recorded_at=AT)


@pytest.mark.parametrize(
    ("tier", "cap", "used", "status"),
    [
        (3, 0, 0, "prohibited"),
        (3, 0, 5, "prohibited"),
        (1, None, 10**12, "unlimited"),
        (2, None, 5, "unlimited"),
        (2, 1000, 0, "open"),
        (2, 1000, 749, "open"),
        (2, 1000, 750, "near_cap"),
        (2, 1000, 999, "near_cap"),
        (2, 1000, 1000, "exhausted"),
        (2, 1000, 1001, "exceeded"),
        (2, 1001, 750, "open"),
        (2, 1001, 751, "near_cap"),
        (2, 0, 0, "exhausted"),
        (2, 1000, -5, "open"),
    ],
)
def test_a_status_is_the_first_word_that_fits(tier, cap, used, status):
    assert status_of(tier, cap, used, (75, 90, 100)) == status


def test_a_charge_tells_the_balance_before_and_after():
    (charge,) = decision(used=1_000_000, outcome="applied").charges

    assert charge.tpp == charge.after_tpp - charge.before_tpp == 64 * H100
    assert (charge.before_tpp, charge.cap_tpp, charge.status) == (1_000_000, CAP, "open")


@pytest.mark.parametrize(
    ("used", "status", "fits"),
    [
        (CAP - 64 * H100, "exhausted", True),
        (CAP - 64 * H100 + 1, "exceeded", False),
        (CAP - 64 * H100 - 1, "near_cap", True),
    ],
)
def test_it_fits_up_to_the_cap_and_not_one_tpp_past_it(used, status, fits):
    answer = decision(used=used)

    assert (answer.charges[0].status, answer.fits) == (status, fits)


@pytest.mark.parametrize(
    ("told", "fits"),
    [
        ({}, True),
        ({"destination": "DE", "quantity": 10**9}, True),
        ({"destination": "CN"}, False),
        ({"consignee": {"headquarters": "CN"}}, False),
        ({"lines": [a_line(), a_line("Thinker 9000")]}, None),
        ({"destination": "CN", "lines": [a_line("Thinker 9000")]}, False),
        ({"quantity": 50_001, "lines": None}, False),
        ({"lines": [a_line(quantity=50_001), a_line("Thinker 9000")]}, False),
        ({"model": "H20"}, True),
    ],
)
def test_fits_is_false_when_prohibited_or_past_a_limit_and_open_while_something_is_held(told, fits):
    assert decision(**told).fits is fits


def test_a_decision_names_policy_regime_event_and_lines():
    answer = decision(outcome="applied", lines=[a_line("A40", 2), a_line("Thinker 9000")])

    assert (answer.event_key, answer.outcome, answer.recorded_at) == ("/tests#evt-1", "applied", AT)
    assert (answer.policy_id, answer.policy_sha256) == ("annual-50k", POLICY.sha256)
    assert answer.regime is not None
    assert answer.regime.status == "in_force"
    assert answer.event_sha256 == a_shipment(lines=[a_line("A40", 2), a_line("Thinker 9000")]).content_sha256()
    assert [(line.part, line.tpp_each, line.tpp, line.eccn, line.evidence) for line in answer.lines] == [
        ("NVIDIA A40", 2_395, 4_790, "3A090.b", "dataset"),
        ("NVIDIA Thinker 9000", None, None, None, "unknown"),
    ]
    assert [(held.line, held.reason) for held in answer.held] == [(1, "NVIDIA Thinker 9000 is not in the catalogue")]


def test_the_receipt_reads_as_sentences():
    receipt = decision(used=CAP * 9 // 10, destination="IN", shipment_id="S-1001").receipt

    assert receipt == [
        f"S-1001 goes to India on 2026-03-01: Tier 2, {POLICY.countries['IN'].basis}.",
        "Line 1: 64 x NVIDIA H100 SXM at 15,832 TPP (evidence dataset) are 1,013,248 TPP, 3A090.a, booked.",
        "India 2026: 712,440,000 + 1,013,248 = 713,453,248 TPP, 90.1% of 791,600,000: near the cap.",
    ]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"destination": "CN"}, "Prohibited: the destination or the buyer's headquarters is in Tier 3."),
        ({"model": "H20"}, "Nothing is booked."),
        ({"type": "compute.used"}, "Use is noted and never booked."),
        (
            {"model": "Thinker 9000"},
            "Line 1: NVIDIA Thinker 9000 is held, NVIDIA Thinker 9000 is not in the catalogue.",
        ),
        ({"lines": [{"quantity": 1, "eccn": "4E091", "model": "M"}]}, "Line 1: M has no TPP that counts."),
        ({"destination": "DE"}, "Germany 2026: 0 + 1,013,248 = 1,013,248 TPP: there is no cap."),
        ({"vendor": "Huawei", "model": "Ascend 910B"}, "Nothing is booked."),
    ],
)
def test_the_receipt_says_what_is_out_of_the_ordinary(told, sentence):
    assert sentence in decision(**told).receipt


def test_cambodias_one_account_is_told_by_the_tier_of_the_shipments_day():
    last, first = (decision(destination="KH", shipped_at=on(day)) for day in ("2026-02-02", "2026-02-03"))

    assert last.charges[0].account == first.charges[0].account == "country:KH"
    assert (last.charges[0].cap_tpp, last.charges[0].status, last.fits) == (0, "prohibited", False)
    assert (first.charges[0].cap_tpp, first.charges[0].status, first.fits) == (CAP, "open", True)
