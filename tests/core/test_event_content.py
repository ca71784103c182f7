"""What an event says, and the hash that stands for it: one answer for every spelling, another for every other word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import read_event

TIMES = ["2026-03-01T22:10:00Z", "2026-03-02T00:10:00+02:00", "2026-03-01T22:10:01Z"]
LINE = {"model": "H100 SXM", "quantity": 64, "vendor": "NVIDIA"}


def event_of(said):
    return read_event(json.dumps(said).encode(), default_source="/tests")


def shuffled(said):
    return st.permutations(list(said.items())).map(dict)


lines = st.fixed_dictionaries(
    {"model": st.sampled_from(["H100 SXM", "H200 SXM"]), "quantity": st.integers(1, 2)},
    optional={"vendor": st.sampled_from([None, "NVIDIA"]), "sku": st.none(), "colour": st.just("green")},
)
spellings = st.fixed_dictionaries(
    {
        "id": st.just("e"),
        "destination": st.sampled_from(["IN", "MY"]),
        "lines": st.lists(lines, min_size=1, max_size=2),
    },
    optional={
        "shipped_at": st.sampled_from(TIMES),
        "consignee": st.fixed_dictionaries({}, optional={"name": st.sampled_from([None, "X"]), "note": st.just(1)}),
        "origin": st.sampled_from([None, "US"]),
        "house_bill": st.just("HB-7"),
    },
).map(lambda said: said if "shipped_at" in said else {**said, "time": TIMES[0]})


@given(spellings.flatmap(shuffled), spellings.flatmap(shuffled))
def test_the_hash_tells_apart_what_the_content_tells_apart_and_nothing_else(one, other):
    one, other = event_of(one), event_of(other)

    assert (one.content_hash() == other.content_hash()) == (one.content() == other.content())


@given(spellings)
def test_neither_order_nor_absence_nor_unknown_fields_nor_a_times_offset_change_the_hash(said):
    told = {"note": "unknown", **dict(reversed(said.items())), "expires_at": None}
    if said.get("shipped_at") == TIMES[0]:
        told["shipped_at"] = TIMES[1]

    assert event_of(told).content_hash() == event_of(said).content_hash()


@pytest.mark.parametrize("tpp", [-1, 1, -3])
def test_amounts_that_python_hashes_alike_are_told_apart(tpp):
    told = {"id": "e", "type": "ledger.adjusted", "country": "IN", "period": "2026", "actor": "a", "reason": "b"}

    assert event_of({**told, "tpp": tpp}).content_hash() != event_of({**told, "tpp": -2}).content_hash()


@pytest.mark.parametrize(("kind", "counts"), [("shipment.shipped", False), ("shipment.corrected", True)])
def test_the_time_counts_where_it_rules(kind, counts):
    said = {"id": "e", "type": kind, "shipped_at": TIMES[0], "destination": "IN", "lines": [LINE], "original_id": "o"}
    one, other = (event_of({**said, "time": time}).content_hash() for time in (TIMES[0], TIMES[2]))

    assert (one != other) is counts
