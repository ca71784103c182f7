"""CSV: one row a line of a shipment; all rows of one `source` and `id` are one event, wherever they stand.

The file is read twice. The first pass counts the rows of each event, the second gives an event out with its last row:
memory holds a number for each event and the rows of those that are not complete yet, which are few where the rows of
an event stand together. What a row leaves empty holds as another row of its event says it.
"""

import csv
import difflib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger.errors import WrongCall
from schemas.cloudevents import read_event
from schemas.rejected_record import FieldError, RejectedRecord
from streams.readers.records import BadRecord, GoodRecord, file_source

_EVENT_COLUMNS = {
    "id": "id",
    "type": "type",
    "source": "source",
    "shipment_id": "data.shipment_id",
    "shipped_at": "data.shipped_at",
    "origin": "data.origin",
    "destination": "data.destination",
    "consignee": "data.consignee.name",
    "consignee_country": "data.consignee.country",
    "consignee_hq": "data.consignee.headquarters",
    "parent": "data.consignee.ultimate_parent.name",
    "parent_id": "data.consignee.ultimate_parent.id",
    "parent_country": "data.consignee.ultimate_parent.country",
    "authorization_kind": "data.authorization.kind",
    "authorization_number": "data.authorization.number",
}
"""Column -> the event's field. The rows of one event must agree on these."""

_LINE_COLUMNS = ("vendor", "model", "quantity", "tpp_each")
_NUMBERS = ("quantity", "tpp_each")
_COLUMN_OF = {field: column for column, field in _EVENT_COLUMNS.items()}

COLUMNS = (*_EVENT_COLUMNS, *_LINE_COLUMNS)
"""Every column there is; a file may leave out what it does not state, and order them as it likes."""

_NEEDED = ("id", "destination", "quantity")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row: the line it begins on, and what its columns say where they say something."""

    line: int
    cells: dict[str, str]

    @property
    def event(self) -> tuple[str, str]:
        """The event that the row belongs to."""
        return self.cells.get("source", ""), self.cells.get("id", "")


def read_csv(path: Path, *, recorded_at: datetime | None = None) -> Iterator[GoodRecord | BadRecord]:
    """Read events, each where its last row stands.

    Args:
        path: the file, UTF-8; commas, semicolons or tabs; a byte order mark and Windows line ends do no harm.
        recorded_at: against which a shipment in the future shows; None leaves that open.

    Raises:
        WrongCall: the file as a whole cannot be read: its encoding, its columns.
    """
    rows_left = Counter(row.event for row in _rows(path))
    begun: dict[tuple[str, str], list[_Row]] = {}
    for row in _rows(path):
        if "id" not in row.cells:
            yield _bad(row.line, "missing_field", "id", "every row names the event that it belongs to")
            continue
        begun.setdefault(row.event, []).append(row)
        rows_left[row.event] -= 1
        if not rows_left[row.event]:
            yield _read_rows(begun.pop(row.event), path.name, recorded_at)


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from _rows_of(text, path.name)
    except UnicodeDecodeError:
        raise WrongCall(f"{path.name} is not UTF-8; save it as CSV UTF-8") from None


def _rows_of(text: io.TextIOWrapper, name: str) -> Iterator[_Row]:
    header = text.readline()
    delimiter = max(",;\t", key=header.count)
    columns = [column.strip().lower() for column in next(csv.reader([header], delimiter=delimiter), [])]
    _check_columns(columns, name)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        begins = 2
        for row in rows:
            if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
                advice = (
                    f"{len(row)} cells under {len(columns)} columns; put quotes around a cell that holds {delimiter!r}"
                )
                raise WrongCall(f"{name}:{begins}: {advice}")
            said = {column: cell.strip() for column, cell in zip(columns, row, strict=False) if cell.strip()}
            if said:
                yield _Row(begins, said)
            begins = rows.line_num + 2
    except csv.Error as failure:
        raise WrongCall(f"{name}:{rows.line_num + 1}: {failure}") from None


def _check_columns(columns: list[str], name: str) -> None:
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the columns are {', '.join(COLUMNS)}"
            raise WrongCall(f"{name}:1: there is no column {column!r}; {hint}")
        if columns.count(column) > 1:
            raise WrongCall(f"{name}:1: the column {column} stands there twice")
    if absent := [column for column in _NEEDED if column not in columns]:
        raise WrongCall(f"{name}:1: the column {absent[0]} is missing; the first row names the columns")


def _read_rows(rows: list[_Row], name: str, recorded_at: datetime | None) -> GoodRecord | BadRecord:
    """One event from its rows, or everything that is wrong with them, each with its line and column."""
    first = rows[0].line
    try:
        stated = _stated_once(rows)
        lines = [_line(row) for row in rows]
        value = json.dumps(_structured(stated, lines, name), ensure_ascii=False).encode()
        return GoodRecord(first, read_event(value, default_source="", recorded_at=recorded_at), value)
    except RejectedRecord as rejected:
        errors = [_in_the_file(error, rows) for error in rejected.errors]
        return BadRecord(first, RejectedRecord(errors, rejected.event_key))


def _stated_once(rows: list[_Row]) -> dict[str, str]:
    """What the rows say about their event as a whole."""
    stated: dict[str, str] = {}
    errors: list[FieldError] = []
    for row in rows:
        for column in _EVENT_COLUMNS:
            said = row.cells.get(column)
            if said is not None and stated.setdefault(column, said) != said:
                advice = f"found {said!r} in line {row.line}, {stated[column]!r} before; rows of one id are one event"
                errors.append(FieldError("bad_value", column, advice))
    if errors:
        raise RejectedRecord(errors)
    return stated


def _line(row: _Row) -> dict[str, Any]:
    """One line of the shipment. A number that is none stays text: the event's reader names it."""
    line: dict[str, Any] = {column: row.cells[column] for column in _LINE_COLUMNS if column in row.cells}
    for column in _NUMBERS:
        if column in line and line[column].isascii() and line[column].isdecimal() and len(line[column]) < 20:  # noqa: PLR2004
            line[column] = int(line[column])
    return line


def _structured(stated: dict[str, str], lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    event: dict[str, Any] = {"specversion": "1.0", "source": file_source(name), "type": "shipment.shipped", "data": {}}
    for column, said in stated.items():
        place = event
        *folders, last = _EVENT_COLUMNS[column].split(".")
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = said
    event["data"]["lines"] = lines
    return event


def _in_the_file(error: FieldError, rows: list[_Row]) -> FieldError:
    """The same error where a person finds it: by column, and by line where the event has several."""
    match error.field.split("."):
        case ["data", "lines", number, column]:
            return FieldError(error.reason, f"line {rows[int(number)].line}, {column}", error.advice)
        case _:
            return FieldError(error.reason, _COLUMN_OF.get(error.field, error.field), error.advice)


def _bad(line: int, reason: Any, column: str, advice: str) -> BadRecord:
    return BadRecord(line, RejectedRecord([FieldError(reason, column, advice)]))
