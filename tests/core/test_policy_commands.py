"""policy list, show, check and diff, without a ledger."""

import json

import pytest

from ledger.policy import DATA, load_policy, shipped_policies

BAD = """
extends = "annual-50k"
id = "Bad One"
title = 5
levls = [1]
levels = [90, 75]

[[tiers]]
countries = ["India", "XX"]
tier = 4
valid_from = 2026-02-03
valid_to = 2026-01-01
reason = "x"
source = "Q9"
"""
MINE = 'extends = "annual-50k"\nid = "mine"\ntitle = "Mine"\nlevels = [50]\n'


def test_the_list_names_every_shipped_policy_though_no_ledger_answers(run):
    done = run("policy", "list", "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 0
    assert [item["policy_id"] for item in found["items"]] == shipped_policies()
    assert {item["policy_id"]: item["extends"] for item in found["items"]}["december-2024"] == "annual-50k"
    assert {item["in_force"] for item in found["items"]} == {None}
    assert found["in_force_id"] is found["in_force_sha256"] is None
    assert "no ledger answers" in done.stderr


def test_the_list_shows_the_sha256_of_what_is_loaded_here(run, files):
    own = files("own.csv", "vendor,model,tpp\nAcme,Thinker 1,5000\n")
    nowhere = {"QUOTA_REDIS_URL": "redis://127.0.0.1:1/0"}

    assert load_policy("annual-50k").sha256[:12] in run("policy", "list").stdout
    with_own_chips = run("policy", "list", environment=nowhere | {"QUOTA_CHIPS": str(own)}).stdout
    assert load_policy("annual-50k", own).sha256[:12] in with_own_chips
    assert load_policy("annual-50k").sha256[:12] not in with_own_chips


def test_what_is_shown_has_dates_sources_and_marks(run):
    shown = run("policy", "show", "annual-50k").stdout
    lines = [line.rstrip() for line in shown.splitlines()]

    assert lines[0] == "annual-50k  50,000 H100 a calendar year for each Tier-2 country"
    assert lines[1] == f"SHA-256 {load_policy('annual-50k').sha256}"
    basis = lines[lines.index("detection.ascend.basis") :]
    assert basis[1:3] == [
        "  2025-05-13 to 2025-05-19  basis violation",
        "                            BIS release (13 May 2025) (unconfirmed) [S5]",
    ]
    assert "  always                    tpp 791,600,000" in lines
    assert any(line.startswith("  S5  BIS press release of 13 May 2025") for line in lines)


@pytest.mark.parametrize(("day", "tier"), [("2026-02-02", "3"), ("2026-02-03", "2")])
def test_a_day_may_be_asked_for(run, day, tier):
    found = json.loads(run("policy", "show", "annual-50k", "--on", day, "--json").stdout)

    assert found["on"] == day
    assert "KH" in found["tiers"][tier]
    assert [one["says"]["countries"] for one in found["statements"] if one["place"] == "tiers"] == (
        [] if tier == "3" else [["KH"]]
    )


def test_what_a_policy_counts_by_is_told_on_a_day_outside_of_it_too(run):
    shown = run("policy", "show", "diffusion-2025", "--on", "2024-05-01").stdout.splitlines()

    assert shown[2].rstrip() == "on 2024-05-01: no regime; period none, counted by 2025-2027"


def test_without_a_name_the_policy_is_shown_that_a_command_goes_by(run):
    done = run(
        "policy", "show", environment={"QUOTA_REDIS_URL": "redis://127.0.0.1:1/0", "QUOTA_POLICY": "diffusion-2025"}
    )

    assert done.stdout.startswith("diffusion-2025  ")
    assert "by QUOTA_POLICY" in done.stderr


def test_a_file_that_is_a_policy_is_named_with_its_sha256(run, files):
    path = files("mine.toml", MINE)
    done = run("policy", "check", path)

    assert (done.exit_code, done.stdout) == (0, f"mine {load_policy(str(path)).sha256}\n")


@pytest.mark.parametrize("name", shipped_policies())
def test_every_shipped_file_is_a_policy(run, name):
    done = run("policy", "check", DATA / "policies" / f"{name}.toml")

    assert (done.exit_code, done.stdout) == (0, f"{name} {load_policy(name).sha256}\n")


def test_everything_that_is_wrong_with_a_file_is_told_at_once_by_the_files_own_numbers(run, files):
    path = files("bad.toml", BAD)
    done = run("policy", "check", path)
    told = [line.removeprefix(f"{path}: ") for line in done.stderr.splitlines()]

    assert (done.exit_code, done.stdout) == (1, "")
    assert [line.split(" ")[0].rstrip(":") for line in told] == [
        "levls",
        "id",
        "title",
        "levels",
        "tiers.0.valid_to",
        "tiers.0.tier",
        "tiers.0.countries",
        "tiers.0.countries",
        "tiers.0.source",
    ]
    assert told[0] == "levls is no key of a policy; did you mean levels?"
    assert "did you mean IN (India)?" in told[6]


def test_another_command_tells_the_first_error_and_where_to_find_the_others(run, files):
    path = files("bad.toml", BAD)
    done = run("policy", "show", path)

    assert done.exit_code == 2
    assert done.stderr == (
        f"quota-ledger: {path}: levls is no key of a policy; did you mean levels? "
        f"(8 more: quota-ledger policy check {path})\n"
    )


@pytest.mark.parametrize("text", ["id = ", 'extends = "anual-50k"\n', 'extends = "./mine.toml"\n', "", "\ufeff"])
def test_a_file_that_is_no_policy_at_all_ends_with_1(run, files, text):
    done = run("policy", "check", files("mine.toml", text))

    assert (done.exit_code, done.stdout) == (1, "")
    assert "mine.toml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "/nowhere/at/all.toml"),
        ("show", "anual-50k"),
        ("show", "annual-50k", "--on", "today"),
        ("diff", "annual-50k"),
        ("diff", "annual-50k", "anual-50k"),
        ("forget",),
    ],
)
def test_what_is_not_there_is_a_wrong_call(run, arguments):
    done = run("policy", *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize("arguments", [("show", "in-force"), ("diff", "in-force", "annual-50k")])
def test_the_policy_in_force_is_not_guessed_where_no_ledger_answers(run, arguments):
    done = run("policy", *arguments)

    assert (done.exit_code, done.stdout) == (69, "")


def test_countries_that_differ_are_told_with_tier_cap_and_day(run):
    lines = run("policy", "diff", "annual-50k", "allies-tier1").stdout.splitlines()

    assert lines[1:] == [
        "CH Switzerland, IL Israel, IN India: Tier 2, cap 791,600,000 -> Tier 1, no cap, from the beginning"
    ]


def test_many_countries_that_differ_alike_are_one_line_with_their_codes_below(run):
    lines = run("policy", "diff", "annual-50k", "diffusion-2025").stdout.splitlines()

    assert lines[1] == "162 countries: Tier 2, cap 791,600,000 -> Tier 2, cap 790,000,000, from the beginning"
    assert lines[2].startswith("  AD, AE, AG")
    assert lines[3:5] == [
        "HK Hong Kong: Tier 2, cap 791,600,000 -> Tier 2, cap 790,000,000, until 2020-12-22",
        "KH Cambodia: Tier 2, cap 791,600,000 -> Tier 2, cap 790,000,000, from 2026-02-03",
    ]
    assert "period: calendar-year -> 2025-2027, from the beginning" in lines
    assert "channels.nveu.caps: nothing -> tpp 1,899,000,000, 2026-01-01 to 2026-03-31" in lines


def test_only_the_keys_of_a_table_that_differ_are_told(run, files):
    path = files("mine.toml", MINE + "[detection.red_flags]\nrf07 = false\n")
    lines = run("policy", "diff", "annual-50k", path).stdout.splitlines()

    assert lines[1:] == [
        "levels: 75 90 100 -> 50, from the beginning",
        "detection.red_flags: rf07 -> not rf07, from 2025-05-13",
    ]


def test_policies_that_decide_alike_are_said_to(run):
    done = run("policy", "diff", "annual-50k", DATA / "policies" / "annual-50k.toml")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["They decide alike."]


def test_a_difference_in_json_has_what_either_says(run):
    found = json.loads(run("policy", "diff", "annual-50k", "allies-tier1", "--json").stdout)

    assert (found["policy_id"], found["against_id"]) == ("annual-50k", "allies-tier1")
    assert found["items"] == [
        {
            "what": "tier",
            "of": ["CH", "IL", "IN"],
            "valid_from": None,
            "valid_to": None,
            "policy": [{"tier": 2, "cap_tpp": 791_600_000}],
            "against": [{"tier": 1, "cap_tpp": None}],
        }
    ]
