"""The policy: dated answers the day before and the day of, one SHA-256 for what was loaded, errors that help."""

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import WrongCall
from ledger.policy import DATA, load_policy, policy_from_document, shipped_policies

POLICY = load_policy("annual-50k")
TEXT = (DATA / "policies" / "annual-50k.toml").read_text()
CAP = 791_600_000


def loaded_from(tmp_path, text, **options):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_policy(str(path), **options)


def test_the_cap_is_50_000_h100():
    assert POLICY.catalogue.find("NVIDIA", "H100 SXM").tpp * 50_000 == CAP
    assert POLICY.cap_on("IN", date(2026, 1, 1)) == CAP


@pytest.mark.parametrize(
    ("country", "day", "tier", "cap"),
    [
        ("HK", "2020-12-22", 2, CAP),
        ("HK", "2020-12-23", 3, 0),
        ("HK", "2026-11-22", 3, 0),
        ("KH", "2026-02-02", 3, 0),
        ("KH", "2026-02-03", 2, CAP),
        ("KH", "2019-01-01", 3, 0),
        ("CN", "2020-12-22", 3, 0),
        ("MO", "2025-01-15", 3, 0),
        ("US", "2026-01-01", 1, None),
        ("PR", "2026-01-01", 1, None),
        ("GU", "2026-01-01", 1, None),
        ("GB", "2026-01-01", 1, None),
        ("KY", "2026-01-01", 1, None),
        ("AW", "2026-01-01", 2, CAP),
        ("CH", "2026-01-01", 2, CAP),
        ("AE", "2026-07-10", 2, CAP),
    ],
)
def test_tier_and_cap_of_a_country_on_a_day(country, day, tier, cap):
    found_tier, reason, source = POLICY.tier_on(country, date.fromisoformat(day))

    assert found_tier == tier
    assert POLICY.cap_on(country, date.fromisoformat(day)) == cap
    assert reason
    assert "[" in source


def test_only_hong_kong_and_cambodia_ever_change_and_on_one_day_each():
    changes = []
    day = date(2019, 1, 1)
    before = {country: POLICY.tier_on(country, day)[0] for country in POLICY.countries}
    for country in POLICY.countries:
        low = day
        for high in (date(2020, 12, 22), date(2020, 12, 23), date(2026, 2, 2), date(2026, 2, 3), date(2030, 1, 1)):
            if POLICY.tier_on(country, high)[0] != before[country]:
                changes.append((country, low, high))
                before[country] = POLICY.tier_on(country, high)[0]
            low = high

    assert changes == [
        ("HK", date(2020, 12, 22), date(2020, 12, 23)),
        ("KH", date(2026, 2, 2), date(2026, 2, 3)),
    ]


@pytest.mark.parametrize("moved", [date(2026, 2, 2), date(2026, 2, 4)])
def test_moving_one_date_in_the_file_moves_exactly_the_answers_of_that_day(tmp_path, moved):
    other = loaded_from(tmp_path, TEXT.replace("2026-02-03", moved.isoformat()))
    days = [date(2026, 1, 25) + timedelta(days=n) for n in range(20)]
    differing = {
        (country, day)
        for country in POLICY.countries
        for day in days
        if POLICY.tier_on(country, day)[0] != other.tier_on(country, day)[0]
    }

    assert differing == {("KH", min(moved, date(2026, 2, 3)))}
    assert other.sha256 != POLICY.sha256


def test_an_account_is_measured_by_the_cap_of_the_day_and_out_of_its_period_by_that_of_the_nearest():
    assert POLICY.account_cap("country:KH", "2026", date(2025, 5, 1)) is None
    assert POLICY.account_cap("country:KH", "2026", date(2026, 2, 2)) is None
    assert POLICY.account_cap("country:KH", "2026", date(2026, 2, 3)) == CAP
    assert POLICY.account_cap("country:KH", "2025", date(2026, 2, 3)) is None
    assert POLICY.cap_changed_on("country:KH", "2026", date(2026, 2, 2)) is None
    assert POLICY.cap_changed_on("country:KH", "2026", date(2027, 1, 1)) == date(2026, 2, 3)
    assert POLICY.cap_changed_on("country:KH", "2027", date(2027, 1, 1)) is None
    assert POLICY.cap_changed_on("country:IN", "2026", date(2027, 1, 1)) is None
    assert POLICY.cap_changed_on("lpp:acme", "2026", date(2027, 1, 1)) is None
    assert POLICY.cap_changed_on("country:KH", "2025-2027", date(2027, 1, 1)) is None


