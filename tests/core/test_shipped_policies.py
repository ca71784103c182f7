"""The five policies that come with the product, what one takes over from another, and the periods they count by."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import WrongCall
from ledger.periods import CalendarYears, OneSpan, Quarters, periods_of_kind, quarters_from
from ledger.policy import load_policy, policy_from_document, shipped_policies

IDS = ["allies-tier1", "allies-tier1-long", "annual-50k", "december-2024", "diffusion-2025"]
POLICIES = {name: load_policy(name) for name in IDS}
DAY = date(2026, 3, 1)


def test_five_policies_are_shipped_each_under_its_own_id_and_digest():
    assert shipped_policies() == IDS
    assert [policy.id for policy in POLICIES.values()] == IDS
    assert len({policy.sha256 for policy in POLICIES.values()}) == len({p.title for p in POLICIES.values()}) == 5


@pytest.mark.parametrize("name", IDS)
def test_loading_is_deterministic_and_a_document_stands_alone(name):
    policy = POLICIES[name]
    back = policy_from_document(policy.document())

    assert load_policy(name).sha256 == policy.sha256 == back.sha256
    assert "extends" not in policy.document()["policy"]
    assert back.standing("IN", DAY) == policy.standing("IN", DAY)


@given(
    st.sampled_from(IDS),
    st.lists(st.tuples(st.sampled_from(["AE", "CH", "HK", "IN", "US", "VE"]), st.dates(date(2018, 1, 1))), min_size=1),
)
def test_what_is_remembered_of_one_day_never_answers_for_another(name, asked):
    policy = POLICIES[name]
    ends = [
        day
        for entry in (*policy.text.tiers, *policy.text.caps, *policy.text.groups)
        for day in (entry.valid_from, entry.valid_to)
    ]
    near = [day + timedelta(days=n) for day in ends if 1 < day.year < 9999 for n in (-1, 0, 1)]

    for country, day in asked + [(asked[0][0], day) for day in near]:
        assert policy.standing(country, day) == policy.work_out(country, day)


@pytest.mark.parametrize(
    ("name", "cap", "period"),
    [
        ("annual-50k", 791_600_000, "2026"),
        ("diffusion-2025", 790_000_000, "2025-2027"),
        ("december-2024", None, "2026"),
        ("allies-tier1", None, "2026"),
        ("allies-tier1-long", None, "2026"),
    ],
)
def test_what_india_may_use_in_which_period(name, cap, period):
    policy = POLICIES[name]

    assert (policy.cap_on("IN", DAY), policy.period_of(DAY)) == (cap, period)
    assert policy.account_cap("country:IN", period, date.max) == cap


def test_the_rule_as_published_counts_2025_to_2027_and_nothing_else():
    policy = POLICIES["diffusion-2025"]
    days = ["2024-12-31", "2025-01-01", "2027-12-31", "2028-01-01"]

    assert [policy.period_of(date.fromisoformat(day)) for day in days] == [None, "2025-2027", "2025-2027", None]
    assert policy.period_days("2025-2027") == (date(2025, 1, 1), date(2027, 12, 31))


@pytest.mark.parametrize(
    ("name", "day", "status", "since"),
    [
        ("diffusion-2025", "2025-01-12", None, None),
        ("diffusion-2025", "2025-01-13", "in_force", "2025-01-13"),
        ("diffusion-2025", "2025-05-12", "in_force", "2025-01-13"),
        ("diffusion-2025", "2025-05-13", "not_enforced", "2025-05-13"),
        ("december-2024", "2020-01-01", "in_force", None),
        ("december-2024", "2026-11-22", "in_force", None),
        ("allies-tier1", "2026-11-22", "in_force", None),
    ],
)
def test_the_regime_of_a_day(name, day, status, since):
    regime = POLICIES[name].regime_on(date.fromisoformat(day))

    assert (regime and regime.status, regime and regime.since) == (status, since)


LONG_FORM = {"CH", "PL", "GR", "SG", "IN", "ID", "IL", "AE", "SA"}


@pytest.mark.parametrize(
    ("name", "allies"),
    [
        ("allies-tier1", {"IN", "IL", "CH"}),
        ("allies-tier1-long", LONG_FORM),
    ],
)
def test_a_what_if_differs_from_the_default_in_its_allies_alone_on_all_days(name, allies):
    default, what_if = POLICIES["annual-50k"], POLICIES[name]

    for day in (date(2019, 1, 1), date(2025, 6, 1), date(2026, 7, 10), date(2030, 1, 1)):
        differing = {
            code for code in default.countries if default.tier_on(code, day)[0] != what_if.tier_on(code, day)[0]
        }
        assert differing == allies
        assert {what_if.tier_on(code, day)[0] for code in allies} == {1}
    assert what_if.channels == default.channels
    assert what_if.detection == default.detection


@pytest.mark.parametrize(
    ("country", "day", "has"),
    [
        ("HK", "2020-12-22", False),
        ("HK", "2020-12-23", True),
        ("KH", "2026-02-02", True),
        ("KH", "2026-02-03", False),
        ("CN", "2020-12-22", True),
    ],
)
def test_who_is_in_the_arms_embargo_group_on_a_day(country, day, has):
    assert ("D:5" in POLICIES["december-2024"].standing(country, date.fromisoformat(day)).groups) is has


def test_the_emirates_change_their_groups_on_10_july_2026():
    groups = [POLICIES["december-2024"].standing("AE", date(2026, 7, day)).groups for day in (9, 10)]

    assert groups == [frozenset({"B", "D:3", "D:4"}), frozenset({"A:5", "B"})]


NVEU = {
    "2025-Q1": 633_000_000, "2025-Q2": 949_500_000, "2025-Q3": 1_266_000_000, "2025-Q4": 1_582_500_000,
    "2026-Q1": 1_899_000_000, "2026-Q2": 2_690_250_000, "2026-Q3": 3_481_500_000, "2026-Q4": 4_272_750_000,
    "2027-Q1": 5_064_000_000, "2027-Q2": 5_064_000_000, "2027-Q3": 5_064_000_000, "2027-Q4": 5_064_000_000,
}  # fmt: skip


def test_the_meters_have_the_rules_own_limits():
    policy = POLICIES["diffusion-2025"]

    assert policy.account_cap("lpp:lei:1", "2026", date.max) == 26_900_000
    assert {quarter: policy.account_cap("nveu:lei:1:IN", quarter, date.max) for quarter in NVEU} == NVEU
    assert policy.nveu_quarters("2025-Q1") == tuple(NVEU)
    assert policy.nveu_quarters("2027-Q4") == ("2027-Q4",)
    assert POLICIES["annual-50k"].account_cap("lpp:lei:1", "2026", date.max) is None
    assert [policy.levels_of(kind) for kind in ("country", "lpp", "nveu", "uveu")] == [(75, 90, 100), (90,), (), ()]


def written(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


HEAD = 'extends = "annual-50k"\nid = "mine"\ntitle = "Mine"\n'


def test_a_policy_states_only_what_differs(tmp_path):
    mine = load_policy(written(tmp_path, HEAD + "levels = [50]\n[detection.ascend]\nclass_310 = false\n"))
    default = POLICIES["annual-50k"]

    assert (mine.levels, mine.detection.ascend.class_310) == ((50,), False)
    assert mine.detection.ascend.basis == default.detection.ascend.basis
    assert mine.standing("KH", DAY) == default.standing("KH", DAY)


def test_false_in_the_place_of_a_table_takes_it_away(tmp_path):
    mine = load_policy(written(tmp_path, HEAD + "[detection]\nred_flags = false\n"))

    assert mine.detection.red_flags is None
    assert mine.detection.ascend is not None


def test_a_policy_may_extend_a_file_beside_it(tmp_path):
    written(tmp_path, HEAD + "levels = [50]\n", "base.toml")
    mine = load_policy(written(tmp_path, 'extends = "base.toml"\nid = "two"\ntitle = "Two"\nperiod = "quarter"\n'))

    assert (mine.levels, mine.period_of(DAY), mine.cap_on("IN", DAY)) == ((50,), "2026-Q1", 791_600_000)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'extends = "anual-50k"\nid = "x"\n',
            r"mine\.toml: extends: there is no policy .*did you mean annual-50k",
        ),
        ('extends = "mine.toml"\n', r"mine\.toml: extends: 'mine\.toml' extends this file in turn"),
        ("extends = 5\n", r"mine\.toml: extends: found 5; write a policy's id or path"),
        ('extends = "annual-50k"\nid = "x"\n', r"mine\.toml: title is missing; state it"),
        (HEAD + 'period = "2027-2025"\n', r"mine\.toml: period: found '2027-2025'; write calendar-year, quarter"),
        (
            HEAD + '[channels]\ndebit_country = ["licence"]\n',
            r"mine\.toml: channels\.debit_country\.0: found 'lic",
        ),
        (
            HEAD + "[detection.red_flags]\nrf8 = true\n",
            r"red_flags\.rf8 is no key .*mean rf08\?",
        ),
        (HEAD + '[license]\nrule = "zones"\n', r"mine\.toml: license: found .*'tier-3', 'tiers-2-and-3', 'zone'"),
        (HEAD + '[[groups]]\ncountries = ["UK"]\ngroups = []\nsource = "S1"\n', r"groups\.0\.countries: .*mean GB"),
        (
            HEAD + '[license]\nrule = "zone"\ninside = ["D:1"]\noutside = []\nsource = "S1"\n'
            '[[license.named]]\ncountries = ["UAE"]\nsource = "S33"\n',
            r"license\.named\.0\.countries: .*mean AE",
        ),
    ],
)
def test_an_error_in_an_extending_policy_names_its_file_and_key(tmp_path, text, told):
    with pytest.raises(WrongCall, match=told):
        load_policy(written(tmp_path, text))


@pytest.mark.parametrize("kind", ["calendar-year", "quarter", "2025-2027"])
@given(day=st.dates(date(2, 1, 1), date(9998, 12, 31)))
def test_every_day_lies_within_its_own_period_and_its_edges_too(kind, day):
    periods = periods_of_kind(kind)
    period = periods.of(day)

    if period is None:
        assert kind == "2025-2027"
        assert not 2025 <= day.year <= 2027
        return
    first, last = periods.days(period)
    assert first <= day <= last
    assert periods.of(first) == periods.of(last) == period
    if first > date.min and last < date.max:
        assert period not in (periods.of(first - timedelta(days=1)), periods.of(last + timedelta(days=1)))


@pytest.mark.parametrize(
    ("periods", "text"),
    [
        (Quarters(), "2026"), (Quarters(), "2026-Q5"), (Quarters(), "0000-Q1"), (Quarters(), "2026-Q1\n"),
        (OneSpan("2025-2027"), "2026"), (OneSpan("2025-2027"), "2025-2028"), (CalendarYears(), "2026-Q1"),
    ],
)  # fmt: skip
def test_a_period_of_another_kind_is_refused_with_what_to_write(periods, text):
    with pytest.raises(WrongCall, match=r"is no period; (write|the only)"):
        periods.days(text)


def test_quarters_follow_each_other_over_the_years():
    assert quarters_from("2025-Q3", "2026-Q2") == ("2025-Q3", "2025-Q4", "2026-Q1", "2026-Q2")
    assert quarters_from("2028-Q1", "2027-Q4") == ("2028-Q1",)
