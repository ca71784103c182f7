"""A short run of random faults on real processes; `python -m tests.faults` is the long one."""

import pytest

from tests.faults.nemesis import Nemesis
from tests.parts import NotHere

DURATION_S = 25


@pytest.fixture
def nemesis(tmp_path, register, real_kafka):
    try:
        made = Nemesis(tmp_path, register, seed=8, say=print, expiries=False)
    except NotHere as missing:
        pytest.skip(f"needs the real thing: {missing}")
    yield made
    made.close()


def test_random_faults_on_real_processes_break_no_promise(nemesis):
    assert nemesis.run(DURATION_S) == []
