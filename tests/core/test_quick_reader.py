"""The quick reader of the hot path: never another verdict than the definition it is derived from, nor another value."""

import json
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from schemas.quick_reader import NESTED_MAX, SIZE_MAX, derived, read_quickly
from schemas.shipment_event import EVENT_TYPES, Line, ShipmentData, WireEvent
from tests.benchmarks import traffic
from tests.builders import raw_shipment

_thorough = TypeAdapter(WireEvent)

TIMES = (
    "2026-03-01T22:10:00Z", "2026-03-01t22:10:00z", "2026-03-01 22:10:00+05:30", "2026-03-01T22:10:00.5Z",
    "2026-03-01T22:10:00.123456-08:00", "2026-03-01T23:59:59.9999999Z", "2026-03-01T22:10:00.1234565Z",
    "2026-03-01T22:10:60Z", "2026-03-01T24:00:00Z", "2026-03-01T22:10:00", "2026-03-01", "2026-02-29T00:00:00Z",
    "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2026-03-01T22:10:00+24:00", "1772402400", "",
)  # fmt: skip
NUMBERS = (0, 1, -1, 64, 2**50, 2**50 + 1, 2**63, 2**64, 10**30, 1.0, 1.5, 1e300, True, "1", None)


def read_thoroughly(value):
    try:
        return _thorough.validate_json(value)
    except ValidationError:
        return None


def means_the_same(value):
    """Whether the quick reader passes the value on, or reads just what pydantic reads."""
    quick = read_quickly(value)
    return quick is None or _spelled(quick) == _spelled(read_thoroughly(value))


def _spelled(read):
    return json.dumps(read, default=lambda moment: moment.isoformat(), sort_keys=True)


texts = st.one_of(st.text(max_size=20), st.sampled_from(("IN", "lpp", "LPP", "1.0", *EVENT_TYPES, *TIMES)))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(NUMBERS)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def objects(fields, **known):
    """Objects with some of the fields, each right or anything at all, and unknown ones beside them."""
    stated = {name: known.get(name, st.one_of(anything, texts)) for name in fields}
    return st.fixed_dictionaries({}, optional={**stated, "unknown": anything})


lines = objects(Line.__annotations__, quantity=st.one_of(st.integers(1, 99), st.sampled_from(NUMBERS)))
times = st.one_of(st.sampled_from(TIMES), st.datetimes().map(lambda moment: moment.isoformat() + "Z"), anything)
datas = objects(
    ShipmentData.__annotations__, lines=st.lists(lines, max_size=3), shipped_at=times, expires_at=times, tpp=anything
)
events = st.one_of(
    objects(WireEvent.__annotations__, data=datas, specversion=st.just("1.0"), time=times),
    objects(WireEvent.__annotations__, lines=st.lists(lines, max_size=3), shipped_at=times),
    anything,
)


@given(events)
def test_whatever_an_object_holds_both_readers_mean_the_same(event):
    assert means_the_same(json.dumps(event).encode())


@given(st.data())
def test_whatever_a_byte_is_turned_into_both_readers_mean_the_same(data):
    value = bytearray(raw_shipment(consignee={"name": "Société", "country": "IN"}, time="2026-03-01T22:10:00.25Z"))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    assert means_the_same(bytes(value))


@pytest.mark.parametrize(
    "value",
    [
        *(json.dumps({"shipped_at": time}).encode() for time in TIMES),
        *(json.dumps({"lines": [{"quantity": number}], "tpp": number}).encode() for number in NUMBERS),
        b'{"unknown":"\xff"}',
        b'{"\xff":1}',
        b'{"id":"\xff"}',
        b'{"id":"\\ud800"}',
        b'{"unknown":NaN}',
        b'{"unknown":1e999}',
        b'{"unknown":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"unknown":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
        b'{"unknown":1' + b"0" * 5000 + b"}",
        b'{"id":"a","id":"b"}',
        b'{"lines":[{"quantity":1,"quantity":2}],"lines":[{"quantity":3}]}',
        b'{"id":"' + "é".encode() * 1024 + b'"}',
        b'{"id":"' + "é".encode() * 1025 + b'"}',
        b'\xef\xbb\xbf{"id":"a"}',
        b'{"id":"a"}x',
        b"",
        b"[]",
    ],
)  # fmt: skip
def test_the_edges_of_json_mean_the_same_to_both_readers(value):
    assert means_the_same(value)


@pytest.mark.parametrize("kind", traffic.KINDS)
def test_an_ordinary_shipment_is_read_quickly(kind):
    assert all(read_quickly(shipped.value) is not None for shipped in traffic.shipments(kind, 100))


@pytest.mark.parametrize(
    "value",
    [
        b'{"unknown":"' + b"x" * SIZE_MAX + b'"}',
        b'{"unknown":' + b"[" * NESTED_MAX * 2 + b"]" * NESTED_MAX * 2 + b"}",
        b'{"id":"a","shipped_at":"2026-03-01T23:59:59.9999999Z"}',
        b'{"id":""}',
    ],
)
def test_what_is_long_nested_finer_than_a_microsecond_or_wrong_is_left_to_pydantic(value):
    assert read_quickly(value) is None


@pytest.mark.parametrize("stated", [float, Annotated[int, Field(gt=1)], dict[str, str]])
def test_a_field_that_has_no_quick_reader_is_told_at_once(stated):
    with pytest.raises(TypeError, match="no quick reader"):
        derived(stated)
