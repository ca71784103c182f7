"""What is installed: the lock meets every requirement on every Python, and the wheel holds scripts and data."""

import re
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
PEERS = ROOT / "tests" / "benchmarks"
PEERS_LOCK = (PEERS / "peers.lock").read_text()
MACHINES = [("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64")]


def pins(lock=LOCK):
    """A lock's entries, each with its hashes."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)[1:]
    for entry in entries:
        pin, *hashes = re.split(r"\s*\\?\n\s*--hash=", entry.split("\n    # via")[0])
        yield Requirement(pin.strip()), hashes


def unmet(requirement, python, machine):
    """Why the lock does not meet a requirement on this Python and machine, or None."""
    platform, system, architecture = machine
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": architecture,
    }
    if requirement.marker and not requirement.marker.evaluate(environment):
        return None
    named = canonicalize_name(requirement.name)
    for pin, _ in pins():
        if canonicalize_name(pin.name) == named and (pin.marker is None or pin.marker.evaluate(environment)):
            version = next(iter(pin.specifier)).version
            return None if requirement.specifier.contains(version) else f"{requirement} is pinned at {version}"
    return f"{requirement} has no pin"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: f"{machine[0]}-{machine[2]}")
def test_the_lock_meets_every_requirement(python, machine):
    asked = PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]
    missing = [why for text in asked if (why := unmet(Requirement(text), python, machine))]

    assert missing == [], "write requirements.lock anew with the command in its second line"


def test_an_unmet_requirement_is_found():
    linux = MACHINES[0]

    assert unmet(Requirement("no-such-package"), "3.11", linux) == "no-such-package has no pin"
    assert "is pinned at" in str(unmet(Requirement("pydantic<2"), "3.11", linux))
    assert unmet(Requirement("no-such-package; python_version < '3.12'"), "3.12", linux) is None


@pytest.mark.parametrize("lock", [LOCK, PEERS_LOCK], ids=["ours", "peers"])
def test_every_pin_is_exact_and_has_its_hashes(lock):
    found = list(pins(lock))
    loose = [str(pin) for pin, hashes in found if not hashes or [part.operator for part in pin.specifier] != ["=="]]

    assert len(found) > 40
    assert loose == []
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for _, hashes in found for each in hashes)


@pytest.mark.parametrize("lock", [LOCK, PEERS_LOCK], ids=["ours", "peers"])
def test_the_lock_names_no_index(lock):
    assert [line for line in lock.splitlines() if "://" in line or line.startswith("-")] == []


def test_the_benchmarks_peers_share_our_versions_of_what_both_measure_with():
    asked = [
        Requirement(line.split("#")[0]) for line in (PEERS / "peers.in").read_text().splitlines() if line[0] != "#"
    ]
    ours, theirs = ({pin.name: str(pin.specifier) for pin, _ in pins(lock)} for lock in (LOCK, PEERS_LOCK))
    shared = [each.name for each in asked if each.name in ours]

    assert {"aiokafka", "hiredis", "msgspec", "redis"} <= set(shared)
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}
    assert [each.name for each in asked if not each.specifier.contains(theirs[each.name].removeprefix("=="))] == []


def test_the_wheel_holds_code_scripts_and_data():
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    rooms = ("schemas", "ledger", "streams")
    suffixes = {".py", ".lua", ".csv", ".toml", ".jsonl", ".json", ".yaml", ".html", ".css", ".js", ".svg"}
    wanted = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }

    assert wanted - packed == set()
    assert {path.split("/")[0] for path in packed} <= set(rooms)
    for suffix in (".lua", ".csv", ".toml", ".jsonl", ".schema.json", ".html", ".css", ".js"):
        assert any(path.endswith(suffix) for path in packed), f"no {suffix} file in the wheel"
