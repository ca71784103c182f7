"""The corpus of bodies that are no event: `tests/corpus`, one file each, and a manifest that says what each is.

A row of `manifest.json` states the file, the reason and the field that the message names first, what the body is in
words, and the record's headers, if it has any (`base64:…` for one that is no text). Files stay for ever; a body that
was once let through, or once stopped something, is added.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class BadBody:
    """One record that cannot be applied, and why."""

    name: str
    value: bytes
    headers: list[tuple[str, bytes]]
    reason: str
    field: str
    what: str


def bad_bodies() -> list[BadBody]:
    """All of them, in the manifest's order."""
    return [
        BadBody(
            name=row["file"],
            value=(CORPUS / "bodies" / row["file"]).read_bytes(),
            headers=[(name, _bytes(text)) for name, text in row.get("headers", {}).items()],
            reason=row["reason"],
            field=row["field"],
            what=row["what"],
        )
        for row in json.loads((CORPUS / "manifest.json").read_text())
    ]


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.removeprefix("base64:")) if text.startswith("base64:") else text.encode()
