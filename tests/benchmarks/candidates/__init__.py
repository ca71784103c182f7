"""The rows of the table. A new one is a module with `run(job, meter)` and a line in `CANDIDATES`.

A module counts its events on the meter (`meter.add`), on to the last event of the topic. What it books goes under the
names of `ledger.book.keys.Keys(job.ledger)`: `ids`, one field an event, and `balances`, `account|period` -> a text that
begins with the TPP booked. After the run they are compared with what was sent.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row.

    Attributes:
        title: what it does, in the table.
        module: where its `run` is; imported in its own process only.
        slow: an event costs so much that it is given `--naive-events`.
        books: it writes ids and balances, which are checked.
        ledger: it is quota-ledger's worker, and needs topics of its own.
        peer: it needs another project's packages, and runs in the environment of `tests/benchmarks/peers.py`.
        in_table: False for a run that only splits another row's time.
    """

    title: str
    module: str
    slow: bool = False
    books: bool = False
    ledger: bool = False
    peer: bool = False
    in_table: bool = True


_HERE = "tests.benchmarks.candidates"

CANDIDATES = {
    "a": Candidate("bare aiokafka getmany", f"{_HERE}.bare"),
    "b": Candidate("a + nested BaseModels, kept in a list", f"{_HERE}.decoding"),
    "b2": Candidate("a + read_event, each event let go", f"{_HERE}.reading"),
    "c": Candidate("quota-ledger worker, end to end", f"{_HERE}.worker", books=True, ledger=True),
    "c-stages": Candidate(
        "c with a clock at each stage", f"{_HERE}.worker_by_stage", books=True, ledger=True, in_table=False
    ),
    "d": Candidate("naive Faust, one Redis call an event", f"{_HERE}.naive_faust", slow=True, books=True),
    "e": Candidate("Faust's take, one pipeline a batch", f"{_HERE}.faust_take", slow=True, books=True),
    "f": Candidate("FastStream, one Redis call an event", f"{_HERE}.faststream_one", slow=True, books=True, peer=True),
    "fb": Candidate("FastStream, one pipeline a batch", f"{_HERE}.faststream_batch", books=True, peer=True),
    "g": Candidate("Quix Streams, one Redis call an event", f"{_HERE}.quix_one", slow=True, books=True, peer=True),
    "gb": Candidate("Quix Streams, one pipeline a batch", f"{_HERE}.quix_batch", books=True, peer=True),
    "h": Candidate("quota-ledger's transport alone", f"{_HERE}.transport_alone"),
}
