"""A fault of our own: in pure code it parks its record and stops nothing else; anywhere else it stops the worker."""

import pytest

from ledger.policy import load_policy
from streams import debit_shipments
from streams.kafka.run import Run
from streams.settings import Settings
from streams.worker import WorkerParts
from tests.builders import raw_shipment
from tests.simulation.log_model import LoggedRecord

ANNUAL = load_policy("annual-50k")


def test_an_exception_while_a_record_is_judged_parks_that_record_with_its_traceback(monkeypatch):
    def judge_event(event, policy):
        if event.id == "b":
            raise ZeroDivisionError
        return judged_before(event, policy)

    judged_before = debit_shipments.judge_event
    monkeypatch.setattr(debit_shipments, "judge_event", judge_event)
    records = [LoggedRecord(offset, None, raw_shipment(id=name)) for offset, name in enumerate("abc")]
    first, fault, last = debit_shipments.judge(Run("shipments", 0, -1, records), ANNUAL)

    assert (first.event().id, last.event().id) == ("a", "c")
    assert fault.rejected.reason == "internal_error"
    assert "ZeroDivisionError" in fault.rejected.detail
    assert "replay the record" in fault.rejected.detail


async def test_any_other_exception_stops_the_worker_and_the_run_is_not_settled(tmp_path):
    class Left(BaseException):
        pass

    class Parts(WorkerParts):
        async def leave(self, why):
            raise Left(why)

    async def handle(_run):
        raise ZeroDivisionError

    parts = Parts(Settings(state_dir=tmp_path), app=None)
    with pytest.raises(Left, match="shipments:0: unforeseen: ZeroDivisionError"):
        await parts.settle(Run("shipments", 0, -1, [LoggedRecord(0, None, b"")]), handle)
    assert parts._settled == {}
