"""What processes use, by the kernel's and Redis' own counters."""

import os
import re
from pathlib import Path
from typing import Any

from redis import Redis

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has spent, all threads, user and kernel, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mb(pid: int, field: str) -> int:
    """What a process has in memory: `VmRSS`, or `VmHWM`, the most it ever had."""
    found = re.search(rf"{field}:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return round(int(found[1]) / 1024)


def redis_cpu_s(redis: Redis) -> float:
    """CPU seconds that Redis has spent, user and kernel."""
    told: Any = redis.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])
