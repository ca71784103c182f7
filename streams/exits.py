"""Why this worker left before, kept in a file: a worker that leaves three times at one checkpoint stops trying."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

EXITS_MAX = 3


@dataclass(frozen=True, slots=True)
class LastExit:
    """The last exit over a partition: why, at which checkpoint, and how often in a row it was the same."""

    reason: str
    partition: str
    checkpoint: int
    times: int


class ExitNotes:
    """The notes of one worker.

    Args:
        path: the file; its folder is made when the first note is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> LastExit | None:
        """The last exit, if the partition has not moved since as far as this worker saw."""
        try:
            return LastExit(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def add(self, reason: str, partition: str, checkpoint: int) -> LastExit:
        """Note an exit."""
        before = self.last()
        same = before is not None and (before.partition, before.checkpoint) == (partition, checkpoint)
        noted = LastExit(reason, partition, checkpoint, before.times + 1 if before and same else 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(noted)))
        draft.replace(self._path)
        return noted

    def clear(self) -> None:
        """The partition moved on."""
        self._path.unlink(missing_ok=True)
