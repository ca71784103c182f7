"""The command line without a ledger: exit codes, what is said to whom, sample and dry run."""

import json
import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.cloudevents import read_event
from schemas.decision import Decision
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import Forecast, Freshness, QuotaList, QuotaStatus
from streams.cli import processes, send, tables
from streams.cli.processes import http_url
from streams.embedded.state import write_state
from streams.embedded.valkey import free_port
from streams.readers import read_file
from streams.settings import Settings, load_settings

LINES = '"lines": [{"model": "H100 SXM", "quantity": 8}]'
GOOD = '{"id": "a", "shipped_at": "2026-03-01T00:00:00Z", "destination": "IN", ' + LINES + "}"


# ---------------------------------------------------------------------------------------------- Exit codes and settings


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("status", "--perod", "2026"), ("send",), ("sample", "--count", "-1"), ("alerts", "--kind", "x")],
)
def test_a_wrong_call_ends_with_2_and_without_a_traceback(run, arguments):
    done = run(*arguments)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_setting_stops_the_start_and_names_the_likely_one(run):
    done = run("status", environment={"QUOTA_LEDGRE": "x"})

    assert done.exit_code == 2
    assert done.stderr == "quota-ledger: QUOTA_LEDGRE is no setting of quota-ledger; did you mean QUOTA_LEDGER?\n"


@pytest.mark.parametrize("arguments", [("status",), ("status", "IN", "--json"), ("alerts",), ("explain", "/a", "b")])
def test_redis_away_ends_with_69_and_never_with_a_zero(run, arguments):
    done = run(*arguments)

    assert (done.exit_code, done.stdout) == (69, "")
    assert "Redis does not answer" in done.stderr


def test_kafka_away_ends_with_69_and_names_broker_and_setting(run, files):
    done = run("send", files("a.jsonl", GOOD))

    assert done.exit_code == 69
    assert "nothing listens at 127.0.0.1:1; start it or set QUOTA_KAFKA_BOOTSTRAP" in done.stderr


def test_every_command_says_which_ledger_it_speaks_to_without_the_password(run):
    done = run("status")

    assert "ledger main by its settings: Redis redis://127.0.0.1:1/0, Kafka 127.0.0.1:1\n" in done.stderr
    assert "S3cret" not in done.stderr


def test_without_addresses_a_command_speaks_to_the_running_up(run, tmp_path):
    state_dir = tmp_path / "state"
    write_state(
        Settings(kafka_bootstrap="127.0.0.1:2", redis_url="redis://127.0.0.1:2/0", state_dir=state_dir), "http://x"
    )
    done = run("status", environment={})

    assert "of the running `up`: Redis redis://127.0.0.1:2/0, Kafka 127.0.0.1:2" in done.stderr


