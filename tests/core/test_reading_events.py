"""What an event may look like, and what is said of a record that is none."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book.judged import kafka_time
from schemas import cloudevents
from schemas.cloudevents import SIZE_MAX, read_event, to_structured
from schemas.quick_reader import read_quickly
from schemas.rejected_record import REJECT_REASONS, RejectedRecord
from streams.debit_shipments import read_record
from tests.simulation.log_model import LoggedRecord

KAFKA = "/kafka/shipments"
DATA = {"shipped_at": "2026-03-01T22:10:00Z", "destination": "IN", "lines": [{"model": "H100 SXM", "quantity": 64}]}
BARE = {"id": "e1", **DATA}
STRUCTURED = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/acme",
    "type": "shipment.shipped",
    "time": "2026-03-02T08:00:00Z",
    "data": DATA,
}
BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"e1"), ("ce_source", b"/acme"), ("ce_type", b"shipment.shipped")]


def raw(said):
    return json.dumps(said).encode()


def line(**changed):
    return {**BARE, "lines": [{"model": "H100 SXM", "quantity": 64, **changed}]}


def without(said, *names):
    return {name: value for name, value in said.items() if name not in names}


def rejected(value, headers=(), recorded_at=None):
    with pytest.raises(RejectedRecord) as caught:
        read_event(value, headers, default_source=KAFKA, recorded_at=recorded_at)
    return caught.value


def test_the_three_modes_say_the_same():
    events = [
        read_event(raw(BARE), [("source", b"/acme")], default_source=KAFKA),
        read_event(raw(STRUCTURED), default_source=KAFKA),
        read_event(raw(DATA), BINARY, default_source=KAFKA),
    ]

    assert {event.key for event in events} == {"/acme#e1"}
    assert len({event.content() for event in events}) == 1


def test_a_bare_event_without_a_source_is_named_by_its_topic():
    assert read_event(raw(BARE), default_source=KAFKA).key == "/kafka/shipments#e1"


def test_a_bare_event_without_a_type_was_shipped():
    assert read_event(raw(BARE), default_source=KAFKA).type == "shipment.shipped"


def test_unknown_fields_are_passed_over_whatever_they_hold():
    odd = {**BARE, "data": "not ours", "source": 7, "specimen": {"a": [1]}}

    assert read_event(raw(odd), default_source=KAFKA).content() == read_event(raw(BARE), default_source=KAFKA).content()


def test_the_envelopes_time_stands_in_for_a_missing_shipping_time():
    event = read_event(raw({**STRUCTURED, "data": without(DATA, "shipped_at")}), default_source=KAFKA)

    assert event.shipped_at == datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_a_shipping_time_counts_in_utc():
    event = read_event(raw({**BARE, "shipped_at": "2027-01-01T08:59:59+09:00"}), default_source=KAFKA)

    assert event.shipped_at == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_key_order_nulls_and_spelling_of_times_change_nothing_said():
    other = {"lines": [{"quantity": 64, "vendor": None, "model": "H100 SXM"}], "destination": "IN", "id": "e1"}
    other["shipped_at"] = "2026-03-02T03:40:00+05:30"

    assert (
        read_event(raw(other), default_source=KAFKA).content() == read_event(raw(BARE), default_source=KAFKA).content()
    )


@pytest.mark.parametrize(
    ("kind", "counts"), [("shipment.corrected", True), ("shipment.resolved", True), ("shipment.returned", False)]
)
def test_the_envelopes_time_is_content_where_the_latest_stands(kind, counts):
    lines = [{"model": "H100 SXM", "quantity": 1, "tpp_each": 1}]
    data = {**DATA, "original_id": "e0", "lines": lines, "actor": "a person", "reason": "a reason"}
    one, other = (
        read_event(
            raw({**STRUCTURED, "type": kind, "time": f"2026-03-0{day}T08:00:00Z", "data": data}), default_source=""
        )
        for day in (1, 2)
    )

    assert (one.content() != other.content()) == counts


def test_another_quantity_says_something_else():
    one, two = (read_event(raw(line(quantity=n)), default_source=KAFKA) for n in (1, 2))

    assert one.content() != two.content()


@pytest.mark.parametrize("said", [BARE, STRUCTURED])
def test_an_event_written_out_and_read_back_says_the_same(said):
    event = read_event(raw(said), default_source=KAFKA)

    assert read_event(to_structured(event), default_source="/elsewhere").content() == event.content()


def test_line_breaks_and_tabs_may_stand_in_free_text():
    assert read_event(raw(line(description="two\nlines\tand a tab")), default_source=KAFKA)


def test_weights_need_neither_model_nor_amount():
    assert read_event(raw({**BARE, "lines": [{"eccn": "4E091", "quantity": 1}]}), default_source=KAFKA)


ADJUSTMENT = {"id": "a", "type": "ledger.adjusted", "country": "IN", "period": "2026", "tpp": 1}

BROKEN = {
    "no value": (None, "tombstone"),
    "empty value": (b"", "tombstone"),
    "too large": (raw({**BARE, "note": "x" * SIZE_MAX}), "too_large"),
    "text": (b"hello", "not_json"),
    "half an object": (b'{"id": "e1"', "not_json"),
    "two objects": (raw(BARE) + raw(BARE), "not_json"),
    "bad UTF-8": (raw(BARE).replace(b"e1", b"\xff"), "not_json"),
    "byte order mark": (b"\xef\xbb\xbf" + raw(BARE), "not_json"),
    "lone surrogate": (raw(BARE).replace(b"e1", b"\\ud800"), "not_json"),
    "single quotes": (b"{'id': 'e1'}", "not_json"),
    "deep brackets": (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "too_deep"),
    "a list": (raw([BARE]), "not_an_object"),
    "a string": (raw("e1"), "not_an_object"),
    "a number": (b"7", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "Confluent framing": (b"\x00\x00\x00\x00\x07" + raw(BARE), "confluent_framing"),
    "Connect envelope": (raw({"schema": {}, "payload": BARE}), "connect_envelope"),
    "unknown type": (raw({**BARE, "type": "shipment.lost"}), "unknown_type"),
    "no id": (raw(DATA), "missing_field"),
    "empty id": (raw({**BARE, "id": ""}), "bad_value"),
    "id a number": (raw({**BARE, "id": 7}), "bad_value"),
    "id null": (raw({**BARE, "id": None}), "missing_field"),
    "id of 2,000 characters": (raw({**BARE, "id": "e" * 2000}), "bad_value"),
    "no destination": (raw(without(BARE, "destination")), "missing_field"),
    "no shipping time": (raw(without(BARE, "shipped_at")), "missing_field"),
    "no lines": (raw(without(BARE, "lines")), "missing_field"),
    "lines an object": (raw({**BARE, "lines": {}}), "bad_value"),
    "empty lines": (raw({**BARE, "lines": []}), "bad_value"),
    "no quantity": (raw({**BARE, "lines": [{"model": "H100 SXM"}]}), "missing_field"),
    "no model": (raw({**BARE, "lines": [{"quantity": 1}]}), "missing_field"),
    "empty model": (raw(line(model="")), "bad_value"),
    "quantity zero": (raw(line(quantity=0)), "number_out_of_range"),
    "quantity below zero": (raw(line(quantity=-5)), "number_out_of_range"),
    "quantity of 30 digits": (raw(line(quantity=10**30)), "number_out_of_range"),
    "quantity of 5,000 digits": (raw(BARE).replace(b"64", b"9" * 5000), "number_out_of_range"),
    "quantity a fraction": (raw(line(quantity=1.5)), "bad_value"),
    "quantity 64.0": (raw(BARE).replace(b"64", b"64.0"), "bad_value"),
    "quantity text": (raw(line(quantity="64")), "bad_value"),
    "quantity true": (raw(line(quantity=True)), "bad_value"),
    "quantity NaN": (raw(BARE).replace(b"64", b"NaN"), "bad_value"),
    "time without offset": (raw({**BARE, "shipped_at": "2026-03-01T22:10:00"}), "bad_time"),
    "time a number": (raw({**BARE, "shipped_at": 1_770_000_000}), "bad_time"),
    "hour 24": (raw({**BARE, "shipped_at": "2026-03-01T24:00:00Z"}), "bad_time"),
    "leap second": (raw({**BARE, "shipped_at": "2026-03-01T23:59:60Z"}), "bad_time"),
    "the last hours of time": (raw({**BARE, "shipped_at": "9999-12-31T23:59:59-12:00"}), "bad_time"),
    "before the first day": (raw({**BARE, "shipped_at": "0001-01-01T00:00:00+12:00"}), "bad_time"),
    "day 31 of April": (raw({**BARE, "shipped_at": "2026-04-31T00:00:00Z"}), "bad_time"),
    "NUL in the model": (raw(line(model="H100\0")), "bad_value"),
    "escape character in the id": (raw({**BARE, "id": "e\x1b1"}), "bad_value"),
    "C1 control in the site": (raw({**BARE, "end_use": {"site": "a\x85b"}}), "bad_value"),
    "channel unheard of": (raw({**BARE, "authorization": {"kind": "friendship"}}), "bad_value"),
    "CloudEvents 0.3": (raw({**STRUCTURED, "specversion": "0.3"}), "bad_value"),
    "CloudEvent without source": (raw(without(STRUCTURED, "source")), "missing_field"),
    "CloudEvent without type": (raw(without(STRUCTURED, "type")), "missing_field"),
    "CloudEvent without data": (raw(without(STRUCTURED, "data")), "missing_field"),
    "return without original": (raw({"id": "r1", "type": "shipment.returned"}), "missing_field"),
    "return of lines without quantity": (
        raw({"id": "r1", "type": "shipment.returned", "original_id": "e1", "lines": [{"model": "H100 SXM"}]}),
        "missing_field",
    ),
    "return of lines without model": (
        raw({"id": "r1", "type": "shipment.returned", "original_id": "e1", "lines": [{"quantity": 1}]}),
        "missing_field",
    ),
    "correction without time": (raw({**BARE, "type": "shipment.corrected", "original_id": "e0"}), "missing_field"),
    "adjustment without reason": (raw({**ADJUSTMENT, "actor": "x"}), "missing_field"),
    "adjustment by nobody": (raw({**ADJUSTMENT, "actor": " ", "reason": "x"}), "bad_value"),
}


@pytest.mark.parametrize(("value", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_body_is_rejected_with_its_reason(value, reason):
    found = rejected(value)

    assert found.reason == reason
    assert reason in REJECT_REASONS
    assert len(found.detail) > 10


def test_every_error_is_told_at_once_with_its_field():
    found = rejected(raw({"id": "e1", "shipped_at": "yesterday", "lines": [{"quantity": 0}, {"model": "H100 SXM"}]}))

    fields = {(error.reason, error.field) for error in found.errors}
    assert fields == {
        ("bad_time", "shipped_at"),
        ("number_out_of_range", "lines.0.quantity"),
        ("missing_field", "lines.0.model"),
        ("missing_field", "lines.1.quantity"),
        ("missing_field", "destination"),
    }


def test_a_rejected_record_is_named_where_it_can_be():
    assert rejected(raw(line(quantity=0))).event_key == "/kafka/shipments#e1"
    assert rejected(raw(without(STRUCTURED, "data"))).event_key == "/acme#e1"
    assert rejected(b"hello").event_key is None


def test_a_rejected_bare_event_is_named_by_its_source_header():
    assert rejected(raw(line(quantity=0)), [("source", b"/acme")]).event_key == "/acme#e1"


def test_a_rejected_binary_event_is_named_and_told_every_error():
    found = rejected(raw({"lines": [{"model": "H100 SXM", "quantity": 0}]}), BINARY)

    assert found.event_key == "/acme#e1"
    fields = {error.field for error in found.errors}
    assert fields == {"data.lines.0.quantity", "data.shipped_at", "data.destination"}


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_time"])
@pytest.mark.parametrize("text", [b"\xff\xfe", b"a\x1b[31m", b"a\x00", b"e" * 2000])
def test_a_header_is_held_to_the_same_rules_as_its_twin_in_json(name, text):
    headers = [pair for pair in BINARY if pair[0] != name]

    assert rejected(raw(DATA), [*headers, (name, text)]).reason in {"bad_value", "bad_time"}


def test_headers_count_towards_the_size_of_an_event():
    assert rejected(raw(DATA), [*BINARY, ("ce_subject", b"s" * SIZE_MAX)]).reason == "too_large"
    assert read_event(raw(DATA), [*BINARY, ("traceparent", b"s" * SIZE_MAX)], default_source=KAFKA)


def test_a_shipment_more_than_a_day_after_its_record_is_in_the_future():
    day_after = datetime(2026, 2, 28, 22, 9, 59, tzinfo=UTC)

    assert rejected(raw(BARE), recorded_at=day_after).reason == "in_the_future"
    assert read_event(raw(BARE), default_source=KAFKA, recorded_at=day_after.replace(second=59, minute=10))


@pytest.mark.parametrize(("milliseconds", "accepted"), [(-1, False), (0, True), (1, True)])
def test_a_record_may_tell_of_a_shipment_a_day_after_its_very_millisecond(milliseconds, accepted):
    shipped_ms, day_ms = 1_790_086_459_999, 86_400_000
    value = raw({**BARE, "shipped_at": kafka_time(shipped_ms).isoformat()})
    record = LoggedRecord(0, None, value, timestamp=shipped_ms - day_ms + milliseconds)

    if accepted:
        assert read_record(record, KAFKA).shipped_at == kafka_time(shipped_ms)
    else:
        with pytest.raises(RejectedRecord) as refusal:
            read_record(record, KAFKA)
        assert refusal.value.reason == "in_the_future"
        assert kafka_time(record.timestamp).isoformat() in refusal.value.detail


def test_binary_mode_takes_its_envelope_from_the_headers_alone():
    event = read_event(
        raw({**DATA, "id": 7, "type": 7}), [*BINARY, ("ce_time", b"2026-03-02T08:00:00Z")], default_source=KAFKA
    )

    assert event.key == "/acme#e1"
    assert event.time == datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_binary_mode_without_a_source_is_rejected():
    assert rejected(raw(DATA), BINARY[:2]).reason == "missing_field"


def test_a_bad_time_in_a_header_is_rejected():
    assert rejected(raw(DATA), [*BINARY, ("ce_time", b"soon")]).reason == "bad_time"


@given(st.binary(max_size=200))
def test_random_bytes_are_rejected_and_never_raise_anything_else(value):
    assert rejected(value).reason in REJECT_REASONS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*STRUCTURED, *DATA, "x"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*STRUCTURED, *DATA, "consignee", "x"]), json_values, max_size=8))
def test_a_mutated_event_is_an_event_or_rejected_and_nothing_else(changes):
    for said in ({**BARE, **changes}, {**STRUCTURED, **changes}):
        try:
            event = read_event(raw(said), default_source=KAFKA)
        except RejectedRecord as found:
            told = found
        else:
            told = None
            event.content()
        assert told is None or told.reason in REJECT_REASONS


@given(st.dictionaries(st.sampled_from([*STRUCTURED, *DATA, "consignee", "x"]), json_values, max_size=4))
def test_what_passes_at_a_glance_is_what_a_close_look_finds(changes):
    recorded_at = datetime(2026, 3, 2, tzinfo=UTC)
    for said in (BARE, STRUCTURED, {**BARE, **changes}, {**STRUCTURED, **changes}):
        if (wire := read_quickly(raw(said))) is None:
            continue
        envelope, data = cloudevents._envelope_and_data(wire, KAFKA)
        glance = cloudevents._whole_shipment(envelope, data, recorded_at)
        if glance is not None:
            assert cloudevents._assemble(envelope, data, recorded_at) == glance
