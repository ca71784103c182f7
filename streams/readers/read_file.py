"""A file's name -> the reader it needs."""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from ledger.errors import WrongCall
from streams.readers.csv_file import read_csv
from streams.readers.json_lines import read_json_lines
from streams.readers.records import BadRecord, GoodRecord

STDIN = "-"
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_file(
    name: str,
    *,
    recorded_at: datetime | None = None,
    wanted: Callable[[bytes], bool] | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[GoodRecord | BadRecord]:
    """Read a file's events: CSV by the ending `.csv`, JSON lines by `.jsonl`, `.ndjson`, `.json` or from `-` (stdin).

    Args:
        name: the path, or `-`.
        recorded_at: against which a shipment in the future shows; None leaves that open.
        wanted: tells by an event's bytes whether it is to be read at all; None reads all.
        stdin: what stands for standard input, if it was kept.

    Raises:
        WrongCall: there is no such file, or it cannot be read as a whole.
    """
    if name == STDIN:
        stream = standard_input() if stdin is None else stdin
        yield from read_json_lines(stream, name="stdin", recorded_at=recorded_at, wanted=wanted)
        return
    path = Path(name)
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            _check_encoding(path)
            for record in read_csv(path, recorded_at=recorded_at):
                if wanted is None or (isinstance(record, GoodRecord) and wanted(record.value)):
                    yield record
        elif ending in _JSON_LINES:
            _check_encoding(path)
            with path.open("rb") as stream:
                yield from read_json_lines(stream, name=path.name, recorded_at=recorded_at, wanted=wanted)
        else:
            raise WrongCall(f"{name}: is it CSV or JSON lines? Name it .csv or .jsonl, or pipe JSON lines into `-`")
    except OSError as failure:
        raise WrongCall(f"{name} cannot be read: {failure.strerror}") from None


def standard_input() -> BinaryIO:
    """What is piped in.

    Raises:
        WrongCall: this process was started without.
    """
    if sys.stdin is None:
        raise WrongCall("standard input is closed; pipe JSON lines into `-`, or name a file")
    return sys.stdin.buffer


def count_lines(names: Sequence[str]) -> int | None:
    """How many lines files have together, for a progress bar; None where that shows only at the end."""
    return None if STDIN in names else sum(_count_lines(Path(name)) for name in names)


def _count_lines(path: Path) -> int:
    try:
        with path.open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(1024 * 1024), b""))
    except OSError:
        return 0  # reading it says what is wrong with it


def _check_encoding(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(2) in _UTF16_MARKS:
            raise WrongCall(f"{path.name} is UTF-16; save it as UTF-8")