def test_at_last_an_account_is_measured_by_the_cap_of_its_periods_last_day():
    assert POLICY.account_cap("country:IN", "2026", date.max) == CAP
    assert POLICY.account_cap("country:KH", "2026", date.max) == CAP
    assert POLICY.account_cap("country:KH", "2025", date.max) is None
    assert POLICY.account_cap("country:HK", "2020", date.max) is None
    assert POLICY.account_cap("country:HK", "2019", date.max) == CAP
    assert POLICY.account_cap("country:CN", "2026", date.max) is None
    assert POLICY.account_cap("country:DE", "2026", date.max) is None
    assert POLICY.account_cap("lpp:acme", "2026", date.max) is None
    assert POLICY.account_cap("country:UK", "2026", date.max) is None


def test_the_regime_is_in_force_and_has_no_start():
    regime = POLICY.regime_on(date(1999, 1, 1))

    assert regime is not None
    assert (regime.id, regime.status, regime.since) == ("50,000 H100 a year, as reported", "in_force", None)
    assert regime == POLICY.regime_on(date(2026, 11, 22))


@given(st.dates(date(2, 1, 1), date(9998, 12, 31)))
def test_every_day_lies_within_its_own_period(day):
    first, last = POLICY.period_days(POLICY.period_of(day))

    assert first <= day <= last
    assert (first.month, first.day, last.month, last.day) == (1, 1, 12, 31)


@pytest.mark.parametrize("text", ["", "26", "2026-Q1", "20266", "0000", "２０２６", "2026\n", "-026"])  # noqa: RUF001
def test_what_is_no_year_is_no_period(text):
    with pytest.raises(WrongCall, match="write a calendar year, such as 2026"):
        POLICY.period_days(text)


def test_loading_twice_gives_one_sha256_whatever_the_order_of_keys():
    again = load_policy("annual-50k")
    shuffled = json.loads(json.dumps(POLICY.document(), sort_keys=True))

    assert again.sha256 == POLICY.sha256 == policy_from_document(shuffled).sha256
    assert len(POLICY.sha256) == 64


def test_a_policy_comes_back_from_its_document_the_same():
    document = json.loads(json.dumps(POLICY.document()))
    back = policy_from_document(document)

    assert back.sha256 == POLICY.sha256
    assert back.document() == POLICY.document()
    for country in POLICY.countries:
        for day in (date(2020, 12, 22), date(2026, 2, 2), date(2026, 2, 3)):
            assert back.standing(country, day) == POLICY.standing(country, day)
    assert [part.eccn for part in back.catalogue.parts] == [part.eccn for part in POLICY.catalogue.parts]


