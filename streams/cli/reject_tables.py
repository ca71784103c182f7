"""How rejected records look on a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ledger.folding import shorten
from schemas.parked_record import ParkedOriginal, ParkedRecord, ReplayList
from schemas.plain_text import in_one_line
from streams.cli.tables import plain_table

_BYTES_A_ROW = 16
_DETAIL_MAX = 160


def parked_table(records: Sequence[ParkedRecord]) -> RenderableType:
    """Rejected records, oldest first."""
    if not records:
        return Text("Nothing was rejected.")
    table = plain_table("place", "parked", "reason", right=("bytes",), left=("event", "since then"))
    for record in records:
        parked_at = f"{record.parked_at:%Y-%m-%d %H:%M:%S}"
        event = shorten(in_one_line(record.event_key or "-"))
        table.add_row(record.place, parked_at, record.reason, f"{record.size_bytes:,}", event, became(record))
    return table


def became(record: ParkedRecord) -> str:
    """What became of a rejected record, in a few words."""
    if record.known == "same":
        return f"in the ledger: {record.outcome}"
    if record.rejected_again is not None:
        return f"rejected again: {record.rejected_again}"
    return "another event has its key" if record.known == "other" else "nothing"


def parked_sheet(original: ParkedOriginal, value: bytes) -> RenderableType:
    """One rejected record, whole."""
    record = original.record
    parts: list[RenderableType] = [
        Text(f"{record.place}: {record.reason}", "bold"),
        Padding(Text(record.detail), (0, 2)),
        Text(f"event {in_one_line(record.event_key or 'not known')}, parked {record.parked_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if record.replay_of is not None:
        parts.append(Text(in_one_line(f"it is a replay of {record.replay_of}")))
    parts.append(Text(f"since then: {became(record)}"))
    parts += [Text(in_one_line(f"header {header.name}: {header.value}")) for header in original.headers]
    cut = ", cut: the whole lies at its place" if original.cut else ""
    parts.append(Text(f"{len(value):,} bytes{cut}", "bold"))
    parts.append(Padding(Text(hexdump(value) if original.value_text is None else original.value_text), (0, 2)))
    return Group(*parts)


def replay_table(replays: ReplayList) -> RenderableType:
    """What replays come to."""
    if not replays.items:
        return Text("Nothing to replay.")
    table = plain_table("place", right=(), left=("becomes", "event", "told"))
    for one in replays.items:
        event, told = shorten(in_one_line(one.event_key or "-")), shorten(in_one_line(one.told), _DETAIL_MAX)
        table.add_row(one.place, one.becomes, event, told)
    count = sum(one.becomes != "left" for one in replays.items)
    told = "are on the topic again" if replays.written else "would be sent; nothing is written"
    return Group(table, Text(f"{count:,} {told}", "dim"))


def text_of(value: bytes) -> str | None:
    """Bytes as a text that can be shown; None if they are none."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\t" for char in text) else None


def hexdump(value: bytes) -> str:
    """Bytes as people look at them: place, 16 bytes, and what of them are letters."""
    rows = []
    for at in range(0, len(value), _BYTES_A_ROW):
        part = value[at : at + _BYTES_A_ROW]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004  ASCII
        rows.append(f"{at:08x}  {part.hex(' '):47}  {letters}")
    return "\n".join(rows)
