"""What an event says: one answer for every spelling, another for every other word."""

import json
from datetime import datetime

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
        "consignee": st.fixed_dictionaries(
            {}, optional={"name": st.sampled_from([None, "X", "null"]), "note": st.just(1)}
        ),
        "origin": st.sampled_from([None, "US"]),
        "house_bill": st.just("HB-7"),
    },
).map(lambda said: said if "shipped_at" in said else {**said, "time": TIMES[0]})


def meaning(said):
    """What a spelling says, worked out by itself: known fields that are not null, and the instant of its time."""
    told = {
        "shipped_at": datetime.fromisoformat(said.get("shipped_at") or said["time"]),
        "destination": said["destination"],
        "origin": said.get("origin"),
        "lines": [{name: line.get(name) for name in ("model", "quantity", "vendor")} for line in said["lines"]],
        "consignee": None,
    }
    if "consignee" in said:
        told["consignee"] = ["named", said["consignee"].get("name")]
    return told


@given(spellings.flatmap(shuffled), spellings.flatmap(shuffled))
def test_contents_are_equal_when_and_only_when_the_same_is_said(one, other):
    assert (event_of(one).content() == event_of(other).content()) == (meaning(one) == meaning(other))


@given(spellings)
def test_neither_order_nor_absence_nor_unknown_fields_nor_a_times_offset_change_the_content(said):
    told = {"note": "unknown", **dict(reversed(said.items())), "expires_at": None}
    told["lines"] = [{"eccn": None, **line} for line in said["lines"]]
    if said.get("shipped_at") == TIMES[0]:
        told["shipped_at"] = TIMES[1]

    assert event_of(told).content() == event_of(said).content()


@pytest.mark.parametrize(("kind", "counts"), [("shipment.shipped", False), ("shipment.corrected", True)])
def test_the_time_counts_where_it_rules(kind, counts):
    said = {"id": "e", "type": kind, "shipped_at": TIMES[0], "destination": "IN", "lines": [LINE], "original_id": "o"}
    one, other = (event_of({**said, "time": time}).content() for time in (TIMES[0], TIMES[2]))

    assert (one != other) is counts
