"""What strangers write into an event is text wherever a person reads it: no markup, no lines and signs of its own."""

from datetime import UTC, datetime

import pytest
from rich.console import Group

from ledger.policy import load_policy
from ledger.rules.alerts import notice_alerts
from ledger.rules.judge import judge
from schemas.parked_record import ParkedHeader, ParkedOriginal, ParkedRecord, Replay, ReplayList
from schemas.quota_status import Freshness, LedgerStatus
from schemas.unsettled import EventName, HeldItems, HeldList
from schemas.verification import AccountAmounts, AccountDifference, Finding, Verification
from streams.cli import tables
from streams.cli.reject_tables import parked_sheet, parked_table, replay_table
from streams.cli.tables import alert_line, decision_sheet, decision_table, held_table, ledger_sheet, show
from streams.cli.verification_tables import verification_sheet
from tests.builders import a_line, a_shipment, described

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEN = "[/x] [red]bold[/red] :bomb: <!channel> <b>"
STEERING = "\u202e\u2066\u200b\u2028\n\t"
HOSTILE = f"{SEEN}{STEERING}2026-03-01 critical"
POLICY = load_policy("diffusion-2025")


def a_hostile_shipment(text=HOSTILE):
    """A shipment that says so in every free text, under whose rules much is to be told."""
    party = {"name": text[:1000], "country": "VN", "id": text[:1000]}
    return a_shipment(
        id=text[:200],
        source=text[:200],
        shipment_id=text[:200],
        exporter={"name": text, "country": "US"},
        consignee=party | {"role": "reseller", "headquarters": "CN", "ultimate_parent": party},
        bill_to={"name": text, "country": "AE"},
        authorization={"kind": "lpp", "number": text},
        end_use={"purpose": "unknown", "model": text, "model_developer_country": "CN", "site": ""},
        lines=[
            a_line(vendor=text, model=f"Ascend 910B {text}", description=text, part_number=text),
            a_line(declared_as=text, tpp_each=99_999, quantity=500),
            a_line(vendor=text, model=text, sku=text),
            a_line(vendor=text, model=text, eccn="4E091"),
        ],
    )


def alerts_on(event):
    return notice_alerts(event, judge(event, POLICY), POLICY, NOW)


def test_an_alert_says_one_line_whatever_the_event_says():
    messages = {alert.kind: alert.message for alert in alerts_on(a_hostile_shipment())}

    assert {"part.unknown", "prc_model.end_use", "ascend.detected", "redflag.rf29", "hq.tier3"} <= messages.keys()
    assert all(message.isprintable() for message in messages.values())
    assert SEEN in messages["part.unknown"]
    assert SEEN in messages["prc_model.end_use"]


def test_an_alert_shows_the_beginning_of_what_is_long():
    lengths = {alert.kind: len(alert.model_dump_json()) for alert in alerts_on(a_hostile_shipment("long " * 700))}

    assert max(lengths.values()) < 4000, lengths


def the_decision():
    event = a_hostile_shipment()
    return described(event, POLICY).model_copy(update={"alerts": alerts_on(event)})


def the_held_lines():
    item = HeldItems(
        source=HOSTILE, id=HOSTILE, shipment_id=HOSTILE, country="IN", line=0, vendor=HOSTILE, model=HOSTILE,
        part=HOSTILE, quantity=1, reason=HOSTILE, resolvable=True,
    )  # fmt: skip
    return HeldList(items=[item])


def the_status():
    names = [EventName(source=HOSTILE, id=HOSTILE)]
    freshness = Freshness(applied_at=None, lag_records=None, lag_s=None)
    return LedgerStatus(items=[], next=None, freshness=freshness, waiting=names, held=names)


def the_reject():
    return ParkedRecord(
        place="shipments/0/1", reason="bad_value", detail="wrong", event_key=HOSTILE, parked_at=NOW, size_bytes=2,
        replay_of=HOSTILE, rejected_again=None, known=None, outcome=None,
    )  # fmt: skip


def the_rejected_original():
    headers = [ParkedHeader(name=HOSTILE, value=HOSTILE)]
    return ParkedOriginal(
        record=the_reject(), key_base64=None, headers=headers, value_base64="e30=", value_text="{}", cut=False
    )


def the_replays():
    replay = Replay(place="shipments/0/1", event_key=HOSTILE, becomes="rejected", told=HOSTILE)
    return ReplayList(written=False, items=[replay])


def the_verification():
    found = [Finding(what="wait", name=HOSTILE, told=HOSTILE)]
    nothing = AccountAmounts(posted_tpp=0, reserved_tpp=0)
    account = AccountDifference(
        account=HOSTILE, period="2026", expected=nothing, found=nothing, journal=nothing, bookings=nothing,
        breaks_at=None,
    )  # fmt: skip
    return Verification(
        right=False, records=1, events=1, rejects=0, alerts=0, checkpoints={}, tick=-1, accounts=[account],
        findings=found, counts={"wait": 1}, notes=found, noted=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        lambda: decision_sheet(the_decision()),
        lambda: decision_table([the_decision()]),
        lambda: held_table(the_held_lines()),
        lambda: Group(*map(alert_line, alerts_on(a_hostile_shipment()))),
        lambda: ledger_sheet(the_status()),
        lambda: parked_table([the_reject()]),
        lambda: parked_sheet(the_rejected_original(), b"{}"),
        lambda: replay_table(the_replays()),
        lambda: verification_sheet(the_verification()),
    ],
    ids=[
        "explain", "adjust", "resolve --list", "alerts", "status", "rejected list", "rejected show", "rejected replay",
        "verify",
    ],
)  # fmt: skip
def test_a_command_prints_a_strangers_words_as_they_stand_and_is_not_steered(answer, capsys, monkeypatch):
    monkeypatch.setattr(tables, "_WIDTH_IN_PIPES", 10_000)
    show(answer())
    printed = capsys.readouterr().out

    assert "[/x]" in printed
    assert "[red]" in printed
    assert all(line.isprintable() for line in printed.split("\n"))
    assert not any(line.strip().startswith("2026-03-01 critical") for line in printed.split("\n"))