@pytest.mark.parametrize("part", ["countries", "chips", "policy"])
def test_the_sha256_covers_countries_chips_and_policy(part):
    document = json.loads(json.dumps(POLICY.document()))
    changed = document[part] if part == "policy" else document[part][0]
    changed["title" if part == "policy" else "note"] = "another"

    assert policy_from_document(document).sha256 != POLICY.sha256


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("levels =", "levls =", r"levls is no key of a policy; did you mean levels\?"),
        ("levels = [75, 90, 100]", "levels = [90, 75]", "levels: found .* write each level once, the lowest first"),
        ("levels = [75, 90, 100]", "levels = [75, 101]", "levels.1: found 101"),
        (
            '"calendar-year"',
            '"fortnight"',
            "period: found 'fortnight'; write calendar-year, quarter, or a span",
        ),
        ('"calendar-year"', '"2025-9999"', "period: found '2025-9999'; write calendar-year"),
        ('["KH"]', '["Cambodia"]', r"tiers\.1\.countries: .*did you mean KH \(Cambodia\)\?"),
        ("tier = 2", "tier = 4", r"tiers\.0\.tier: found 4"),
        ("791_600_000", "-1", r"caps\.0\.tpp: found -1"),
        ("791_600_000", '"many"', r"caps\.0\.tpp: found 'many'"),
        ("2026-02-03", '"soon"', r"tiers\.1\.valid_from: found 'soon'"),
        ("2026-02-03", "07:30:00", r"tiers\.1\.valid_from: found '07:30:00'"),
        ('source = "S10"', 'source = "Q10"', r"tiers\.1\.source: 'Q10' begins with no key of sources\.csv"),
        ('"D:1", "D:5"', '"D1", "D:5"', r"groups\.1\.groups\.0: found 'D1'; write a Country Group, such as D:5 or B"),
        (
            "[license]",
            "[license]\nvalid_from = 2026-01-01",
            "license.valid_from is a key of other tables; leave it out",
        ),
        ('id = "annual-50k"', "", "id is missing; state it"),
        ('id = "annual-50k"', "id = ", "not TOML"),
    ],
)
def test_an_error_names_the_file_the_key_and_what_to_write(tmp_path, old, new, told):
    assert old in TEXT

    with pytest.raises(WrongCall, match=r"mine\.toml: " + told):
        loaded_from(tmp_path, TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('names = ["G42", "Core42"]', "names = []", r"license\.named\.0\.listed\.2\.names: found \[\]"),
        ('names = ["G42", "Core42"]', 'names = ["G42", " "]', r"license\.named\.0\.listed\.2\.names\.1: found ' '"),
        ('outside = ["A:5", "A:6"]', "", r"license\.outside is missing; state it"),
        ('rule = "zone"', 'rule = "zones"', "license: found"),
    ],
)
def test_an_error_in_the_licence_rule_names_its_key_as_the_file_writes_it(tmp_path, old, new, told):
    text = (DATA / "policies" / "december-2024.toml").read_text()
    assert old in text

    with pytest.raises(WrongCall, match=r"mine\.toml: " + told):
        loaded_from(tmp_path, text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("valid_to = 2027-12-31\n", "", "valid_to is missing; state it"),
        ("2027-12-31", "9999-12-31", "valid_to: found '9999-12-31'; write the last day of a quarter"),
        ("2027-12-31", "2027-12-30", "valid_to: found '2027-12-30'; write the last day of a quarter"),
        ("2027-01-01", "2027-01-02", "valid_from: found '2027-01-02'; write the first day of a quarter"),
        ("2027-12-31", "2026-12-31", "valid_to: found '2026-12-31'; write the last day on which it holds"),
    ],
)
def test_limits_of_validated_end_users_are_of_whole_quarters_and_have_an_end(tmp_path, old, new, told):
    text = (DATA / "policies" / "diffusion-2025.toml").read_text()
    before, last = text.rsplit("[[channels.nveu.caps]]", 1)
    assert old in last

    with pytest.raises(WrongCall, match=rf"mine\.toml: channels\.nveu\.caps\.8\.{told}"):
        loaded_from(tmp_path, f"{before}[[channels.nveu.caps]]{last.replace(old, new)}")


def test_a_file_that_extends_itself_by_a_way_around_is_refused(tmp_path):
    with pytest.raises(WrongCall, match="extends this file in turn"):
        loaded_from(tmp_path, f'extends = "../{tmp_path.name}/mine.toml"\nid = "mine"\ntitle = "Mine"\n')


def test_a_path_that_cannot_be_looked_at_is_a_wrong_call():
    with pytest.raises(WrongCall, match="cannot be read: File name too long"):
        load_policy("x" * 5000)


def test_a_licence_zone_names_groups_that_some_country_is_in(tmp_path):
    zone = 'extends = "december-2024"\nid = "mine"\ntitle = "Mine"\nlicense.inside = ["D:6"]\n'
    with pytest.raises(WrongCall, match=r"mine\.toml: license\.inside: no country is in a Country Group 'D:6'"):
        loaded_from(tmp_path, zone)

    group = '[[groups]]\ncountries = ["MY"]\ngroups = ["D:6"]\nsource = "S43"\n'
    assert loaded_from(tmp_path, zone + group).standing("MY", date(2026, 3, 1)).groups == {"D:6"}


def test_a_byte_order_mark_before_a_policy_is_passed_over(tmp_path):
    assert loaded_from(tmp_path, "\ufeff" + TEXT).id == "annual-50k"


def test_a_policy_that_is_not_there_is_told_with_those_that_are():
    assert "annual-50k" in shipped_policies()
    with pytest.raises(WrongCall, match=r"no policy 'anual-50k'; did you mean annual-50k\?"):
        load_policy("anual-50k")
    with pytest.raises(WrongCall, match="or a file's path"):
        load_policy("/nowhere/at/all.toml")


def test_a_later_cap_for_one_country_and_some_days_stands_over_the_general_one(tmp_path):
    text = (
        TEXT
        + '\n[[caps]]\ncountries = ["IN"]\ntpp = 1\nvalid_from = 2026-07-01\nvalid_to = 2026-12-31\nsource = "S1"\n'
    )
    policy = loaded_from(tmp_path, text)

    assert policy.cap_on("IN", date(2026, 6, 30)) == CAP
    assert policy.cap_on("IN", date(2026, 7, 1)) == 1
    assert policy.cap_on("IN", date(2027, 1, 1)) == CAP
    assert policy.cap_on("MY", date(2026, 7, 1)) == CAP
    assert [policy.standing(country, date(2026, 7, 1)).rules[1] for country in ("IN", "MY")] == [
        ("India may use 1 TPP in a calendar year", "90 FR 4544 [S1]"),
        ("a Tier-2 country may use 791,600,000 TPP in a calendar year", "Press (30 Apr 2025) [PRESS-50K]"),
    ]


