"""The pulse of a process: a file that it touches whenever its work went round, for a health check to see how old it is.

Says that the process is at work, not that the ledger is up to date: that is every answer's `freshness`, and `/readyz`.
"""

import logging
from pathlib import Path

from ledger.errors import WrongCall

log = logging.getLogger(__name__)


class Pulse:
    """The pulse of one process.

    Args:
        folder: the setting `QUOTA_STATE_DIR`; made if it is not there. The pulse of an earlier process is taken away.
        process: its name, and with `.pulse` behind it the file's.

    Raises:
        WrongCall: the folder cannot be written.
    """

    def __init__(self, folder: Path, process: str) -> None:
        self._path = folder / f"{process}.pulse"
        self._told = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            self._path.unlink(missing_ok=True)
        except OSError as failure:
            raise WrongCall(f"QUOTA_STATE_DIR: {folder} cannot be written: {failure.strerror}") from None

    def beat(self) -> None:
        """The work went round. A file that cannot be touched grows old, which is the sign of it; the work goes on."""
        try:
            self._path.touch()
        except OSError as failure:
            if not self._told:
                log.warning("QUOTA_STATE_DIR: %s cannot be touched: %s", self._path, failure.strerror)
                self._told = True
        else:
            self._told = False
