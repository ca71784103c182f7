"""Files of events: what is read, what is refused, and where the refusal says it stands."""

import io
import json
from datetime import UTC, datetime

import pytest

from ledger.errors import WrongCall
from schemas.cloudevents import SIZE_MAX, read_event
from streams.readers.json_lines import read_json_lines
from streams.readers.read_file import read_file
from streams.readers.records import BadRecord, GoodRecord

HEADER = "id,shipped_at,destination,model,quantity"
ROW = "e-1,2026-03-01T00:00:00Z,IN,H100 SXM,8"


def a_line(event_id="e-1", **more):
    said = {"id": event_id, "shipped_at": "2026-03-01T00:00:00Z", "destination": "IN"}
    return json.dumps(said | {"lines": [{"model": "H100 SXM", "quantity": 8}]} | more)


def written(tmp_path, text, name="shipments.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(tmp_path, text, name="shipments.csv", **more):
    return list(read_file(written(tmp_path, text, name), **more))


def only_error(records):
    [record] = records
    assert isinstance(record, BadRecord)
    [error] = record.rejected.errors
    return record.line, error.reason, error.field, error.advice


# ---------------------------------------------------------------------------------------------------------- JSON lines


def test_json_lines_go_onto_the_topic_byte_by_byte_with_the_file_as_bare_events_source(tmp_path):
    first, second = a_line("a", unknown_field="kept"), a_line("b", shipment_id="S-1")
    one, two = read(tmp_path, f"{first}\n\n{second}\n", "may.jsonl")

    assert (one.line, two.line) == (1, 3)
    assert one.outgoing() == (b"a", first.encode(), [("source", b"/file/may.jsonl")])
    assert two.outgoing()[0] == b"S-1"
    assert one.event.key == "/file/may.jsonl#a"


def test_a_record_from_a_file_reads_on_the_topic_as_it_read_in_the_file(tmp_path):
    [record] = read(tmp_path, a_line(), "may.jsonl")
    _, value, headers = record.outgoing()

    assert read_event(value, headers, default_source="/kafka/shipments") == record.event


def test_a_cloudevent_keeps_its_own_source(tmp_path):
    data = json.loads(a_line())
    event_id = data.pop("id")
    envelope = {"specversion": "1.0", "id": event_id, "source": "/logistics/acme", "type": "shipment.shipped"}
    [record] = read(tmp_path, json.dumps(envelope | {"data": data}), "may.json")

    assert record.event.key == "/logistics/acme#e-1"


def test_a_bad_line_is_named_and_the_others_are_read(tmp_path):
    bad, good, worse = read(tmp_path, '{"id":\n' + a_line() + '\n{"id": "x"}\n', "may.jsonl")

    assert (bad.line, bad.rejected.reason) == (1, "not_json")
    assert isinstance(good, GoodRecord)
    assert [error.field for error in worse.rejected.errors] == ["shipped_at", "destination", "lines"]


def test_byte_order_mark_and_windows_line_ends_do_no_harm_in_json_lines(tmp_path):
    one, two = read(tmp_path, b"\xef\xbb\xbf" + f"{a_line('a')}\r\n{a_line('b')}\r\n".encode(), "may.jsonl")

    assert [one.event.id, two.event.id] == ["a", "b"]


def test_a_line_without_end_is_refused_for_its_size_and_the_next_is_read():
    endless = b'{"x": "' + b"y" * 3_000_000 + b'"}\n'
    bad, good = read_json_lines(io.BytesIO(endless + a_line().encode()), name="stdin")

    assert (bad.line, bad.rejected.reason) == (1, "too_large")
    assert (good.line, good.event.source) == (2, "/file/stdin")


def test_a_line_of_the_largest_size_is_read():
    text = a_line(note="x" * (SIZE_MAX - len(a_line(note=""))))
    [record] = read_json_lines(io.BytesIO(text.encode() + b"\r\n"), name="stdin")

    assert isinstance(record, GoodRecord)
    assert len(record.value) == SIZE_MAX


def test_a_shipment_in_the_future_shows_against_the_clock(tmp_path):
    now = datetime(2026, 2, 1, tzinfo=UTC)
    [record] = read(tmp_path, a_line(), "may.jsonl", recorded_at=now)

    assert record.rejected.reason == "in_the_future"


# ----------------------------------------------------------------------------------------------------------------- CSV


def test_every_column_of_a_csv_finds_its_field(tmp_path):
    columns = (
        "id,type,shipment_id,shipped_at,source,origin,destination,consignee,consignee_country,consignee_hq,parent,"
        "parent_id,parent_country,vendor,model,quantity,tpp_each,authorization_kind,authorization_number"
    )
    cells = (
        'e-1,shipment.shipped,S-1,2026-03-01T00:00:00Z,/erp,US,IN,"Example, Ltd",IN,SG,Group,lei:1,JP,'
        "NVIDIA,H100 SXM,8,15832,license,D1"
    )
    [record] = read(tmp_path, f"{columns}\n{cells}\n")
    data = record.event.known_data()

    assert record.event.key == "/erp#e-1"
    assert record.outgoing()[0] == b"S-1"
    assert data["consignee"] == {
        "name": "Example, Ltd",
        "country": "IN",
        "headquarters": "SG",
        "ultimate_parent": {"name": "Group", "id": "lei:1", "country": "JP"},
    }
    assert data["lines"] == [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 8, "tpp_each": 15832}]
    assert data["authorization"] == {"kind": "license", "number": "D1"}
    assert (data["origin"], data["destination"]) == ("US", "IN")


