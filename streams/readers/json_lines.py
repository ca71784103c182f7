"""JSON lines: one event a line, a CloudEvent or its bare data. The bytes go onto the topic as they stand."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import BinaryIO

from schemas.cloudevents import read_event
from schemas.rejected_record import FieldError, RejectedRecord
from streams.readers.records import BadRecord, GoodRecord, file_source

_BOM = b"\xef\xbb\xbf"
_AS_LINES = {b"{": "`jq -c .`", b"[": "`jq -c .[]`", b"[{": "`jq -c .[]`"}
"""First lines that say that the file is one JSON document, broken over its lines, and what makes it lines of events."""

_LINE_MAX_BYTES = 1024 * 1024
"""More is not kept of one line: far above the largest event, far below what memory bears."""


def read_json_lines(
    stream: BinaryIO, *, name: str, recorded_at: datetime | None = None, wanted: Callable[[bytes], bool] | None = None
) -> Iterator[GoodRecord | BadRecord]:
    """Read events, in the file's order; empty lines are passed over.

    A file that is one JSON document over many lines is one bad record, not one a line.

    Args:
        stream: the file, UTF-8; a byte order mark and Windows line ends do no harm.
        name: the file's name without its folder, for bare events' source.
        recorded_at: against which a shipment in the future shows; None leaves that open.
        wanted: tells by a line's bytes whether it is to be read at all; None reads all.
    """
    began, source = False, file_source(name)
    for number, line in enumerate(iter(partial(stream.readline, _LINE_MAX_BYTES), b""), 1):
        if len(line) == _LINE_MAX_BYTES:
            _pass_over_the_rest(stream, line)
        if wanted is not None and not wanted(line):
            continue
        value = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
        if not value:
            continue
        if not began and value in _AS_LINES:
            advice = (
                f"the file is one JSON document over many lines; write one event a line, as {_AS_LINES[value]} does"
            )
            yield BadRecord(number, RejectedRecord([FieldError("not_json", "", advice)]))
            return
        began = True
        try:
            event = read_event(value, default_source=source, recorded_at=recorded_at)
        except RejectedRecord as rejected:
            yield BadRecord(number, rejected)
        else:
            yield GoodRecord(number, event, value)


def _pass_over_the_rest(stream: BinaryIO, line: bytes) -> None:
    """Go to the end of a line of which only the beginning is kept."""
    while len(line) == _LINE_MAX_BYTES and not line.endswith(b"\n"):
        line = stream.readline(_LINE_MAX_BYTES)
