"""The process of one candidate: `python -m tests.benchmarks.run_one JOB`, started fresh for every measurement."""

import gc
import importlib
import json
import sys

from tests.benchmarks.candidates import CANDIDATES
from tests.benchmarks.job import GC_THRESHOLD, Job, Meter


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    gc.set_threshold(*GC_THRESHOLD)
    candidate = importlib.import_module(CANDIDATES[job.candidate].module)
    candidate.run(job, Meter(job))


if __name__ == "__main__":
    main()
