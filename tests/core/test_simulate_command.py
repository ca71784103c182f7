"""simulate on files: what it answers, in which form, and what is said of files that are none."""

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from rich.console import Console

from ledger.policy import load_policy
from ledger.replay.report import report
from ledger.replay.simulate import Simulation
from streams.cli import sample, simulate, tables
from streams.cli.simulate import REFUSALS_SHOWN_MAX
from streams.cli.simulation_tables import show_csv
from tests.builders import a_shipment, raw_shipment

ROOT = Path(__file__).parent.parent.parent
TWO = ("--policy", "annual-50k", "--against", "allies-tier1")


def lines(*events):
    return b"\n".join(events).decode()


def events(count, **told):
    return [raw_shipment(id=f"e-{number}", **told) for number in range(count)]


WHAT_IF = "$ quota-ledger sample | quota-ledger simulate - --policy annual-50k --against allies-tier1\n"


def test_the_readmes_what_if_is_what_the_commands_print(run, monkeypatch):
    """One line answers the question of the field; the README leaves out the heading, which bears the SHA-256."""
    for command in (sample, simulate):
        monkeypatch.setattr(command, "now", lambda: datetime(2026, 11, 22, 12, tzinfo=UTC))
    told = (ROOT / "README.md").read_text().partition(WHAT_IF)[2].partition("\n```")[0].splitlines()
    printed = [line.rstrip() for line in run("simulate", "-", *TWO, stdin=run("sample").stdout).stdout.splitlines()]

    assert told[0] == "…"
    assert told[1:] == printed[3:]


def test_both_balances_stand_side_by_side_and_the_alerts_of_one_alone_below(run, files):
    file = files("a.jsonl", lines(*events(1, quantity=40_000), raw_shipment(id="m", destination="MY")))
    done = run("simulate", file, *TWO)
    shown = [line.rstrip() for line in done.stdout.splitlines()]

    assert done.exit_code == 0
    assert done.stderr == ""
    assert "IN India 2026    annual-50k   633,280,000 791,600,000 80.0 near_cap" in shown
    assert "                 allies-tier1 633,280,000      no cap      unlimited" in shown
    assert "MY Malaysia 2026 both           1,013,248 791,600,000  0.1 open" in shown
    assert "  2026-03-01 quota.near_cap country:IN 2026: 75 %, 633,280,000 of 791,600,000 TPP, by /tests#e-0" in shown
    assert "told only under allies-tier1: nothing" in shown


def test_json_is_one_document_with_the_names_of_http(run, files):
    file = files("a.jsonl", lines(*events(2)))
    found = json.loads(run("simulate", file, *TWO, "--json").stdout)
    [india] = found["items"]

    assert found == json.loads(run("simulate", file, *TWO, "--format", "json").stdout)
    assert (
        found["records_read"] == found["policy"]["outcomes"]["applied"] == found["against"]["outcomes"]["applied"] == 2
    )
    assert (found["policy"]["policy_id"], found["against"]["policy_id"]) == ("annual-50k", "allies-tier1")
    assert (india["country"], india["policy"]["posted_tpp"], india["against"]["cap_tpp"]) == ("IN", 2_026_496, None)


def test_csv_is_a_row_a_country_and_period_with_both_policies(run, files):
    early = raw_shipment(id="x", shipped_at="2024-01-01T00:00:00Z", destination="CN")
    file = files("a.jsonl", lines(*events(1, quantity=50_001), early))
    done = run("simulate", file, "--policy", "annual-50k", "--against", "diffusion-2025", "--format", "csv")
    china, india_2025_2027, india_2026 = csv.DictReader(io.StringIO(done.stdout))

    assert (china["country"], china["period"], china["policy_status"], china["against_status"]) == (
        "CN", "2024", "prohibited", "",
    )  # fmt: skip
    assert (india_2025_2027["period"], india_2025_2027["policy_posted_tpp"]) == ("2025-2027", "")
    assert india_2025_2027["against_cap_tpp"] == "790000000"
    assert india_2026["policy_exceeded_at"] == india_2026["policy_crossed_75_at"] == "2026-03-01T22:10:00+00:00"
    assert india_2026["against_id"] == "diffusion-2025"


def test_a_name_that_a_spreadsheet_would_run_is_written_as_text(capsys):
    simulation = Simulation(load_policy("annual-50k"), load_policy("allies-tier1"), named=(), today=date(2026, 11, 22))
    simulation.take(a_shipment(quantity=1))
    found = report(simulation)
    [india] = found.items
    show_csv(found.model_copy(update={"items": [india.model_copy(update={"name": '=HYPERLINK("http://x")'})]}))
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))

    assert row["name"] == '\'=HYPERLINK("http://x")'
    assert row["policy_posted_tpp"] == "15832"


