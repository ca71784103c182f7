"""`quota-ledger rejected` on a real broker with a worker: what lies there, what it would become, what it becomes."""

import json

import pytest
from typer.testing import CliRunner

from schemas.rejected_record import FieldError, RejectedRecord
from streams.cli.main import app
from streams.debit_shipments import _reject
from streams.kafka.producer import send_all
from streams.kafka.read_log import LoggedRecord
from streams.kafka.run import Run
from streams.settings import environment_of
from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until

BINARY = b"\xff\xfe not json"


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=1)


@pytest.fixture
def run(desk):
    def run(*arguments):
        return CliRunner().invoke(app, ["rejected", *arguments], env=environment_of(desk.settings))

    return run


@pytest.fixture
def answer(run):
    """A command's answer in JSON."""

    def answer(*arguments, exit_code=0):
        done = run(*arguments, "--json")
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout)

    return answer


@pytest.fixture
def parked(desk, processes, answer):
    """A worker, and three rejects: one that is no JSON, one of no country, one that contradicts what came before it."""
    processes.start("worker", desk.settings)
    desk.produce([shipment("a"), BINARY], headers=[("trace", b"t-1")])
    desk.produce([shipment("uk", country="UK"), shipment("a", quantity=2)])
    desk.wait_settled(4)
    return [item["place"] for item in answer("list")["items"]]


def test_list_tells_what_was_rejected_and_why(desk, parked, answer, run):
    topic = desk.settings.topic_shipments
    assert parked == [f"{topic}/0/1", f"{topic}/0/2", f"{topic}/0/3"]
    items = answer("list")["items"]
    assert [item["reason"] for item in items] == ["not_json", "unknown_country", "conflict"]
    assert [item["known"] for item in items] == [None, None, "other"]
    assert "GB" in items[1]["detail"]

    assert [item["place"] for item in answer("list", "--reason", "conflict")["items"]] == parked[2:]
    assert [item["place"] for item in answer("list", "--limit", "1")["items"]] == parked[2:]
    assert answer("list", "--since", "2999-01-01")["items"] == []
    assert run("list", "--reason", "nonsense").exit_code == 2
    assert "another event has its key" in run("list").stdout


def test_show_tells_bytes_and_headers_as_they_came(parked, answer, run):
    found = answer("show", parked[0])
    assert found["headers"] == [{"name": "trace", "value": "t-1"}]
    assert (found["value_text"], found["value_base64"]) == (None, "//4gbm90IGpzb24=")
    assert "00000000  ff fe 20 6e 6f 74" in run("show", parked[0]).stdout
    assert '"destination": "UK"' in run("show", parked[1]).stdout

    assert run("show", "shipments/0/99").exit_code == 2


def test_a_dry_run_says_what_each_would_become_and_sends_nothing(desk, parked, answer):
    told = answer("replay", "--all", "--dry-run", exit_code=1)
    assert told["written"] is False
    assert [(one["becomes"], one["told"].split(":")[0]) for one in told["items"]] == [
        ("rejected", "not_json"), ("rejected", "unknown_country"), ("rejected", "conflict")
    ]  # fmt: skip
    assert desk.settled() == 4


def test_what_is_still_wrong_is_rejected_again_and_keeps_the_link(desk, parked, answer, run):
    assert answer("replay", parked[0])["written"] is True
    desk.wait_settled(5)
    items = {item["place"]: item for item in answer("list")["items"]}
    again = f"{desk.settings.topic_shipments}/0/4"
    assert items[parked[0]]["rejected_again"] == again
    assert items[again]["replay_of"] == parked[0]
    assert f"rejected again: {again}" in run("list").stdout
    assert answer("show", again)["headers"] == [
        {"name": "trace", "value": "t-1"}, {"name": "quota-replay-of", "value": parked[0]}
    ]  # fmt: skip

    assert [one["place"] for one in answer("replay", "--reason", "not_json", "--dry-run", exit_code=1)["items"]] == [
        again
    ]


def test_a_link_that_a_stranger_wrote_is_told_and_not_believed(desk, parked, answer):
    """It would have an honest reject left out of what is replayed."""
    desk.produce([BINARY + b"!"], headers=[("quota-replay-of", parked[0].encode())])
    desk.wait_settled(5)
    items = {item["place"]: item for item in answer("list")["items"]}
    (feigned,) = set(items) - set(parked)

    assert (items[feigned]["replay_of"], items[parked[0]]["rejected_again"]) == (parked[0], None)
    told = answer("replay", "--reason", "not_json", "--dry-run", exit_code=1)["items"]
    assert [one["place"] for one in told] == [parked[0], feigned]


def test_what_is_right_by_now_is_booked_once_and_told(desk, parked, answer, run):
    """A record that only an older version could not read: parked by hand, as that version would have done."""
    topic = desk.settings.topic_shipments
    value = json.dumps(shipment("late", quantity=3)).encode()
    record = LoggedRecord(1, 1_790_000_000_000, b"late", value, [("source", b"/older")])
    fault = RejectedRecord([FieldError("internal_error", "", "a fault in the ledger")])
    send_all(desk.producer, desk.settings.topic_rejected, [_reject(Run(topic, 7, 0, [record]), record, fault)])
    place = f"{topic}/7/1"

    (told,) = answer("replay", "--reason", "internal_error", "--dry-run")["items"]
    assert (told["becomes"], told["told"]) == ("taken", f"+{3 * H100:,} TPP on country:IN in 2026")
    assert answer("replay", place)["written"] is True
    wait_until(lambda: desk.posted() == {"IN": 4 * H100}, "the replay to be booked")
    assert answer("list", "--reason", "internal_error")["items"][0]["outcome"] == "applied"
    assert desk.decision("/older", "late").outcome == "applied"

    assert answer("replay", "--reason", "internal_error") == {"written": False, "items": []}
    (repeated,) = answer("replay", place)["items"]
    assert repeated["becomes"] == "repeated"
    assert "in the ledger: applied" in run("list", "--reason", "internal_error").stdout
    desk.wait_settled(6)
    assert desk.posted() == {"IN": 4 * H100}


def test_a_wrong_call_ends_with_2(run):
    for arguments in ((), ("--all", "--reason", "conflict"), ("x", "--all"), ("--reason", "x")):
        assert run("replay", *arguments).exit_code == 2
