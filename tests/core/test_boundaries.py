"""Dates decide: each answer changes on its own day, and on no other."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.policy_diff import difference
from ledger.rules.assess import assess
from ledger.rules.channels import limits_of
from ledger.rules.license import license_required
from tests.builders import a_line, a_shipment, on

IDS = ["annual-50k", "diffusion-2025", "december-2024", "allies-tier1", "allies-tier1-long"]
POLICIES = {name: load_policy(name) for name in IDS}

NVEU_QUARTERS = {date(year, month, 1) for year in (2025, 2026) for month in (1, 4, 7, 10)} | {date(2027, 1, 1)}
SHIPMENTS = {
    "hong kong": {"destination": "HK"},
    "cambodia": {"destination": "KH"},
    "plain": {"destination": "IN"},
    "headquarters": {"destination": "DE", "consignee": {"name": "X", "headquarters": "CN"}},
    "cambodian headquarters": {"destination": "DE", "consignee": {"name": "X", "headquarters": "KH"}},
    "ascend": {"destination": "MY", "lines": [a_line("Ascend 910B", 1, "Huawei")]},
    "forwarder": {"destination": "IN", "consignee": {"headquarters": "IN", "role": "freight_forwarder"}},
    "chinese model": {"destination": "IN", "end_use": {"purpose": "training", "model_developer_country": "CN"}},
    "chinese chip": {"destination": "IN", "lines": [a_line("BR100", 1, "Biren")]},
    "emirates": {"destination": "AE"},
    "g42": {"destination": "AE", "consignee": {"name": "G42", "headquarters": "AE"}},
    "nveu": {"destination": "IN", "authorization": {"kind": "nveu"}, "consignee": {"id": "x", "headquarters": "IN"}},
    "weights": {"destination": "IN", "lines": [{"quantity": 1, "eccn": "4E091"}]},
}


def answer(policy, name, day):
    """All that a policy answers of a shipment on a day, but for the name of its period."""
    assessment = assess(a_shipment(shipped_at=on(day), **SHIPMENTS[name]), policy)
    regime = policy.regime_on(day)
    return (
        assessment.tier,
        license_required(assessment)[0],
        [(due.kind, due.account, _cap(policy, due, day)) for due in assessment.charges if not due.carried],
        sorted((notice.kind, notice.severity, notice.evidence.get("basis")) for notice in assessment.notices),
        regime and regime.status,
    )


def _cap(policy, due, day):
    return policy.cap_on(due.country, day) if due.kind == "country" else limits_of(policy, due, day).cap_tpp


def in_period(policy, name, day):
    """The same with the periods that are charged."""
    charges = assess(a_shipment(shipped_at=on(day), **SHIPMENTS[name]), policy).charges
    return answer(policy, name, day), [due.period for due in charges if not due.carried]


BOUNDARIES = [
    ("annual-50k", "hong kong", "2020-12-23"),
    ("annual-50k", "headquarters", "2023-11-17"),
    ("diffusion-2025", "plain", "2025-01-13"),
    ("annual-50k", "ascend", "2025-05-13"),
    ("annual-50k", "ascend", "2025-05-20"),
    ("annual-50k", "forwarder", "2025-05-13"),
    ("annual-50k", "chinese model", "2025-05-13"),
    ("annual-50k", "chinese chip", "2025-05-13"),
    ("diffusion-2025", "plain", "2025-05-13"),
    ("annual-50k", "cambodia", "2026-02-03"),
    ("annual-50k", "cambodian headquarters", "2026-02-03"),
    ("december-2024", "g42", "2026-07-10"),
    ("december-2024", "g42", "2027-04-07"),
]


@pytest.mark.parametrize(("policy", "name", "day"), BOUNDARIES)
def test_an_answer_changes_exactly_on_its_day(policy, name, day):
    day = date.fromisoformat(day)
    before, of, after = (answer(POLICIES[policy], name, day + timedelta(days=n)) for n in (-1, 0, 1))

    assert before != of == after


@pytest.mark.parametrize("year", [2020, 2025, 2026, 2027, 2030])
def test_each_1_january_begins_another_year(year):
    before, of = (in_period(POLICIES["annual-50k"], "plain", day) for day in (date(year - 1, 12, 31), date(year, 1, 1)))

    assert (before[1], of[1]) == ([str(year - 1)], [str(year)])


@pytest.mark.parametrize("day", sorted(NVEU_QUARTERS))
def test_each_quarter_with_a_changed_table_has_its_own_limit(day):
    before, of = (answer(POLICIES["diffusion-2025"], "nveu", day - timedelta(days=n)) for n in (1, 0))

    assert before[2] != of[2]


CHANGES = {
    "hong kong": {date(2020, 12, 23)},
    "cambodia": {date(2026, 2, 3)},
    "headquarters": {date(2023, 11, 17)},
    "cambodian headquarters": {date(2023, 11, 17), date(2026, 2, 3)},
    "ascend": {date(2025, 5, 13), date(2025, 5, 20)},
    "forwarder": {date(2025, 5, 13)},
    "chinese model": {date(2025, 5, 13)},
    "chinese chip": {date(2025, 5, 13)},
    "emirates": set(),
    "plain": set(),
    "weights": set(),
    "g42": set(),
    "nveu": set(),
}
"""The days on which the default's answers change, period apart."""