def test_lines_that_are_no_events_are_named_and_the_exit_code_is_1(run, files):
    file = files(
        "a.jsonl",
        lines(*events(2), b"nonsense", raw_shipment(id="e-0", quantity=1), raw_shipment(id="u", destination="UK")),
    )
    done = run("simulate", file, *TWO, "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 1
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        [f"{file}:3", "not_json"],
        [f"{file}:4", "conflict"],
        [f"{file}:5", "unknown_country"],
    ]
    assert found["policy"]["rejected"] == {"not_json": 1, "conflict": 1, "unknown_country": 1}
    assert found["policy"]["outcomes"] == {"applied": 2}


def test_of_many_lines_that_are_no_events_the_first_are_named_and_the_rest_counted(run, files):
    done = run("simulate", files("a.jsonl", "nonsense\n" * (REFUSALS_SHOWN_MAX + 1_234)), *TWO)

    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == REFUSALS_SHOWN_MAX + 1
    assert done.stderr.splitlines()[-1] == "and 1,234 more that cannot be counted"


def test_a_repeat_within_or_across_files_counts_once(run, files):
    one = files("a.jsonl", lines(*events(2), *events(2)))
    other = files("b.jsonl", lines(*events(3)))
    found = json.loads(run("simulate", one, other, *TWO, "--json").stdout)

    assert (found["policy"]["outcomes"]["applied"], found["policy"]["repeated"]) == (3, 4)


def test_csv_and_json_lines_say_the_same_and_bare_events_are_named_by_their_file(run, files):
    table = files(
        "a.csv", "id,shipped_at,destination,vendor,model,quantity\nx,2026-01-05T00:00:00Z,IN,NVIDIA,H100 SXM,50001\n"
    )
    bare = {"id": "x", "shipped_at": "2026-01-05T00:00:00Z", "destination": "IN"}
    bare["lines"] = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 50_001}]
    document = files("a.jsonl", json.dumps(bare))
    from_table, from_document = (json.loads(run("simulate", file, *TWO, "--json").stdout) for file in (table, document))

    assert from_table["items"] == from_document["items"]
    assert from_table["only_policy"]["crossings"][0]["event_key"] == "/file/a.csv#x"
    assert from_document["only_policy"]["crossings"][0]["event_key"] == "/file/a.jsonl#x"


def test_an_empty_file_is_answered_with_nothing(run, files):
    done = run("simulate", files("a.jsonl", ""), *TWO)

    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "records read: 0"
    assert "Nothing was booked or held for any country." in done.stdout


def test_the_same_policy_twice_differs_in_nothing(run, files):
    done = run(
        "simulate",
        files("a.jsonl", lines(*events(1, quantity=60_000))),
        "--policy",
        "annual-50k",
        "--against",
        "annual-50k",
    )

    assert done.stdout.count("told only under annual-50k: nothing") == 2
    assert " both " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        TWO,
        ("/nowhere/a.jsonl", *TWO),
        ("/nowhere/a.txt", *TWO),
        ("-", "--policy", "annual-50k"),
        ("-", "--policy", "anual-50k", "--against", "annual-50k"),
        ("-", *TWO, "--format", "yaml"),
    ],
)
def test_a_wrong_call_ends_with_2_and_prints_nothing(run, arguments):
    done = run("simulate", *arguments, stdin="")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_files_under_named_policies_ask_for_no_ledger(run, files):
    assert run("simulate", files("a.jsonl", ""), *TWO).stderr == ""
    assert run("simulate", files("a.jsonl", ""), "--policy", "in-force", "--against", "annual-50k").exit_code == 69


def test_a_topic_that_cannot_be_read_ends_with_69_at_once(run):
    done = run("simulate", "--from-topic", *TWO)

    assert (done.exit_code, done.stdout) == (69, "")
    assert "nothing listens at 127.0.0.1:1" in done.stderr


def test_no_amount_is_cut_at_80_columns(run, files, monkeypatch):
    monkeypatch.setattr(tables, "_WIDTH_IN_PIPES", 80)
    file = files("a.jsonl", lines(*events(1, destination="VC", quantity=60_000)))
    shown = run("simulate", file, "--policy", "annual-50k", "--against", "allies-tier1-long").stdout

    assert shown.count("949,920,000 791,600,000") == 1
    assert "exceeded" in shown
    assert "…" not in shown


def test_a_terminal_gets_a_bar_and_a_pipe_none(run, files, monkeypatch):
    file = files("a.jsonl", lines(*events(3)))
    monkeypatch.setattr(simulate, "_console", Console(stderr=True, force_terminal=True))

    assert "simulating" in run("simulate", file, *TWO).stderr
