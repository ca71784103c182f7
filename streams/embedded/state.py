"""Where a second shell finds a running `up`: a file with its addresses, there while it runs. Holds no secret key."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from streams.embedded.guard import is_alive
from streams.settings import Settings

_LEFT_OUT = {"secret_key", "state_dir"}


@dataclass(frozen=True, slots=True)
class State:
    """What a running `up` tells.

    Attributes:
        pid: its process.
        api_url: where its endpoint listens.
        settings: the settings that lead to its ledger, by their short names.
    """

    pid: int
    api_url: str
    settings: dict[str, str]


def write_state(settings: Settings, api_url: str) -> None:
    """Say that this process is running, with these settings. Readable by its owner alone."""
    told = {name: value for name, value in settings.model_dump(mode="json").items() if name not in _LEFT_OUT}
    told["redis_url"] = settings.redis_url.get_secret_value()
    state = State(os.getpid(), api_url, {name: str(value) for name, value in told.items() if value is not None})
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    draft = _path(settings.state_dir).with_suffix(".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(state), indent=1))
    draft.replace(_path(settings.state_dir))


def remove_state(state_dir: Path) -> None:
    """Take this process's file away again, not another's."""
    if (state := running(state_dir)) and state.pid == os.getpid():
        _path(state_dir).unlink(missing_ok=True)


def running(state_dir: Path) -> State | None:
    """The `up` that runs, or None: there is no file, or its process is gone."""
    try:
        state = State(**json.loads(_path(state_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return state if is_alive(state.pid) else None


def _path(state_dir: Path) -> Path:
    return state_dir / "up.json"
