"""A journal entry's chunks: what is read from them is what was packed, whatever the events hold."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from ledger.book.bookings import RESERVED
from ledger.book.journal import _DICTIONARY, CHUNK, JournalEvent, pack, unpack
from schemas.shipment_event import TPP_MAX

tpp = st.integers(-TPP_MAX, TPP_MAX) | st.integers(-200, 200)
charge = st.tuples(st.integers(0, 300) | st.integers(RESERVED, RESERVED + 300), tpp)
header = st.tuples(st.sampled_from(["source", "ce_id", "ce_\u00fc"]), st.binary(max_size=20))
event = st.tuples(
    st.integers(1, 2**40), st.lists(charge, max_size=4), st.binary(max_size=400), st.lists(header, max_size=2)
)


def in_order(told):
    """Events of growing offsets: each says how far it is from the one before."""
    offset, events = 0, []
    for gap, charges, value, headers in told:
        offset += gap
        events.append(JournalEvent(offset, tuple(charges), value, tuple(headers)))
    return events


def packed(events):
    return pack([(one.offset, [*sum(one.charges, ())], one.value, one.headers) for one in events])


@given(st.lists(event, min_size=1, max_size=12).map(in_order))
def test_events_are_read_as_they_were_packed(events):
    [chunk] = packed(events)

    assert list(unpack(chunk)) == events


def test_each_chunk_holds_its_share_of_the_events_and_is_read_alone():
    events = in_order([(1, [(0, number)], b"%d" % number, ()) for number in range(2 * CHUNK + 1)])

    chunks = packed(events)

    assert [list(unpack(chunk)) for chunk in chunks] == [events[:CHUNK], events[CHUNK : 2 * CHUNK], events[2 * CHUNK :]]


def test_any_zlib_reads_a_chunk_that_knows_the_dictionary():
    [chunk] = packed(in_order([(1, [], b'{"id": "e"}', ())]))

    assert zlib.decompressobj(zdict=_DICTIONARY).decompress(chunk).endswith(b'{"id": "e"}')
