"""A file's name -> the reader it needs."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ledger.errors import WrongCall
from streams.readers.csv_file import read_csv
from streams.readers.json_lines import read_json_lines
from streams.readers.records import BadRecord, GoodRecord

STDIN = "-"
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_file(name: str, *, recorded_at: datetime | None = None) -> Iterator[GoodRecord | BadRecord]:
    """Read a file's events: CSV by the ending `.csv`, JSON lines by `.jsonl`, `.ndjson`, `.json` or from `-` (stdin).

    Args:
        name: the path, or `-`.
        recorded_at: against which a shipment in the future shows; None leaves that open.

    Raises:
        WrongCall: there is no such file, or it cannot be read as a whole.
    """
    if name == STDIN:
        yield from read_json_lines(sys.stdin.buffer, name="stdin", recorded_at=recorded_at)
        return
    path = Path(name)
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            _check_encoding(path)
            yield from read_csv(path, recorded_at=recorded_at)
        elif ending in _JSON_LINES:
            _check_encoding(path)
            with path.open("rb") as stream:
                yield from read_json_lines(stream, name=path.name, recorded_at=recorded_at)
        else:
            raise WrongCall(f"{name}: is it CSV or JSON lines? Name it .csv or .jsonl, or pipe JSON lines into `-`")
    except OSError as failure:
        raise WrongCall(f"{name} cannot be read: {failure.strerror}") from None


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
