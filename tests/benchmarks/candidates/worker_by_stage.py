"""(c) again, with a clock at each stage, for the split of its time. Not a row of its own: the clocks cost a little.

Everything is CPU time of the agent's thread, noted a run at a time. `judge` reads and assesses event by event, so its
CPU time is divided as the time of day was spent within it. Posting is clocked from each await to the next, so that what
others do meanwhile is not its. What no clock saw is the transport's: fetching, Faust, the loop, the relay.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

from ledger.book import post
from streams import debit_shipments
from tests.benchmarks.candidates import worker
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    spent: Counter[str] = Counter()
    debit_shipments.read_event = _clocked(debit_shipments.read_event, "decode", spent, time.perf_counter)
    debit_shipments.judge_event = _clocked(debit_shipments.judge_event, "assess", spent, time.perf_counter)
    debit_shipments.judge = _divided(debit_shipments.judge, spent, meter.stages)
    post.pack = _clocked(post.pack, "pack", meter.stages, time.thread_time)
    post.Book.post = _stepwise(post.Book.post, "post", meter.stages)
    worker.run(job, meter)


def _clocked(
    function: Callable[..., Any], stage: str, spent: Counter[str], clock: Callable[[], float]
) -> Callable[..., Any]:
    def clocked(*given: Any, **more: Any) -> Any:
        began = clock()
        try:
            return function(*given, **more)
        finally:
            spent[stage] += clock() - began

    return clocked


def _divided(judge: Callable[..., Any], spent: Counter[str], stages: Counter[str]) -> Callable[..., Any]:
    """The CPU time of judging a run, divided. What is neither decoding nor assessing is `keep`: the digests, what
    posting needs of an event, and letting the event go.
    """

    def divided(*given: Any, **more: Any) -> Any:
        spent.clear()
        began_cpu, began = time.thread_time(), time.perf_counter()
        judged = judge(*given, **more)
        cpu_s, whole_s = time.thread_time() - began_cpu, time.perf_counter() - began
        spent["keep"] = whole_s - spent.total()
        for stage, spent_s in spent.items():
            stages[stage] += cpu_s * spent_s / whole_s
        return judged

    return divided


def _stepwise(method: Callable[..., Any], stage: str, stages: Counter[str]) -> Callable[..., Any]:
    return lambda *given, **more: _Steps(method(*given, **more), stage, stages)


class _Steps:
    """A coroutine, the time of its own steps noted. What `pack` noted for itself meanwhile is not noted twice."""

    def __init__(self, coroutine: Any, stage: str, stages: Counter[str]) -> None:
        self._coroutine, self._stage, self._stages = coroutine, stage, stages

    def __await__(self) -> Generator[Any, None, Any]:
        steps = self._coroutine.__await__()
        while True:
            began, packed = time.thread_time(), self._stages["pack"]
            try:
                asked = steps.send(None)
            except StopIteration as end:
                return end.value
            finally:
                self._stages[self._stage] += time.thread_time() - began - (self._stages["pack"] - packed)
            yield asked