EXTENDED = 'extends = "annual-50k"\nid = "mine"\ntitle = "Mine"\n'


@pytest.mark.parametrize(
    ("caps", "india", "malaysia"),
    [
        ('[[caps]]\ncountries = ["IN"]\ntpp = 1\nsource = "S1"', 1, CAP),
        ('[[caps]]\nvalid_from = 2027-01-01\ntpp = 1\nsource = "S1"', CAP, CAP),
        ('[[caps]]\ntpp = 1\nsource = "S1"', 1, 1),
        ('[[caps]]\ntpp = 1\nsource = "S1"\n[[caps]]\ncountries = ["IN"]\ntpp = 2\nsource = "S1"', 2, 1),
        ("caps = []", None, None),
    ],
)
def test_a_policy_that_extends_another_states_only_the_caps_that_differ(tmp_path, caps, india, malaysia):
    policy = loaded_from(tmp_path, EXTENDED + caps)
    day = date(2026, 11, 22)

    assert (policy.cap_on("IN", day), policy.cap_on("MY", day)) == (india, malaysia)


@pytest.mark.parametrize("narrowed", ["", 'countries = ["IN"]'])
def test_a_wrong_cap_is_named_by_its_number_in_its_own_file(tmp_path, narrowed):
    with pytest.raises(WrongCall, match=r"mine\.toml: caps\.0\.tpp: found -1"):
        loaded_from(tmp_path, EXTENDED + f'[[caps]]\n{narrowed}\ntpp = -1\nsource = "S1"')


def test_a_users_chip_table_goes_on_top(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(
        "vendor,model,aliases,tpp\n"
        "Nvidia,H100 SXM,,16000\n"  # replaces the row
        "NVIDIA,L40S Plus,L40S 48GB,6001.2\n"  # takes over a name
        "Acme,Thinker 1,,5000\n"
    )
    policy = load_policy("annual-50k", chips=own)
    find = policy.catalogue.find

    assert find("NVIDIA", "H100 SXM").tpp == 16000
    assert find("NVIDIA", "L40S 48GB").tpp == 6002
    assert find("NVIDIA", "L40S").tpp == 5864
    assert (find(None, "thinker-1").tpp, find(None, "thinker-1").evidence) == (5000, "own")
    assert policy.sha256 != POLICY.sha256
    assert policy_from_document(policy.document()).catalogue.find(None, "Thinker 1").tpp == 5000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vendor,model,tpp\nAcme,Thinker 1,lots\n", r"own\.csv, line 2: tpp is 'lots'"),
        ("vendor,model,tpp\nAcme,One 1,5\nAcme,One-1 ,6\n", r"own\.csv, line 3: .*has the name 'one1' of Acme One 1"),
        ("vendor,model,tpp\nAcme,One 1,5\nAcme,One 1,6\n", r"own\.csv, line 3: .*has the name 'one1' of Acme One 1"),
        (
            "vendor,model,aliases,tpp\nNVIDIA,H100X,H100 SXM,1\n",
            r"own\.csv, line 2: NVIDIA H100X has the name 'h100sxm' of NVIDIA H100 SXM",
        ),
        ("vendor,model,tpp\n\n\nAcme,Thinker 1,lots\n", r"own\.csv, line 4: tpp is 'lots'"),
        ("vendor,model\nAcme,Thinker 1\n", r"own\.csv, line 1: there is no column tpp"),
        ("vendor,model,tpp\nAcme,Thinker 1\n", r"own\.csv, line 2: as many cells"),
        ("vendor,model,tpp\nAcme,Thinker 1,5,6\n", r"own\.csv, line 2: as many cells"),
    ],
)
def test_a_wrong_chip_table_is_refused_with_line_and_reason(tmp_path, text, told):
    own = tmp_path / "own.csv"
    own.write_text(text)

    with pytest.raises(WrongCall, match=told):
        load_policy("annual-50k", chips=own)


def test_a_chip_table_that_is_not_there_is_a_wrong_call(tmp_path):
    with pytest.raises(WrongCall, match="cannot be read"):
        load_policy("annual-50k", chips=tmp_path / "nowhere.csv")