def test_rows_of_one_id_are_one_event_wherever_they_stand(tmp_path):
    rows = (
        "e-1,2026-03-01T00:00:00Z,IN,H100 SXM,8",
        "e-2,2026-03-02T00:00:00Z,AE,H200,4",
        "e-1,,,B200,2",
    )
    two, one = read(tmp_path, "\n".join((HEADER, *rows)))

    assert (one.line, one.event.id, two.event.id) == (2, "e-1", "e-2")
    assert [(line["model"], line["quantity"]) for line in one.event.data["lines"]] == [("H100 SXM", 8), ("B200", 2)]
    assert one.event.source == "/file/shipments.csv"


def test_one_id_under_two_sources_is_two_events(tmp_path):
    rows = f"source,{HEADER}\n/a,{ROW}\n/b,{ROW}\n"

    assert [record.event.key for record in read(tmp_path, rows)] == ["/a#e-1", "/b#e-1"]


def test_rows_of_one_event_that_disagree_are_refused_with_line_and_column(tmp_path):
    rows = f"{HEADER}\n{ROW}\n{ROW.replace('IN', 'AE')}\n"
    line, reason, field, advice = only_error(read(tmp_path, rows))

    assert (line, reason, field) == (2, "bad_value", "destination")
    assert "'AE' in line 3" in advice


def test_a_number_that_is_none_is_refused_with_line_and_column(tmp_path):
    rows = f"{HEADER}\n{ROW}\n" + 'e-1,,,B200,"1,000"\n'
    line, _, field, advice = only_error(read(tmp_path, rows))

    assert (line, field) == (2, "line 3, quantity")
    assert '"1,000"' in advice


def test_an_error_of_the_event_names_the_column(tmp_path):
    _, reason, field, _ = only_error(read(tmp_path, f"{HEADER}\n" + ROW.replace("T00:00:00Z", "") + "\n"))

    assert (reason, field) == ("bad_time", "shipped_at")


def test_a_row_without_id_is_refused_alone(tmp_path):
    bad, good = read(tmp_path, f"{HEADER}\n,2026-03-01T00:00:00Z,IN,H100 SXM,8\n{ROW}\n")

    assert (bad.line, bad.rejected.reason, bad.rejected.errors[0].field) == (2, "missing_field", "id")
    assert (good.line, good.event.id) == (3, "e-1")


def test_lines_are_counted_past_empty_rows_and_cells_with_line_breaks(tmp_path):
    rows = f'{HEADER},consignee\n{ROW},"two\nlines"\n\ne-2,2026-03-01T00:00:00Z,IN,H100 SXM,0,\n'
    good, bad = read(tmp_path, rows)

    assert good.event.data["consignee"]["name"] == "two\nlines"
    assert (bad.line, bad.rejected.errors[0].field) == (5, "line 5, quantity")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_byte_order_mark_windows_line_ends_and_other_delimiters_do_no_harm(tmp_path, delimiter):
    text = f"{HEADER}\r\n{ROW}\r\n".replace(",", delimiter)
    [record] = read(tmp_path, b"\xef\xbb\xbf" + text.encode())

    assert record.event.data["lines"] == [{"model": "H100 SXM", "quantity": 8}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,destination,quantiy\n", "shipments.csv:1: there is no column 'quantiy'; did you mean quantity?"),
        ("id,destination,quantity,id\n", "shipments.csv:1: the column id stands there twice"),
        ("id,destination,model\n", "shipments.csv:1: the column quantity is missing"),
        ("", "shipments.csv:1: the column id is missing"),
        (f"{HEADER}\n{ROW},more\n", "shipments.csv:2: 6 cells under 5 columns"),
        (f'{HEADER}\n{ROW}\n"open,\n', "shipments.csv:3: unexpected end of data"),
        (f"{HEADER}\n".encode() + b"\xe9\n", "shipments.csv is not UTF-8"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), "shipments.csv is UTF-16"),
    ],
)
def test_a_csv_that_cannot_be_read_as_a_whole_gives_no_event_and_says_where(tmp_path, text, said):
    seen = []
    with pytest.raises(WrongCall, match=r"shipments\.csv") as failure:
        seen.extend(read_file(written(tmp_path, text)))

    assert said in str(failure.value)
    assert seen == []


# -------------------------------------------------------------------------------------------------------------- Which?


def test_a_file_that_is_not_there_or_of_no_known_kind_is_a_wrong_call(tmp_path):
    with pytest.raises(WrongCall, match=r"gone\.csv cannot be read: No such file"):
        list(read_file(str(tmp_path / "gone.csv")))
    with pytest.raises(WrongCall, match=r"is it CSV or JSON lines"):
        list(read_file(written(tmp_path, "", "shipments.xlsx")))
