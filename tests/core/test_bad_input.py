"""Bad input is rejected for its reason, in words that help; nothing that is put in raises anything else."""

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.rejected_record import RejectedRecord
from tests.bad_bodies import CORPUS, bad_bodies
from tests.builders import encoded, shipment_document
from tests.fuzzing import REASONS, RECORDED_AT, fuzzed, reason_of

BODIES = bad_bodies()
ADVICE = re.compile(
    r"\b(write|state|name|needs?|needed|leave|split|set|produce|choose|should|go up to|is read|may state|"
    r"is more than|did you mean)\b"
)
ANNUAL = load_policy("annual-50k")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_a_bad_body_is_rejected_for_its_reason_and_the_message_says_where_and_what_to_do(body):
    with pytest.raises(RejectedRecord) as caught:
        judge(read_event(body.value, body.headers, default_source="/k", recorded_at=RECORDED_AT), ANNUAL)
    first = caught.value.errors[0]

    assert (first.reason, first.field) == (body.reason, body.field)
    assert caught.value.detail.startswith(f"{body.field}: " if body.field else first.advice)
    assert ADVICE.search(first.advice), first.advice


def test_the_corpus_is_whole():
    """Every file is told of once, and every reason that a body alone can have is there."""
    files = Counter(body.name for body in BODIES)

    assert set(files.values()) == {1}
    assert files.keys() == {path.name for path in (CORPUS / "bodies").iterdir()}
    assert len(BODIES) >= 200
    assert {body.reason for body in BODIES} == REASONS


@settings(max_examples=2000)
@given(st.integers(min_value=0))
def test_a_fuzzed_record_is_an_event_or_rejected_and_nothing_else(seed):
    assert reason_of(*fuzzed(Random(seed))) in {None, *REASONS}


@settings(max_examples=500)
@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(["ce_id", "ce_time", "source"]), st.binary()))
def test_random_bytes_under_random_headers_are_an_event_or_rejected_and_nothing_else(value, headers):
    assert reason_of(value, list(headers.items())) in {None, *REASONS}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("consignee", "authorization", "end_use", "exporter", "origin", "destination", "shipped_at", "original_id")


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4), json_values, json_values)
def test_an_event_with_any_json_in_its_fields_is_an_event_or_rejected_and_nothing_else(data, model, quantity):
    line = {"model": model, "quantity": quantity, "vendor": "NVIDIA"}
    assert reason_of(encoded(shipment_document(**{"lines": [line], **data})), []) in {None, *REASONS}


AMOUNTS = st.sampled_from([2**n + d for n in (0, 25, 31, 32, 49, 50, 51, 52, 53, 62, 63, 64) for d in (-1, 0, 1)])


@given(AMOUNTS, AMOUNTS)
def test_what_passes_the_door_can_be_counted_exactly_in_lua(quantity, tpp_each):
    said = encoded(shipment_document(lines=[{"quantity": quantity, "tpp_each": tpp_each}]))
    if quantity < 1 or tpp_each < 1 or quantity * tpp_each > 2**50:
        assert reason_of(said, []) == "number_out_of_range"
    else:
        judged = judge(read_event(said, default_source="/k"), ANNUAL)
        assert all(due.tpp == quantity * tpp_each for due in judged.charges)


def test_of_a_name_that_stands_twice_the_last_value_counts_whichever_reader_reads_it():
    said = encoded(shipment_document()).replace(b'"destination": "IN"', b'"destination": "US", "destination": "IN"')
    slowly = said.replace(b'"US"', b"7")  # only the thorough reader gets past this one

    assert {read_event(value, default_source="/k").data["destination"] for value in (said, slowly)} == {"IN"}
