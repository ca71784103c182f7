"""What a policy says, entry by entry; and where two policies differ: exactly there, and from the day they do."""

from datetime import date, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.policy_diff import boundaries, difference, said_on
from ledger.policy_sheet import entries, sheet

IDS = ["annual-50k", "diffusion-2025", "december-2024", "allies-tier1", "allies-tier1-long"]
POLICIES = {name: load_policy(name) for name in IDS}
PAIRS = {pair: difference(*(POLICIES[name] for name in pair)) for pair in permutations(IDS, 2)}
CAP = 791_600_000
DAY = timedelta(days=1)


def differing(pair, what):
    return [item for item in PAIRS[pair].items if item.what == what]


def covers(item, day):
    return (item.valid_from or date.min) <= day <= (item.valid_to or date.max)


def written(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(f'extends = "annual-50k"\nid = "mine"\ntitle = "Mine"\n{text}')
    return load_policy(str(path))


# ------------------------------------------------------------------------------------------------ What one policy says


def test_every_entry_has_its_days_and_its_source_with_its_evidence():
    found = sheet(POLICIES["annual-50k"], date(2026, 1, 1), whole=True)
    basis = [statement for statement in found.statements if statement.place == "detection.ascend.basis"]

    assert [(told.says["basis"], told.valid_from, told.valid_to, told.evidence) for told in basis] == [
        ("violation", date(2025, 5, 13), date(2025, 5, 19), "unconfirmed"),
        ("risk", date(2025, 5, 20), None, "unconfirmed"),
    ]
    assert all("(unconfirmed)" in told.source for told in basis)
    assert all(told.source.rpartition("[")[2].rstrip("]") in found.sources for told in found.statements)


def test_of_a_day_only_what_holds_is_told():
    before, after = (
        sheet(POLICIES["diffusion-2025"], day, whole=False) for day in (date(2025, 5, 12), date(2025, 5, 13))
    )

    def says(found, place):
        return [told.says for told in found.statements if told.place == place]

    assert [one["status"] for one in says(before, "regimes")] == ["in_force"]
    assert [one["status"] for one in says(after, "regimes")] == ["not_enforced"]
    assert (before.regime.status, after.regime.status) == ("in_force", "not_enforced")
    assert says(before, "channels.nveu.caps") == says(after, "channels.nveu.caps") == [{"tpp": 949_500_000}]
    assert (says(before, "detection.red_flags"), len(says(after, "detection.red_flags"))) == ([], 1)


def test_no_key_of_a_file_is_left_out():
    """But for its names, each is a table, whose entries have sources, or told as what the policy says as a whole."""
    text = POLICIES["diffusion-2025"].text
    tables = {entry.place.partition(".")[0] for entry in entries(POLICIES["diffusion-2025"])}
    told = {what for what, _ in said_on(POLICIES["diffusion-2025"], date(2026, 1, 1))}

    assert {name for name, _ in text} - tables - told == {"id", "title"}


def test_an_entry_within_a_dated_one_holds_no_longer_than_that():
    listed = [entry for entry in entries(POLICIES["december-2024"]) if entry.place == "license.named.listed"]

    assert {entry.first for entry in listed} == {date(2026, 7, 10)}
    assert {entry.last for entry in listed} == {date.max, date(2027, 4, 6)}


def test_what_is_listed_under_a_country_is_told_with_it():
    listed = [
        told
        for told in sheet(POLICIES["december-2024"], date(2026, 7, 10), whole=False).statements
        if told.place == "license.named.listed"
    ]

    assert [told.says["countries"] for told in listed] == [["AE"]] * 3


def test_a_list_that_is_stated_empty_is_told_as_empty(tmp_path):
    stated = "[channels]\ndebit_country = []\n[detection.ascend]\nbasis = []\n"
    group = '[[groups]]\ncountries = ["IN"]\ngroups = []\nsource = "S1"\n'
    found = {entry.place: entry.says for entry in entries(written(tmp_path, stated + group))}

    assert found["channels"] == {"debit_country": []}
    assert found["detection.ascend"] == {"class_310": True, "basis": []}
    assert found["groups"] == {"countries": ["IN"], "groups": []}


def test_a_later_entry_in_the_middle_of_an_earlier_one_cuts_it_in_two(tmp_path):
    regime = '[[regimes]]\nid = "{}"\nstatus = "in_force"\nsource = "S1"\n'
    policy = written(
        tmp_path, regime.format("one") + regime.format("two") + "valid_from = 2026-01-01\nvalid_to = 2026-01-31\n"
    )
    found = [(entry.says["id"], entry.first, entry.last) for entry in entries(policy) if entry.place == "regimes"]

    assert found == [
        ("one", date.min, date(2025, 12, 31)),
        ("one", date(2026, 2, 1), date.max),
        ("two", date(2026, 1, 1), date(2026, 1, 31)),
    ]
    for name, first, last in found:
        assert policy.regime_on(first).id == policy.regime_on(last).id == name


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("day", [date(2020, 12, 22), date(2026, 2, 2), date(2026, 2, 3)])
def test_tiers_are_told_by_country_and_those_that_no_text_decides_are_marked(name, day):
    policy = POLICIES[name]
    found = sheet(policy, day, whole=False)

    for tier, countries in found.tiers.items():
        assert all(policy.tier_on(country, day)[0] == tier for country in countries)
    assert sum(map(len, found.tiers.values())) == len(policy.countries)
    assert "GF" in found.weak_tiers["assumed"]
    assert ("HK" in found.weak_tiers["secondary"]) is (day > date(2020, 12, 22))


# -------------------------------------------------------------------------------------------- Where two policies differ


def test_the_allies_differ_in_three_countries_from_the_beginning_and_in_nothing_else():
    [item] = PAIRS["annual-50k", "allies-tier1"].items

    assert (item.what, item.of, item.valid_from, item.valid_to) == ("tier", ["CH", "IL", "IN"], None, None)
    assert item.policy == [{"tier": 2, "cap_tpp": CAP}]
    assert item.against == [{"tier": 1, "cap_tpp": None}]


def test_countries_stand_together_only_for_as_long_as_they_differ_alike():
    caps = differing(("annual-50k", "december-2024"), "tier")

    assert {(tuple(item.of) if len(item.of) < 5 else "many", item.valid_from, item.valid_to) for item in caps} == {
        ("many", None, None),
        (("HK",), None, date(2020, 12, 22)),
        (("KH",), date(2026, 2, 3), None),
    }


def test_a_regime_differs_from_the_day_on_which_it_does():
    spans = [
        (item.valid_from, item.valid_to, item.against)
        for item in differing(("annual-50k", "diffusion-2025"), "regimes")
    ]

    assert [(first, last, [one["status"] for one in said]) for first, last, said in spans] == [
        (None, date(2025, 1, 12), []),
        (date(2025, 1, 13), date(2025, 5, 12), ["in_force"]),
        (date(2025, 5, 13), None, ["not_enforced"]),
    ]


@pytest.mark.parametrize("name", IDS)
def test_a_policy_does_not_differ_from_itself(name):
    assert difference(POLICIES[name], load_policy(name)).items == []


@pytest.mark.parametrize(
    ("text", "what", "first"),
    [
        ("levels = [50]\n", "levels", None),
        ("reserved_counts = true\n", "reserved_counts", None),
        ('[[caps]]\ntpp = 1\ncountries = ["IN"]\nvalid_from = 2027-01-01\nsource = "S1"\n', "tier", date(2027, 1, 1)),
        (
            '[[groups]]\ncountries = ["IN"]\ngroups = ["B"]\nvalid_from = 2026-03-01\nsource = "S1"\n',
            "groups",
            date(2026, 3, 1),
        ),
        ("[detection.red_flags]\nrf07 = false\n", "detection.red_flags", date(2025, 5, 13)),
        ("[detection.headquarters]\nvalid_from = 2024-01-01\n", "detection.headquarters", date(2023, 11, 17)),
        ("[detection]\nweights = false\n", "detection.weights", None),
    ],
)
def test_one_change_is_one_difference_of_its_kind_and_day(tmp_path, text, what, first):
    found = difference(POLICIES["annual-50k"], written(tmp_path, text)).items

    assert {(item.what, item.valid_from) for item in found} >= {(what, first)}
    assert {item.what for item in found} == {what}


def test_a_party_that_is_listed_under_another_country_is_a_difference_of_both(tmp_path):
    named = '[[license.named]]\ncountries = ["{}"]\nsource = "S1"\n'
    party = '[[license.named.listed]]\nnames = ["G42"]\nvalid_from = 2026-03-01\nsource = "S1"\n'
    zone = '[license]\nrule = "zone"\ninside = ["D:5"]\noutside = []\nsource = "S1"\n'
    india, emirates = named.format("IN"), named.format("AE")
    one = written(tmp_path, zone + india + party + emirates, "one.toml")
    found = difference(one, written(tmp_path, zone + india + emirates + party, "other.toml")).items

    assert [(item.what, item.of, item.valid_from) for item in found] == [
        ("license.named", ["AE"], date(2026, 3, 1)),
        ("license.named", ["IN"], date(2026, 3, 1)),
    ]
    assert found[0].against == found[1].policy == [{"license": "by name", "listed": ["G42"]}]


def test_chips_of_ones_own_are_differences_too(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("vendor,model,tpp\nNVIDIA,H100 SXM,16000\nAcme,Thinker 1,5000\n")
    found = difference(POLICIES["annual-50k"], load_policy("annual-50k", chips=own)).items

    assert sorted(name for item in found for name in item.of) == ["Acme Thinker 1", "NVIDIA H100 SXM"]
    assert {item.what for item in found} == {"part"}


def test_what_decides_the_class_of_a_part_that_is_stated_with_more_tpp_is_a_difference(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("vendor,model,tpp,die_area_mm2,data_center\nAcme,Thinker 1,1000,{},{}\n".format(10, "true"))
    one = load_policy("annual-50k", chips=own)
    own.write_text("vendor,model,tpp,die_area_mm2,data_center\nAcme,Thinker 1,1000,{},{}\n".format(2000.5, "false"))
    [item] = difference(one, load_policy("annual-50k", chips=own)).items
    differing = {name for name, said in item.policy[0].items() if item.against[0][name] != said}

    assert (item.what, item.of, differing) == ("part", ["Acme Thinker 1"], {"die_area_mm2", "data_center"})


def test_the_order_in_which_channels_are_listed_is_no_difference(tmp_path):
    one = written(tmp_path, '[channels]\ndebit_country = ["none", "license"]\n', "one.toml")
    other = written(tmp_path, '[channels]\ndebit_country = ["license", "none"]\n', "other.toml")

    assert difference(one, other).items == []


COUNTRIES = sorted(POLICIES["annual-50k"].countries)
BOUNDARIES = boundaries(*POLICIES.values())[1:]
DAYS = st.dates(date(2019, 1, 1), date(2029, 1, 1)) | st.sampled_from(BOUNDARIES + [day - DAY for day in BOUNDARIES])


@given(st.sampled_from(sorted(PAIRS)), st.sampled_from(COUNTRIES), DAYS)
def test_a_country_differs_on_the_days_that_are_told_and_on_no_other(pair, country, day):
    one, other = (POLICIES[name].standing(country, day) for name in pair)
    told = [item for item in differing(pair, "tier") if country in item.of and covers(item, day)]

    assert len(told) == ((one.tier, one.cap_tpp) != (other.tier, other.cap_tpp))
    for item in told:
        assert item.policy == [{"tier": one.tier, "cap_tpp": one.cap_tpp}]
        assert item.against == [{"tier": other.tier, "cap_tpp": other.cap_tpp}]


@given(st.sampled_from(sorted(PAIRS)), DAYS)
def test_whatever_two_policies_say_otherwise_on_a_day_is_told(pair, day):
    one, other = (said_on(POLICIES[name], day) for name in pair)
    differ = {subject for subject in one.keys() | other.keys() if one.get(subject) != other.get(subject)}

    assert {
        (item.what, member) for item in PAIRS[pair].items if covers(item, day) for member in item.of or [""]
    } == differ


@pytest.mark.parametrize("name", IDS)
def test_an_answer_changes_on_boundaries_alone(name):
    policy = POLICIES[name]
    for start, following in zip([date(2018, 1, 1), *BOUNDARIES], [*BOUNDARIES, date(2030, 1, 1)], strict=True):
        assert said_on(policy, start) == said_on(policy, following - DAY)
