"""Channels and their meters: what is debited where, by which limit, and what is held until more is told."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.policy_document import CHANNELS
from ledger.rules.assess import assess
from ledger.rules.foresee import foreseen_alerts
from ledger.rules.parties import normalised
from tests.builders import a_line, a_shipment, booked, described, noticed, on

DIFFUSION = load_policy("diffusion-2025")
POLICIES = {name: load_policy(name) for name in ("annual-50k", "december-2024", "diffusion-2025")}
H100 = 15_832
AT = datetime(2026, 3, 2, tzinfo=UTC)
CLOUD = {"name": "Example Cloud Pvt. Ltd.", "country": "IN", "headquarters": "IN"}
GROUP = {"name": "The Example Group, Inc.", "country": "IN"}


def under(kind, *, holdings=None, consignee=CLOUD, **told):
    return {"authorization": {"kind": kind, "holdings_tpp": holdings}, "consignee": consignee, **told}


@pytest.mark.parametrize(
    ("policy", "debiting"),
    [
        ("annual-50k", set(CHANNELS) - {"nveu", "uveu"}),
        ("december-2024", set(CHANNELS)),
        ("diffusion-2025", {"license", "none"}),
    ],
)
def test_which_channels_debit_the_country(policy, debiting):
    found = {
        kind
        for kind in CHANNELS
        for account, _ in booked(POLICIES[policy], **under(kind, holdings=10**12))
        if account == "country:IN"
    }

    assert found == debiting


@pytest.mark.parametrize("stated", [None, {}, {"kind": None}, {"kind": "license"}])
def test_without_a_channel_it_is_a_licence(stated):
    assert booked(DIFFUSION, authorization=stated) == {("country:IN", "2025-2027"): 64 * H100}


@pytest.mark.parametrize("policy", ["annual-50k", "december-2024"])
@pytest.mark.parametrize("kind", ["lpp", "nveu", "uveu"])
def test_policies_without_meters_have_no_accounts_of_their_own(policy, kind):
    assert {account for account, _ in booked(POLICIES[policy], **under(kind))} <= {"country:IN"}
    assert "lpp.notice" not in noticed(POLICIES[policy], **under(kind, quantity=1_000))


@pytest.mark.parametrize(
    ("consignee", "account"),
    [
        (CLOUD, "lpp:example cloud:IN"),
        ({**CLOUD, "id": " lei:1 "}, "lpp:lei:1"),
        ({**CLOUD, "ultimate_parent": GROUP}, "lpp:example group:IN"),
        ({**CLOUD, "ultimate_parent": {**GROUP, "id": "lei:2"}}, "lpp:lei:2"),
        ({**CLOUD, "id": "lei:1", "ultimate_parent": {"country": "IN"}}, "lpp:lei:1"),
    ],
)
def test_lpp_counts_by_ultimate_parent_and_calendar_year(consignee, account):
    assert booked(DIFFUSION, **under("lpp", consignee=consignee)) == {(account, "2026"): 64 * H100}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Example Group", "EXAMPLE GROUP, INC."),
        ("Example Group", "The Example Group Pvt. Ltd."),
        ("Example S.A.", "example"),
        ("Acme (Asia) Sdn. Bhd.", "ACME ASIA"),
        ("Core42", "Core42 FZ-LLC"),
    ],
)
def test_names_are_compared_without_case_signs_and_legal_form(one, other):
    assert normalised(one) == normalised(other)


def test_a_name_that_is_only_a_legal_form_stays_and_others_differ():
    assert normalised("Co") == "co"
    assert normalised("Example Group") != normalised("Example Cloud")


@pytest.mark.parametrize("kind", ["lpp", "nveu", "uveu"])
@pytest.mark.parametrize("consignee", [None, {"headquarters": "IN"}, {"name": " , ", "headquarters": "IN"}])
def test_a_meter_without_a_company_holds_the_lines_that_it_would_book(kind, consignee):
    lines = [a_line("A40", 1), a_line()]
    assessment = assess(a_shipment(lines=lines, **under(kind, holdings=10**9, consignee=consignee)), DIFFUSION)

    assert assessment.charges == []
    assert [number for number, _ in assessment.held] == [1]
    assert "state the consignee's id, or its name" in assessment.held[0][1]


@pytest.mark.parametrize(("tpp", "told"), [(3_199_999, False), (3_200_000, True)])
def test_a_large_shipment_under_lpp_is_to_be_notified_first(tpp, told):
    lines = [{"quantity": 1, "tpp_each": tpp}]
    notices = noticed(DIFFUSION, lines=lines, **under("lpp"))

    assert ("lpp.notice" in notices) is told
    assert "lpp.notice" not in noticed(DIFFUSION, lines=lines, **under("license"))
    if told:
        assert notices["lpp.notice"].severity == "info"
        assert notices["lpp.notice"].evidence["source"].startswith("90 FR 4544 §740.29")


def test_nveu_counts_a_company_in_a_country_in_this_quarter_and_every_later_one():
    assessment = assess(a_shipment(shipped_at=on("2027-03-31"), **under("nveu")), DIFFUSION)

    assert [(due.account, due.period, due.tpp, due.carried) for due in assessment.charges] == [
        ("nveu:example cloud:IN:IN", "2027-Q1", 64 * H100, False),
        ("nveu:example cloud:IN:IN", "2027-Q2", 64 * H100, True),
        ("nveu:example cloud:IN:IN", "2027-Q3", 64 * H100, True),
        ("nveu:example cloud:IN:IN", "2027-Q4", 64 * H100, True),
    ]


def test_a_decision_shows_the_nveu_quarter_of_the_shipment_alone():
    event = a_shipment(shipped_at=on("2026-03-31"), **under("nveu"))
    balances = {("nveu:example cloud:IN:IN", "2026-Q1"): (1_899_000_000 - 64 * H100 + 1, 0)}
    decision = described(event, DIFFUSION, balances=balances)

    assert [(c.kind, c.period, c.cap_tpp, c.status) for c in decision.charges] == [
        ("nveu", "2026-Q1", 1_899_000_000, "exceeded")
    ]
    assert decision.fits is False
    assert "It counts in every later quarter too." in decision.receipt


HOLDINGS = 1_000_003
UVEU = {
    ("IN", "IN"): {"IN": 70_000, "outside-tier1": 250_000},
    ("IN", "US"): {"IN": 70_000, "outside-tier1": 250_000, "outside-us": 500_001},
    ("IN", "PR"): {"IN": 70_000, "outside-tier1": 250_000, "outside-us": 500_001},
    ("DE", "US"): {"outside-us": 500_001},
    ("DE", "DE"): {},
    ("US", "US"): {},
    ("PR", "US"): {},
}


@pytest.mark.parametrize(("destination", "seat"), UVEU)
def test_uveu_has_three_accounts_where_each_applies(destination, seat):
    consignee = {"name": "Sub", "headquarters": "DE", "ultimate_parent": {"id": "lei:9", "country": seat}}
    event = a_shipment(destination=destination, **under("uveu", holdings=HOLDINGS, consignee=consignee))
    assessment = assess(event, DIFFUSION)

    assert {due.account: due.cap_tpp for due in assessment.charges} == {
        f"uveu:lei:9:{where}": cap for where, cap in UVEU[destination, seat].items()
    }
    assert {(due.period, due.tpp) for due in assessment.charges} <= {("total", 64 * H100)}
    assert assessment.held == []


def test_unknown_holdings_are_held_where_a_share_applies_and_nowhere_else():
    outside = assess(a_shipment(**under("uveu")), DIFFUSION)
    inside = assess(a_shipment(destination="DE", **under("uveu")), DIFFUSION)

    assert (outside.charges, [number for number, _ in outside.held]) == ([], [0])
    assert "state authorization.holdings_tpp" in outside.held[0][1]
    assert (inside.charges, inside.held) == ([], [])


@pytest.mark.parametrize(
    ("kind", "holdings", "used", "told"),
    [
        ("lpp", None, 26_900_000 * 9 // 10 - 1, []),
        ("lpp", None, 26_900_000 * 9 // 10, [("lpp.near_limit", "warning", 90)]),
        ("lpp", None, 26_900_000, [("lpp.near_limit", "warning", 90)]),
        ("lpp", None, 26_900_001, [("lpp.near_limit", "warning", 90), ("lpp.exceeded", "critical", 100)]),
        ("nveu", None, 1_899_000_000, []),
        ("nveu", None, 1_899_000_001, [("nveu.exceeded", "critical", 100)]),
        ("uveu", 100 * H100, 7 * H100, []),
        ("uveu", 100 * H100, 7 * H100 + 1, [("uveu.exceeded", "critical", 100)]),
    ],
)
def test_each_meter_tells_of_its_own_levels(kind, holdings, used, told):
    event = a_shipment(quantity=1, **under(kind, holdings=holdings))
    assessment = assess(event, DIFFUSION)
    first = assessment.charges[0]
    standing = {(first.account, first.period): (used - H100, 0, {})}
    told_of = {"standing": standing, "at": AT, "tier": 2, "measured_since": lambda *_: DIFFUSION.sha256}
    alerts = foreseen_alerts(event, assessment, assessment.charges, DIFFUSION, **told_of)

    assert [(a.kind, a.severity, a.level) for a in alerts if a.account == first.account and a.level] == told
    for alert in alerts:
        if alert.kind == f"{kind}.exceeded":
            assert alert.incident_key == f"{kind}/{first.account}/{first.period}"
            assert alert.message.endswith("This shipment needed a licence.")


def test_outside_the_policys_period_there_is_no_account_and_alerts_are_told():
    for kind in CHANNELS:
        event = a_shipment(shipped_at=on("2028-01-01"), destination="CN", quantity=300, **under(kind, holdings=10**9))
        assessment = assess(event, DIFFUSION)

        assert (assessment.charges, assessment.held) == ([], [])
        assert "tier3.shipment" in {notice.kind for notice in assessment.notices}


@given(
    st.lists(st.integers(1, 5_000), min_size=1, max_size=8),
    st.sampled_from(CHANNELS),
    st.sampled_from(["IN", "DE", "CN"]),
)
def test_splitting_a_shipment_never_changes_what_any_account_is_charged(quantities, kind, destination):
    told = under(kind, holdings=10**12, destination=destination)
    apart = {}
    for quantity in quantities:
        for account, tpp in booked(DIFFUSION, quantity=quantity, **told).items():
            apart[account] = apart.get(account, 0) + tpp

    assert booked(DIFFUSION, quantity=sum(quantities), **told) == apart