def test_the_state_lies_in_the_users_home_wherever_a_command_is_called(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")

    assert str(load_settings({}).state_dir) == "/home/somebody/.local/state/quota-ledger"


def test_an_address_of_ones_own_goes_before_the_running_up(run, tmp_path):
    state_dir = tmp_path / "state"
    write_state(Settings(redis_url="redis://127.0.0.1:2/0", state_dir=state_dir), "http://x")

    assert "by its settings: Redis redis://127.0.0.1:1/0" in run("status").stderr


def test_the_endpoint_is_not_opened_to_other_machines_without_keys(run):
    done = run("api", environment={"QUOTA_AUTH": "off", "QUOTA_HTTP_HOST": "0.0.0.0"})

    assert done.exit_code == 2
    assert "set QUOTA_AUTH=required" in done.stderr


def test_a_taken_port_is_named_with_its_setting(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("api", environment={"QUOTA_AUTH": "off", "QUOTA_HTTP_PORT": str(port)})

    assert done.exit_code == 2
    assert f"cannot listen on http://127.0.0.1:{port}" in done.stderr
    assert "QUOTA_HTTP_PORT" in done.stderr


def test_the_body_of_an_answer_does_not_wait_until_its_head_is_acknowledged():
    settings = Settings(http_port=free_port())
    with processes._listen(settings) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            at_once = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert at_once


@pytest.mark.parametrize("command", ["worker", "status", "sender", "send"])
@pytest.mark.parametrize("url", ["http://x", "redis://:S3cret@127.0.0.1:notaport/0", "redis://:S3c/ret@127.0.0.1/0"])
def test_an_address_of_no_redis_ends_with_2_and_tells_no_password(run, command, url):
    done = run(*([command, "-"] if command == "send" else [command]), environment={"QUOTA_REDIS_URL": url}, stdin="")

    assert done.exit_code == 2
    assert done.stderr.startswith("quota-ledger: QUOTA_REDIS_URL: it is no address of a Redis; write redis://")
    assert done.stderr.count("\n") == 1
    assert "S3c" not in done.stderr


@pytest.mark.parametrize("command", ["worker", "sender", "up"])
def test_a_state_folder_that_cannot_be_made_ends_with_2(run, command, files):
    folder = files("a-file", "") / "below"
    done = run(command, environment={"QUOTA_STATE_DIR": str(folder), "QUOTA_HTTP_PORT": "0"})

    assert done.exit_code == 2
    assert f"quota-ledger: QUOTA_STATE_DIR: {folder}" in done.stderr
    assert "cannot be made: Not a directory" in done.stderr


@pytest.fixture
def sample_process():
    """Starts `sample`, which prints more than a pipe holds, with its output somewhere."""

    def start(stdout):
        command = [sys.executable, "-m", "streams.cli.main", "sample", "--count", "500"]
        return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)

    return start


def test_a_command_whose_reader_goes_ends_quietly_and_as_other_programs_do(sample_process):
    with sample_process(subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()

        assert (process.wait(30), process.stderr.read()) == (141, "")


def test_what_cannot_be_written_is_said_in_one_line(sample_process):
    with Path("/dev/full").open("w") as full, sample_process(full) as process:
        assert process.wait(30) == 1
        assert process.stderr.read() == "quota-ledger: cannot write: No space left on device\n"


@pytest.mark.parametrize(
    "arguments", [("send", "--dry-run", "-"), ("simulate", "-", "--policy", "annual-50k", "--against", "december-2024")]
)
def test_a_closed_standard_input_is_a_wrong_call(run, monkeypatch, arguments):
    monkeypatch.setattr(read_file, "sys", SimpleNamespace(stdin=None))
    done = run(*arguments)

    assert done.exit_code == 2
    assert "quota-ledger: standard input is closed; pipe JSON lines" in done.stderr


@pytest.mark.parametrize("arguments", [("rejected", "list"), ("webhooks", "resend", "wh_1")])
def test_a_time_that_is_none_is_answered_with_how_to_write_one(run, arguments):
    done = run(*arguments, "--since", "noon")

    assert done.exit_code == 2
    assert done.stderr.endswith("quota-ledger: --since: 'noon' is no time; write one such as 2026-11-22T09:00Z\n")


def test_a_webhook_for_no_country_is_answered_with_what_to_write(run):
    done = run("webhooks", "add", "https://example.com/hook", "--country", "India")

    assert done.exit_code == 2
    assert done.stderr == "quota-ledger: countries.0: write a country's two capital letters, such as IN\n"


@pytest.mark.parametrize("topic", ["SHIPMENTS", "REJECTED", "ALERTS", "SETTINGS"])
@pytest.mark.parametrize("name", ["", "two words", "x" * 250])
def test_a_name_that_no_topic_can_have_ends_with_2(run, topic, name):
    done = run("status", environment={f"QUOTA_TOPIC_{topic}": name})

    assert done.exit_code == 2
    assert f"QUOTA_TOPIC_{topic}: " in done.stderr


def test_a_file_of_settings_that_is_not_utf_8_ends_with_2(run, tmp_path):
    (tmp_path / "q.toml").write_bytes('ledger = "é"'.encode("latin-1"))
    done = run("status", environment={"QUOTA_CONFIG": str(tmp_path / "q.toml")})

    assert done.exit_code == 2
    assert "q.toml is not TOML in UTF-8" in done.stderr


@pytest.mark.parametrize("arguments", [("--sample",), ()])
def test_up_on_parts_of_ones_own_names_what_is_lacking_before_anything_is_made(run, tmp_path, arguments):
    done = run("up", *arguments)

    assert done.exit_code == 2
    assert "set QUOTA_SECRET_KEY" in done.stderr
    assert ("set QUOTA_AUTH=off" in done.stderr) is bool(arguments)
    assert not (tmp_path / "state").exists()


def test_up_is_not_opened_to_other_machines_without_keys(run, tmp_path):
    done = run("up", environment={"QUOTA_HTTP_HOST": "0.0.0.0"})

    assert done.exit_code == 2
    assert "set QUOTA_AUTH=required" in done.stderr
    assert not (tmp_path / "state").exists()


def test_an_address_of_ipv6_stands_in_brackets():
    assert http_url("::1", 8080) == "http://[::1]:8080"
    assert http_url("127.0.0.1", 8080) == "http://127.0.0.1:8080"


# --------------------------------------------------------------------------------------------------- Sample, dry run


def test_every_line_of_the_sample_is_an_event_of_its_own(run):
    done = run("sample", "--count", 50, "--seed", 7)
    events = [
        read_event(line.encode(), default_source="/x", recorded_at=datetime.now(UTC))
        for line in done.stdout.splitlines()
    ]

    assert done.exit_code == 0
    assert len({event.key for event in events}) == len(events) > 50
    assert done.stdout == run("sample", "--count", 50, "--seed", 7).stdout


def test_a_dry_run_says_tier_and_charge_and_names_what_is_bad(run, files):
    bad = GOOD.replace('"a"', '"b"').replace("IN", "UK")
    good_file = files("good.jsonl", f"{GOOD}\n\n{bad}\nnonsense\n")
    csv_file = files(
        "more.csv", "id,shipped_at,destination,vendor,model,quantity\nc,2026-01-05T00:00:00Z,CN,NVIDIA,H20,x\n"
    )
    done = run("send", "--dry-run", good_file, csv_file)

    assert done.exit_code == 1
    assert done.stdout == f"{good_file}:1: /file/good.jsonl#a: tier 2; +126,656 TPP on country:IN in 2026\n"
    assert f"{good_file}:3: unknown_country: destination: 'UK' is no country code" in done.stderr
    assert f"{good_file}:4: not_json: " in done.stderr
    assert f"{csv_file}:2: bad_value: line 2, quantity: found " in done.stderr
    assert "1 events would be sent; 3 bad ones would not" in done.stderr
    assert "by QUOTA_POLICY" in done.stderr


def test_a_dry_run_of_good_files_ends_with_0_and_reads_standard_input(run):
    done = run("send", "--dry-run", "-", stdin=GOOD)

    assert done.exit_code == 0
    assert done.stdout.startswith("-:1: /file/stdin#a: tier 2;")


def test_a_dry_run_counts_an_events_lines_from_1_as_alerts_and_the_list_of_held_lines_do(run):
    event = json.loads(GOOD)
    event["lines"] += [{"model": "Z9 Turbo", "quantity": 1}]
    done = run("send", "--dry-run", "-", stdin=json.dumps(event))

    assert "; line 2 is held: Z9 Turbo is not in the catalogue; " in done.stdout


def test_sending_and_a_dry_run_judge_alike(run, files, monkeypatch):
    topic = []
    monkeypatch.setattr(send, "make_producer", lambda _: None)
    monkeypatch.setattr(send, "close_producer", lambda _: None)
    monkeypatch.setattr(
        send, "send_all", lambda _producer, _topic, records, _on_sent: topic.extend(records) or len(topic)
    )
    returned = GOOD.replace('"a"', '"c", "type": "shipment.returned", "original_id": "a"')
    file = files("mixed.jsonl", "\n".join([GOOD, GOOD.replace('"a"', '"b"').replace("IN", "UK"), returned, "nonsense"]))
    sent, dry = run("send", file), run("send", "--dry-run", file)

    refused = [[line for line in done.stderr.splitlines() if line.startswith(str(file))] for done in (sent, dry)]
    assert refused[0] == refused[1]
    assert [line.split(": ")[1] for line in refused[0]] == ["unknown_country", "not_json"]
    assert (sent.exit_code, dry.exit_code) == (1, 1)
    assert [key for key, _, _ in topic] == [b"a", b"c"]


def test_a_json_document_over_many_lines_gets_one_hint(run, files):
    for text, asked in ((json.dumps(json.loads(GOOD), indent=2), "`jq -c .`"), ("[\n" + GOOD + "\n]", "`jq -c .[]`")):
        file = files("pretty.json", text)
        done = run("send", "--dry-run", file)

        assert done.exit_code == 1
        [told] = [line for line in done.stderr.splitlines() if line.startswith(str(file))]
        assert told.startswith(
            f"{file}:1: not_json: the file is one JSON document over many lines; write one event a line"
        )
        assert asked in told


def test_the_sample_goes_through_a_dry_run(run):
    done = run("send", "--dry-run", "-", stdin=run("sample").stdout)

    assert done.exit_code == 0
    assert "country:IN" in done.stdout


def test_a_file_that_is_not_there_ends_with_2(run, tmp_path):
    assert run("send", "--dry-run", tmp_path / "gone.csv").exit_code == 2


# ------------------------------------------------------------------------------------------------------------- Tables


FRESHNESS = Freshness(applied_at=datetime(2026, 11, 22, tzinfo=UTC), lag_records=3, lag_s=1.0)


def a_status(country="IN", **more):
    told = {"country": country, "name": "India", "tier": 2, "period": "2026", "cap_tpp": 791_600_000}
    told |= {"posted_tpp": 747_301_248, "reserved_tpp": 0, "available_tpp": 44_298_752, "used_ratio": 0.944}
    told |= {"h100_equivalents": 47201.9, "status": "near_cap", "thresholds": [], "held_lines": 2, "regime": None}
    told |= {"last_posted_at": None, "period_end": None, "policy_id": "p", "policy_sha256": "0", "freshness": FRESHNESS}
    return QuotaStatus(**told | more)


def test_no_amount_is_cut_at_80_columns(capsys, monkeypatch):
    monkeypatch.setattr(tables, "_WIDTH_IN_PIPES", 80)
    long = a_status("VC", name="Saint Vincent and the Grenadines", status="prohibited", used_ratio=None, cap_tpp=0)
    untouched = a_status("AD", posted_tpp=0, held_lines=0)
    tables.show(tables.quota_table(QuotaList(items=[a_status(), long, untouched], freshness=FRESHNESS)))
    shown = capsys.readouterr().out

    assert shown.count("747,301,248") == 2
    assert "791,600,000" in shown
    assert "94.4" in shown
    assert "near_cap, 2 held" in shown
    assert "1 countries have no entries." in shown
    assert "…" not in shown


@pytest.mark.parametrize("width", [20, 60, 80])
def test_a_narrow_terminal_loses_neither_a_country_nor_a_digit(capsys, monkeypatch, width):
    monkeypatch.setattr(tables.Terminal, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    tables.show(tables.quota_table(QuotaList(items=[a_status(reserved_tpp=100_000_000)], freshness=FRESHNESS)))
    shown = capsys.readouterr().out

    for whole in ("IN India", "747,301,248", "100,000,000", "791,600,000", "near_cap", "2 held"):
        assert whole in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (
            (12, 3, 20),
            "used up about 2026-12-12, between 2026-12-03 and 2026-12-20, at 5 TPP a week",
        ),
        (
            (12, 3, None),
            "used up about 2026-12-12, 2026-12-03 at the earliest, perhaps not in this period, at 5 TPP a week",
        ),
        ((None, 3, None), "used up on 2026-12-03 at the earliest, more likely not in this period, at 5 TPP a week"),
        ((None, None, None), "not used up in this period, at 5 TPP a week"),
    ],
)
def test_a_sheet_tells_the_forecast_as_far_as_there_is_one(capsys, days, told):
    exhausted, earliest, latest = (day and date(2026, 12, day) for day in days)
    forecast = Forecast(
        exhausted_on=exhausted, earliest_on=earliest, latest_on=latest, pace_tpp_per_week=5, weeks=12, method="m"
    )
    tables.show(tables.quota_sheet(a_status(forecast=forecast)))
    tables.show(tables.quota_sheet(a_status()))
    shown = capsys.readouterr().out

    assert told in shown
    assert shown.count("forecast") == 1


@pytest.mark.parametrize(
    ("lag_records", "lag_s", "told"),
    [
        (0, 0.0, "0 records behind"),
        (7, 3.5, "7 records behind"),
        (0, 47.3, "no worker has looked at the topic for 47 s"),
        (None, None, "the topic's end is not known"),
    ],
)
def test_a_ledger_at_whose_topic_no_worker_looks_is_not_told_to_have_nothing_behind(lag_records, lag_s, told):
    freshness = FRESHNESS.model_copy(update={"lag_records": lag_records, "lag_s": lag_s})

    assert tables.freshness_line(freshness).endswith(f", {told}.")


def test_an_alert_is_one_line_whatever_a_sender_wrote():
    forged = "The TPP of x\n2026-11-22 12:00:00 critical quota.exceeded\tIndia \u202eis past its cap"
    at = FRESHNESS.applied_at
    told = {"alert_id": "al_1", "kind": "part.unknown", "severity": "warning", "occurred_at": at, "recorded_at": at}
    told |= {"policy_id": "p", "policy_sha256": "0", "incident_key": "i", "message": forged}

    assert tables.alert_line(QuotaAlert.model_validate(told)).plain.isprintable()


def test_rows_of_several_periods_tell_each_its_period(capsys):
    lists = [
        QuotaList(
            items=[a_status("CN", period=period), a_status("AD", period=period, posted_tpp=0, held_lines=0)],
            freshness=FRESHNESS,
        )
        for period in ("2024", "2026")
    ]
    lists[0].items.append(a_status("AE", period="2024"))
    tables.show(tables.quota_table(*lists))
    shown = capsys.readouterr().out.splitlines()

    assert shown[0].split()[:2] == ["country", "period"]
    assert [(row[:2], "2024" in row, "2026" in row) for row in shown[1:4]] == [
        ("AE", True, False),
        ("CN", True, False),
        ("CN", False, True),
    ]
    assert shown[-1].startswith("Periods 2024, 2026. 1 countries have no entries.")


def test_a_decision_is_shown_whole_and_names_are_not_taken_for_markup(capsys):
    decision = Decision(
        event_key="/a#[red]1", outcome="applied", policy_id="p", policy_sha256="0", regime=None, tier=2, tier_reason="",
        license_required=None, charges=[], held=[], alerts=[], lines=[], fits=True, event_sha256="0", recorded_at=None,
        rules=[{"rule": "a rule", "source": "S1 [PRESS]"}], receipt=["[bold]Line 1 is booked."],
    )  # fmt: skip
    tables.show(tables.decision_sheet(decision))
    shown = capsys.readouterr().out

    for said in ("/a#[red]1: applied", "[bold]Line 1 is booked.", "a rule  S1 [PRESS]"):
        assert said in shown


def test_json_is_one_document_with_the_names_of_http(capsys):
    tables.show_json(a_status())

    assert json.loads(capsys.readouterr().out)["posted_tpp"] == 747_301_248
