"""Ends the processes on a list as soon as the process that keeps the list is gone, however it went (`kill -9` too).

Run as `python guard.py LIST`, with standard input a pipe whose other end the keeper holds. A line `+PID` in LIST names
a process group that was started, `-PID` one that has ended. Only the standard library, so that it starts at once.
"""

import os
import signal
import sys
import time
from pathlib import Path

PATIENCE_S = 10.0
"""How long a process may take to end after SIGTERM."""


def listed(path: Path) -> list[int]:
    """The process groups that were started and have not ended, in the order of their start."""
    pids: dict[int, None] = {}
    for line in path.read_text().split():
        if line.startswith("+"):
            pids[int(line)] = None
        else:
            pids.pop(-int(line), None)
    return list(pids)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def end_groups(pids: list[int], patience_s: float = PATIENCE_S) -> None:
    """SIGTERM to every group at once, SIGKILL to those that are still there after `patience_s`."""
    for signal_number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 2.0)):
        pids = [pid for pid in pids if is_alive(pid)]
        for pid in pids:
            try:
                os.killpg(pid, signal_number)
            except (ProcessLookupError, PermissionError):
                continue
        until = time.monotonic() + wait_s
        while any(map(is_alive, pids)) and time.monotonic() < until:
            time.sleep(0.02)


def main() -> None:
    """Wait for the end of standard input, then end what is on the list."""
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    end_groups(listed(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