OF_POLICY = {
    "annual-50k": {},
    "allies-tier1": {},
    "allies-tier1-long": {},
    "december-2024": {"g42": {date(2026, 7, 10), date(2027, 4, 7)}},
    "diffusion-2025": {"nveu": NVEU_QUARTERS},
}
EVERYWHERE = {
    "diffusion-2025": {date(2025, 1, 1), date(2025, 1, 13), date(2025, 5, 13), date(2028, 1, 1)},
}


def may_change(policy, name):
    return CHANGES[name] | OF_POLICY[policy].get(name, set()) | EVERYWHERE.get(policy, set())


DAYS = st.dates(date(2019, 1, 2), date(2029, 12, 31))
CHANGING = sorted({day for name in SHIPMENTS for policy in IDS for day in may_change(policy, name)})
NEAR = st.builds(lambda day, n: day + timedelta(days=n), st.sampled_from(CHANGING), st.integers(-3, 3))


@given(st.sampled_from(IDS), st.sampled_from(sorted(SHIPMENTS)), DAYS | NEAR)
def test_no_answer_changes_on_any_other_day(policy, name, day):
    if day in may_change(policy, name):
        return

    assert answer(POLICIES[policy], name, day) == answer(POLICIES[policy], name, day - timedelta(days=1))


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("tier3", "hong kong"),
        ("headquarters", "headquarters"),
        ("tier2_headquarters", "cambodian headquarters"),
        ("prc_chip", "chinese chip"),
        ("end_use", "chinese model"),
        ("weights", "weights"),
        ("red_flags", "forwarder"),
    ],
)
def test_whatever_is_watched_for_is_watched_for_on_the_days_that_a_policy_states(tmp_path, section, name):
    path = tmp_path / "mine.toml"
    first_day, last_day = date(2026, 4, 2), date(2026, 4, 28)
    dates = f"valid_from = {first_day}\nvalid_to = {last_day}"
    path.write_text(f'extends = "diffusion-2025"\nid = "x"\ntitle = "X"\n[detection.{section}]\n{dates}\n')
    policy = load_policy(str(path))
    before, after = (answer(policy, name, day) for day in (first_day - timedelta(1), last_day + timedelta(1)))
    first, last = (answer(policy, name, day) for day in (first_day, last_day))

    assert before != first
    assert (first, before) == (last, after)


SOME_DAYS = "valid_from = 2026-04-02\nvalid_to = 2026-04-28\n"
AROUND = [date(2026, 4, 1), date(2026, 4, 2), date(2026, 4, 28), date(2026, 4, 29), date(2026, 6, 30), date(2026, 7, 1)]


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ("annual-50k", f'[[caps]]\ncountries = ["IN"]\ntpp = 5\nsource = "S1"\n{SOME_DAYS}'),
        ("annual-50k", f'[[tiers]]\ncountries = ["DE"]\ntier = 3\nreason = "so"\nsource = "S1"\n{SOME_DAYS}'),
        ("annual-50k", f"[detection.weights]\n{SOME_DAYS}"),
        ("annual-50k", f'[[detection.ascend.basis]]\nbasis = "risk"\nsource = "S1"\n{SOME_DAYS}'),
        ("annual-50k", '[channels]\ndebit_country = ["license", "nveu"]\n'),
        ("annual-50k", "[detection]\nprc_chip = false\n"),
        ("december-2024", f'[[regimes]]\nid = "x"\nstatus = "repealed"\nsource = "S1"\n{SOME_DAYS}'),
        ("december-2024", f'[[groups]]\ncountries = ["IN"]\ngroups = ["D:4"]\nsource = "S1"\n{SOME_DAYS}'),
        ("december-2024", f'[[license.named]]\ncountries = ["IN"]\nsource = "S1"\n{SOME_DAYS}'),
        ("december-2024", '[license]\nrule = "tier-3"\nsource = "S1"\n'),
        ("diffusion-2025", "[channels]\nnveu = false\n"),
        (
            "diffusion-2025",
            '[[channels.nveu.caps]]\nvalid_from = 2026-04-01\nvalid_to = 2026-06-30\ntpp = 1\nsource = "S1"\n',
        ),
    ],
)
def test_two_policies_are_said_to_differ_on_the_days_on_which_some_answer_differs_and_on_no_other(tmp_path, base, text):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "{base}"\nid = "mine"\ntitle = "Mine"\n{text}')
    one, other = POLICIES[base], load_policy(str(path))
    spans = [(item.valid_from or date.min, item.valid_to or date.max) for item in difference(one, other).items]
    told = {day for day in AROUND if any(first <= day <= last for first, last in spans)}

    assert told == {
        day for day in AROUND if any(answer(one, name, day) != answer(other, name, day) for name in SHIPMENTS)
    }
    assert told
