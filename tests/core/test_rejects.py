"""A reject read back is the original as it came, whatever headers that had; what goes in again is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rejected_record import FieldError, RejectedRecord
from streams.cli.reject_tables import hexdump, text_of
from streams.debit_shipments import _cut, _reject
from streams.kafka.read_log import LoggedRecord
from streams.kafka.run import Run
from streams.rejects import REPLAY_OF, read_reject

HEADER_NAMES = st.sampled_from(["source", "ce_id", "quota-reason", "quota-offset", "quota-cut", REPLAY_OF, "x"])
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.none() | st.binary(max_size=20)), max_size=6)
WRONG = RejectedRecord([FieldError("bad_value", "lines", "write lines")], "/a#b#c")


def parked(record, rejected=WRONG, *, cut=False):
    """A record as it lies on the topic of rejects."""
    written = _reject(Run("shipments", 3, -1, [record]), record, rejected)
    key, value, headers = _cut(written) if cut else written
    return read_reject(LoggedRecord(7, 1_790_000_000_000, key, value, headers))


@given(st.none() | st.binary(), st.binary(min_size=1), HEADERS)
def test_a_reject_is_read_as_the_original_came(key, value, headers):
    found = parked(LoggedRecord(120, 5, key, value, headers))

    assert (found.place, found.reason, found.detail) == ("shipments/3/120", "bad_value", "lines: write lines")
    assert found.event_key == "/a#b#c"
    assert (found.key, found.value, found.whole) == (key, value, True)
    assert found.headers == [(name, text or b"") for name, text in headers]


@given(st.binary(min_size=1), HEADERS)
def test_what_goes_in_again_has_the_same_bytes_and_no_header_of_ours_but_the_link(value, headers):
    key, sent, told = parked(LoggedRecord(120, 5, b"k", value, headers)).outgoing()

    assert (key, sent) == (b"k", value)
    assert told[-1] == (REPLAY_OF, b"shipments/3/120")
    assert told[:-1] == [(name, text or b"") for name, text in headers if not name.startswith("quota-")]


def test_a_replay_that_is_rejected_again_names_the_reject_before_it():
    first = parked(LoggedRecord(120, 5, b"k", b"{", []))
    key, value, headers = first.outgoing()
    second = parked(LoggedRecord(300, 6, key, value, headers))

    assert second.replay_of == first.place
    assert second.outgoing()[2] == [(REPLAY_OF, b"shipments/3/300")]


def test_a_record_that_was_cut_is_not_whole():
    assert not parked(LoggedRecord(1, 5, None, b"x" * 100_000, []), cut=True).whole


def test_a_record_that_could_not_be_taken_apart_is_not_whole_but_a_tombstone_is():
    tombstone = RejectedRecord([FieldError("tombstone", "", "no value")])

    assert not parked(LoggedRecord(1, 5, None, None, [])).whole
    assert parked(LoggedRecord(1, 5, b"k", None, []), tombstone).whole


@pytest.mark.parametrize("headers", [[], [("quota-reason", b"x")], [("quota-reason", b"x"), ("quota-topic", b"t")]])
def test_what_lies_there_and_is_none_of_ours_is_passed_over(headers):
    assert read_reject(LoggedRecord(1, 5, None, b"x", headers)) is None


def test_bytes_that_are_no_text_are_shown_by_place_and_value():
    value = bytes(range(0x3C, 0x4E)) + b"\xff"

    assert text_of(value) is None
    assert text_of("昇腾\n".encode()) == "昇腾\n"
    assert text_of(b"\x1b[31m") is None
    assert hexdump(value).splitlines() == [
        "00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK",
        "00000010  4c 4d ff                                         LM.",
    ]
