"""The environment of the peers' rows, built in `.cache` when one of them is asked for, once for each state of the lock.

Their packages want older ones than ours, so they have an environment and a lock of their own.
"""

import hashlib
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

from tests import parts

LOCK = Path(__file__).with_name("peers.lock")
FOLDER = parts.ROOT / ".cache" / "peers" / hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
PYTHON = FOLDER / "bin" / "python"

PACKAGES = ("faststream", "quixstreams", "aiokafka", "confluent-kafka", "pydantic", "redis", "hiredis")
"""Whose versions are printed."""

INSTALL_S = 600


def build(say: Callable[[str], None]) -> None:
    """Install what is in the lock, with pip, unless it is there.

    Raises:
        parts.NotHere: it could not be installed.
    """
    if FOLDER.is_dir():
        return
    say(f"installing {LOCK.name} into {FOLDER.relative_to(parts.ROOT)}")
    building = FOLDER.with_name(f"{FOLDER.name}.{uuid.uuid4().hex[:8]}")
    try:
        _run(sys.executable, "-m", "venv", str(building))
        pip = (str(building / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
        _run(*pip, "--require-hashes", "-r", str(LOCK))
        building.rename(FOLDER)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def versions() -> dict[str, str]:
    """Of the packages that matter, once they are installed."""
    folders = [str(folder) for folder in FOLDER.glob("lib/*/site-packages")]
    installed = {found.name: found.version for found in distributions(path=folders)}
    return {name: installed[name] for name in PACKAGES}


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        raise parts.NotHere(f"the peers could not be installed: {(done.stderr or done.stdout).strip()[-300:]}")
