"""Which of the adopted policies rules a record, and since when an account is measured as it is."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.book.setting import Setting, adoption, given_up, read_decision
from ledger.policy import load_policy, policy_from_document
from ledger.rules.adoptions import Rulebook, Yardstick
from schemas.adoption import Adoption

AT = datetime(2026, 11, 22, tzinfo=UTC)
TODAY = date(2026, 11, 23)
POLICIES = {name: load_policy(name) for name in ("annual-50k", "diffusion-2025", "december-2024", "allies-tier1")}
BY_SHA256 = {policy.sha256: policy for policy in POLICIES.values()}


def rulebook(*adopted):
    """Adoptions of (policy's id, where it begins) one after the other."""
    adoptions = [
        Adoption(number=number, policy_id=name, policy_sha256=POLICIES[name].sha256, adopted_at=AT, begins=begins)
        for number, (name, begins) in enumerate(adopted, start=1)
    ]
    return Rulebook(len(adoptions), adoptions, BY_SHA256.__getitem__)


@dataclass
class At:
    offset: int


def stretches(rules, partition, offsets):
    found = rules.stretches(partition, [At(offset) for offset in offsets])
    return [(policy.id, [record.offset for record in records]) for policy, records in found]


BOOK = rulebook(
    ("annual-50k", {}),
    ("diffusion-2025", {"s:0": 10, "s:1": 0}),
    ("annual-50k", {"s:0": 20, "s:1": 5}),
)


def test_a_partition_is_cut_at_the_offset_where_another_policy_begins():
    assert stretches(BOOK, "s:0", range(8, 12)) == [("annual-50k", [8, 9]), ("diffusion-2025", [10, 11])]
    assert stretches(BOOK, "s:0", range(19, 21)) == [("diffusion-2025", [19]), ("annual-50k", [20])]
    assert stretches(BOOK, "s:0", [9, 25]) == [("annual-50k", [9, 25])]
    assert stretches(BOOK, "s:1", range(6)) == [("diffusion-2025", [0, 1, 2, 3, 4]), ("annual-50k", [5])]


def test_a_partition_that_came_later_is_ruled_by_the_newest_from_its_beginning():
    assert stretches(BOOK, "s:7", [0, 1]) == [("annual-50k", [0, 1])]
    assert BOOK.ruling("s:7", 0).number == 3


@given(
    begins=st.lists(st.dictionaries(st.sampled_from(["s:0", "s:1"]), st.integers(0, 30)), max_size=5),
    partition=st.sampled_from(["s:0", "s:1", "s:2"]),
    offsets=st.sets(st.integers(0, 40), min_size=1).map(sorted),
)
def test_however_the_log_is_cut_each_record_is_ruled_by_the_newest_adoption_that_covers_it(begins, partition, offsets):
    names = list(POLICIES)
    adopted = [(names[0], {})] + [(names[n % len(names)], begin) for n, begin in enumerate(begins, start=1)]
    rules = rulebook(*adopted)
    cut = stretches(rules, partition, offsets)

    expected = [[name for name, begin in adopted if begin.get(partition, 0) <= offset][-1] for offset in offsets]
    assert [name for name, part in cut for _ in part] == expected
    assert [offset for _, part in cut for offset in part] == offsets


def test_limits_bear_the_name_of_the_adoption_since_which_they_are_what_they_are():
    annual, diffusion = POLICIES["annual-50k"].sha256, POLICIES["diffusion-2025"].sha256
    alone = rulebook(("annual-50k", {}))
    back = rulebook(("annual-50k", {}), ("diffusion-2025", {}), ("annual-50k", {}))
    allies = rulebook(("annual-50k", {}), ("allies-tier1", {}))

    assert alone.measured_since("country:IN", "2026", TODAY) == annual
    assert back.measured_since("country:IN", "2026", TODAY) == f"{annual} 3", "another than the first time"
    assert back.measured_since("country:US", "2026", TODAY) == annual, "no cap at any time"
    assert allies.measured_since("country:BR", "2026", TODAY) == annual, "nothing changed for Brazil"
    assert allies.measured_since("country:IN", "2026", TODAY) == POLICIES["allies-tier1"].sha256
    assert rulebook(("annual-50k", {}), ("diffusion-2025", {})).measured_since("lpp:x", "2026", TODAY) == diffusion


DAYS = st.dates(date(2025, 12, 1), date(2027, 1, 31))


@st.composite
def histories(draw):
    """Policies whose caps for India change on some days, adopted one after the other; and two days after that."""
    policies = {}
    for number in range(draw(st.integers(1, 3))):
        document = deepcopy(POLICIES["annual-50k"].document())
        for begin in draw(st.lists(DAYS, max_size=3)):
            dates = {"valid_from": begin.isoformat(), "valid_to": max(begin, draw(DAYS)).isoformat()}
            entry = {"countries": ["IN"], "tpp": draw(st.sampled_from([50, 60])), "source": "PRESS-50K"} | dates
            document["policy"]["caps"].append(entry)
        document["policy"]["id"] = f"dated-{number}"
        policy = policy_from_document(document)
        policies[policy.sha256] = policy
    adopted = sorted(draw(st.lists(DAYS, min_size=len(policies), max_size=len(policies))))
    adoptions = [
        Adoption(
            number=number,
            policy_id="x",
            policy_sha256=sha256,
            begins={},
            adopted_at=datetime(*day.timetuple()[:3], tzinfo=UTC),
        )
        for number, (sha256, day) in enumerate(zip(policies, adopted, strict=True), start=1)
    ]
    rules = Rulebook(len(adoptions), adoptions, policies.__getitem__)
    return rules, draw(st.lists(st.dates(adopted[-1], date(2027, 3, 1)), min_size=2, max_size=2))


@settings(max_examples=60, deadline=None)
@given(histories())
def test_limits_that_bear_one_name_are_the_same(history):
    rules, days = history
    one, other = (Yardstick(rules, day) for day in days)

    if one.since("country:IN", "2026") == other.since("country:IN", "2026"):
        assert one.limits("country:IN", "2026") == other.limits("country:IN", "2026")


def test_limits_that_change_on_a_day_bear_that_day_too():
    alone = rulebook(("annual-50k", {}))
    later = rulebook(("december-2024", {}), ("annual-50k", {}))
    annual = POLICIES["annual-50k"].sha256

    assert alone.measured_since("country:KH", "2026", date(2026, 2, 2)) == annual
    assert alone.measured_since("country:KH", "2026", date(2026, 2, 3)) == f"{annual} 2026-02-03"
    assert later.measured_since("country:KH", "2026", TODAY) == annual, "it was adopted after that day"


def test_what_is_measured_by_no_policy_bears_the_first_name_for_ever():
    rules = rulebook(("annual-50k", {}), ("diffusion-2025", {}), ("december-2024", {}))

    assert rules.measured_since("uveu:x:IN", "total", TODAY) == POLICIES["annual-50k"].sha256


def test_an_old_period_belongs_to_the_newest_policy_that_counts_by_it():
    assert BOOK.counting_by("2025-2027").id == "diffusion-2025"
    assert BOOK.counting_by("2026").id == "annual-50k"
    assert BOOK.counting_by("nonsense") is BOOK.in_force


def test_records_of_decisions_can_be_read_back():
    policy = POLICIES["diffusion-2025"]
    written = adoption(policy, 7, begins={"s:0": 3}, adopted_at=AT, token="ab12", actor="eve", reason="why")
    read = read_decision(written)
    dropped = read_decision(given_up(8, given_up_at=AT, token="ab12"))

    assert (read.number, read.made.policy.sha256) == (7, policy.sha256)
    assert read.made.adoption.begins == {"s:0": 3}
    assert (read.made.adoption.actor, read.made.adoption.reason) == ("eve", "why")
    assert (dropped.number, dropped.made) == (8, None)


@pytest.mark.parametrize("key", ["policy:", "policy:x", "policy:00001:A B", "webhook:00001", "policies:00001"])
def test_other_keys_decide_nothing(key):
    assert not Setting(key, b"{}").decides
    assert read_decision(Setting(key, b"{}")) is None
