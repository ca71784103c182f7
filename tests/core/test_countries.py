"""The table of countries: complete, sourced, and helpful to whoever misspells one."""

from collections import Counter

import pytest

from ledger.errors import WrongCall
from ledger.policy import load_policy

POLICY = load_policy("annual-50k")
COUNTRIES = POLICY.countries

NAMED_TIER_1 = set("AU BE CA DK FI FR DE IE IT JP NL NZ NO KR ES SE TW GB".split())  # noqa: SIM905  reads better
COUNTRY_GROUP_D5 = set("AF BY MM KH CF CN CD CU ER HT IR IQ KP LB LY NI RU SO SS SD SY VE ZW".split())  # noqa: SIM905


def test_all_249_of_iso_3166_and_kosovo_are_there():
    assert len(COUNTRIES) == 250
    assert "XK" in COUNTRIES
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in COUNTRIES)
    assert len({country.iso3 for country in COUNTRIES.values()}) == 250
    assert len({country.name for country in COUNTRIES.values()}) == 250


def test_tier_1_is_the_18_named_their_dependencies_and_the_united_states():
    by_basis = Counter(
        "named" if country.basis == "named in Supplement No. 5(a)" else country.basis.split()[0]
        for country in COUNTRIES.values()
        if country.tier == 1
    )
    named = [code for code, country in COUNTRIES.items() if country.basis == "named in Supplement No. 5(a)"]

    assert by_basis == {"named": 18, "follows": 38, "a": 6, "the": 1}
    assert set(named) == NAMED_TIER_1


def test_tier_3_is_country_group_d5_with_macau_and_hong_kong():
    tier_3 = {code for code, country in COUNTRIES.items() if country.tier == 3}

    assert tier_3 == COUNTRY_GROUP_D5 | {"MO", "HK"}


def test_all_others_are_tier_2():
    assert Counter(country.tier for country in COUNTRIES.values()) == {1: 56 + 7, 2: 162, 3: 25}


# Supplement No. 1 to Part 740 as of 23 July 2026; what a day before had otherwise is the policy's.
GROUPS = {
    "D:1": "AM AZ BY CN GE IQ KG KH KP KZ LA LY MD MM MN MO NI RU TJ TM UZ VE VN YE",
    "D:4": "BH BY CN EG IL IQ IR JO KP KW LB LY MO OM PK QA RU SA SY VE YE",
    "D:5": " ".join(sorted(COUNTRY_GROUP_D5 - {"KH"})),
    "A:5": "AE AR AT AU BE BG CA CH CZ DE DK EE ES FI FR GB GR HR HU IE IN IS IT JP KR LT LU LV NL NO NZ PL PT RO SE "
    "SI SK TR",
    "A:6": "AL CY IL MT MX SG TW ZA",
}


@pytest.mark.parametrize("group", GROUPS)
def test_the_country_groups_that_a_rule_asks_for_have_these_members(group):
    assert " ".join(sorted(code for code, country in COUNTRIES.items() if group in country.groups)) == GROUPS[group]


def test_the_united_states_are_there_with_their_territories():
    assert {code for code, country in COUNTRIES.items() if country.united_states} == set("US AS GU MP PR UM VI".split())  # noqa: SIM905


def test_every_row_says_why_and_from_where_and_what_is_assumed_says_so():
    for country in COUNTRIES.values():
        assert country.basis
        assert country.evidence in ("primary", "secondary", "assumed")
        assert ("(assumed" in country.basis) == (country.evidence == "assumed"), country
        assert POLICY.cite(country.source)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("UK", "GB"),
        ("uk", "GB"),
        ("England", "GB"),
        ("in", "IN"),
        ("ＩＮ", "IN"),  # noqa: RUF001  fullwidth letters
        ("IND", "IN"),
        ("India", "IN"),
        ("Indai", "IN"),
        ("USA", "US"),
        ("UAE", "AE"),
        ("Macau", "MO"),
        ("EL", "GR"),
        ("Turkey", "TR"),
        ("Turkiye", "TR"),
        ("Burma", "MM"),
        ("Viet Nam", "VN"),
        ("Russia", "RU"),
        ("United Arab Emirate", "AE"),
    ],
)
def test_a_near_miss_is_told_what_was_probably_meant(written, meant):
    assert COUNTRIES.hint(written) == meant
    assert f"did you mean {meant} ({COUNTRIES[meant].name})?" in COUNTRIES.advice(written)


@pytest.mark.parametrize("written", ["XX", "ZZ", "", "AN", "Atlantis", "E U", "x" * 60_000])
def test_what_resembles_no_country_gets_an_example_instead(written):
    assert COUNTRIES.hint(written) is None
    assert "such as IN for India" in COUNTRIES.advice(written)
    assert len(COUNTRIES.advice(written)) < 250


def test_asking_for_the_tier_of_no_country_is_a_wrong_call():
    with pytest.raises(WrongCall, match=r"did you mean GB \(United Kingdom\)"):
        POLICY.tier_on("UK", POLICY.period_days("2026")[0])
