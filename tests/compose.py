"""docker-compose.yml, read as compose reads it: services, their settings filled in, and the addresses they speak of."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from streams.settings import PREFIX

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "streams" / "deploy" / "Dockerfile"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
LONG_RUNNING = {name: service for name, service in SERVICES.items() if name != "topics"}
STATE_DIR = "/var/lib/quota-ledger"

PASSWORDS = {f"VALKEY_{user}_PASSWORD": f"{user}-for-tests" for user in ("WORKER", "SENDER", "API")}
"""What `.env` holds beside the secret key."""

BLANK = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class NotGiven(Exception):  # noqa: N818
    """A required variable is not set; the message is the file's."""


def filled(text: Any, given: Mapping[str, str]) -> str:
    """A value with compose's `${NAME:-default}`, `${NAME:?message}` and `$$` filled in.

    Raises:
        NotGiven: a required variable is missing.
    """

    def fill(blank: re.Match[str]) -> str:
        if blank["name"] is None:
            return "$"
        if value := given.get(blank["name"]):
            return value
        if blank["kind"] == "?":
            raise NotGiven(blank["rest"])
        return blank["rest"] or ""

    return BLANK.sub(fill, str(text))


def environment_of_service(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service's container; of what is read from outside, `given` is all there is."""
    return {variable: filled(value, given) for variable, value in SERVICES[name].get("environment", {}).items()}


def settings_of_service(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The `QUOTA_` variables of a service."""
    environment = environment_of_service(name, given)
    return {variable: value for variable, value in environment.items() if variable.startswith(PREFIX)}


def health_command(name: str) -> list[str]:
    """What a container runs to tell its health, as words."""
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    words = [filled(word, {}) for word in words]
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def named_volume(name: str, folder: str) -> str | None:
    """The volume of the file's own that a service has at a folder."""
    for volume in SERVICES[name].get("volumes", ()):
        source, _, target = volume.partition(":")
        if target == folder and source in DOCUMENT["volumes"]:
            return str(source)
    return None


def listeners(variable: str) -> dict[str, tuple[str, int]]:
    """Kafka's listeners as one of its variables gives them: name -> host (empty: every one) and port."""
    found = {}
    for listener in SERVICES["kafka"]["environment"][variable].split(","):
        name, _, address = listener.partition("://")
        host, _, port = address.rpartition(":")
        found[name] = (host, int(port))
    return found
