"""`resolve` and `adjust` with a real worker: what a person does goes by the topic, and a repeat repeats nothing."""

import json

import pytest
from typer.testing import CliRunner

from streams.cli import acts
from streams.cli.main import app
from streams.settings import environment_of
from tests.live_kafka.desk import H100, LiveDesk, shipment

PERSON = ("--actor", "A. Person", "--reason", "the maker's data sheet")
WORD = ("--model", "Z9 Turbo", "--tpp-each", "5000", *PERSON)


class Desk(LiveDesk):
    def command(self, *arguments):
        return CliRunner().invoke(app, [*map(str, arguments)], env=environment_of(self.settings))

    def on_topic(self):
        """The events that commands wrote."""
        records = [json.loads(record.value) for record in self.records(self.settings.topic_shipments)]
        return [record for record in records if record.get("source") == "/cli"]

    def held(self):
        return json.loads(self.command("resolve", "--list", "--json").stdout)["items"]


@pytest.fixture
def desk(make_settings):
    desk = Desk(make_settings(partitions=1))
    yield desk
    desk.close()


@pytest.fixture
def busy_desk(desk, processes):
    """A worker runs; three shipments hold a part that nobody knows, and a return waits."""
    processes.start("worker", desk.settings)
    lost = {"id": "r", "type": "shipment.returned", "original_id": "never-came"}
    parts = [shipment(f"s{number}", model="Z9 Turbo", quantity=number) for number in (1, 2, 3)]
    desk.produce([*parts, shipment("other", model="Q-7", quantity=1), shipment("known"), lost])
    desk.wait_settled(6)
    return desk


@pytest.fixture
def source(desk):
    return f"/kafka/{desk.settings.topic_shipments}"


def test_a_word_books_the_held_line_once_and_says_who_and_why(busy_desk, source):
    desk = busy_desk
    assert [(item["id"], item["quantity"], item["resolvable"]) for item in desk.held()] == [
        ("other", 1, True),
        ("s1", 1, True),
        ("s2", 2, True),
        ("s3", 3, True),
    ]
    dry = desk.command("resolve", source, "s2", *WORD, "--dry-run", "--json")
    assert (dry.exit_code, desk.on_topic()) == (0, [])
    done = desk.command("resolve", source, "s2", *WORD, "--json")

    foreseen, told = (json.loads(command.stdout) for command in (dry, done))
    assert (done.exit_code, foreseen["written"], told["written"]) == (0, False, True)
    assert foreseen["items"][0]["charges"] == told["items"][0]["charges"]
    assert (told["items"][0]["outcome"], told["items"][0]["charges"][0]["tpp"]) == ("applied", 10_000)
    assert desk.posted()["IN"] == H100 + 10_000
    assert desk.decision(source, "s2").outcome == "applied"

    again = desk.command("resolve", source, "s2", *WORD)
    assert again.exit_code == 0
    assert "0 are written; 1 were said before" in again.stderr
    [event] = desk.on_topic()
    assert event["type"] == "shipment.resolved"
    assert event["data"] == {
        "original_source": source,
        "original_id": "s2",
        "lines": [{"model": "Z9 Turbo", "tpp_each": 5_000}],
        "actor": "A. Person",
        "reason": "the maker's data sheet",
    }


def test_a_later_word_on_the_same_part_stands(busy_desk, source):
    desk = busy_desk
    for tpp in ("5000", "6000"):
        word = ("--model", "Z9 Turbo", "--tpp-each", tpp, *PERSON)
        assert desk.command("resolve", source, "s3", *word).exit_code == 0

    assert desk.posted()["IN"] == H100 + 3 * 6_000


def test_every_held_line_of_a_part_is_resolved_by_one_command(busy_desk):
    desk = busy_desk
    done = desk.command("resolve", *WORD, "--all-held")

    assert done.exit_code == 0, done.output
    assert "3 are written" in done.stderr
    assert desk.posted()["IN"] == H100 + 6 * 5_000
    assert [item["id"] for item in desk.held()] == ["other"]
    assert "no line is held" in desk.command("resolve", *WORD, "--all-held").stderr
    assert len(desk.on_topic()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "name one event by its source and id, or write --all-held"),
        (("{source}", "s1", "--all-held"), 2, "name one event by its source and id, or write --all-held"),
        (("{source}", "s1", "--model", "Z9 Turbo"), 2, "state --model, --tpp-each, --actor and --reason"),
        (("{source}", "s1", "--model", "Z8", "--tpp-each", "5000", *PERSON), 2, "held for want of that are Z9 Turbo"),
        (("{source}", "known", *WORD), 2, "nothing of it is held for want of that"),
        (("{source}", "nobody", *WORD), 1, "is not in the ledger"),
    ],
)
def test_a_word_that_nothing_would_follow_is_not_written(busy_desk, source, arguments, code, said):
    done = busy_desk.command("resolve", *(word.format(source=source) for word in arguments))

    assert done.exit_code == code
    assert said in done.stderr
    assert busy_desk.on_topic() == []


def test_an_adjustment_is_booked_once_with_who_and_why(busy_desk):
    desk = busy_desk
    arguments = ("adjust", "IN", "2026", "-5000", *PERSON, "--approved-by", "B. Boss")
    first, again, other = (desk.command(*arguments, *more) for more in ((), (), ("--id", "one-more")))

    assert (first.exit_code, again.exit_code, other.exit_code) == (0, 0, 0), first.output
    assert "A. Person adjusts India 2026, approved by B. Boss: the maker's data sheet." in first.stdout
    assert "it was booked before; nothing is written" in again.stderr
    assert desk.posted()["IN"] == H100 - 2 * 5_000
    refused = desk.command("adjust", "IN", "2026", "7", *PERSON, "--id", "one-more")
    assert (refused.exit_code, "says something else" in refused.stderr) == (2, True)
    assert len(desk.on_topic()) == 2


@pytest.mark.parametrize(("country", "period"), [("UK", "2026"), ("IN", "26")])
def test_an_adjustment_of_no_country_or_period_is_not_written(busy_desk, country, period):
    done = busy_desk.command("adjust", country, period, "5", *PERSON)

    assert done.exit_code == 2
    assert busy_desk.on_topic() == []


def test_acts_that_no_worker_read_yet_are_the_same_events_when_they_are_repeated(
    busy_desk, source, processes, monkeypatch
):
    desk = busy_desk
    processes.kill(processes.all[0])
    monkeypatch.setattr(acts, "SETTLED_MAX_S", 0.3)
    for _ in range(2):
        for arguments in (("resolve", source, "s2", *WORD), ("adjust", "IN", "2026", "5", *PERSON)):
            done = desk.command(*arguments)
            assert done.exit_code == 69
            assert "no worker settled it within 0.3 s. It need not be written again" in done.stderr
    processes.start("worker", desk.settings)
    desk.wait_settled(10)

    assert desk.posted()["IN"] == H100 + 10_000 + 5
    assert desk.rejects() == []


def test_status_names_what_waits_and_what_is_held(busy_desk, source):
    told, shown = (busy_desk.command("status", "--period", "2026", *more) for more in (("--json",), ()))
    status = json.loads(told.stdout)

    assert status["waiting"] == [{"source": source, "id": "r"}]
    assert [event["id"] for event in status["held"]] == ["other", "s1", "s2", "s3"]
    assert f"1 waiting for an event that is not known yet: {source}#r" in shown.stdout
    assert "4 with held lines, which `quota-ledger resolve --list` shows" in shown.stdout
    assert "Z9 Turbo is not in the catalogue" in busy_desk.command("resolve", "--list").stdout
