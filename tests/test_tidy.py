"""House rules, each with advice: which room may import which, what pure modules leave alone, what README must name."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from streams.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
ROOMS = ("schemas", "ledger", "streams")
TOP_LEVEL = {
    *ROOMS,
    "tests",
    "README.md",
    "pyproject.toml",
    "requirements.lock",
    "docker-compose.yml",
    "LICENSE",
    ".ci",
    ".gitignore",
    ".gitattributes",
    ".dockerignore",
}
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
SCRIPTS = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.lua"))

WIRE = {"kafka", "aiokafka", "faust", "mode", "confluent_kafka", "fastapi", "starlette", "uvicorn", "aiohttp", "typer"}
CHANCE = {"time", "random", "secrets", "uuid", "os", "socket", "subprocess", "threading", "asyncio"}
CLOCK_CALLS = {"now", "utcnow", "today"}
PROCESSES = ("streams.worker", "streams.api", "streams.cli", "streams.embedded")
"""Rooms that join parts, or are joined by those that do: nobody else imports them."""


def imported(path):
    """The modules a file imports, dotted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(path, *folders):
    return any(path.is_relative_to(ROOT / folder) for folder in folders)


def shown(path):
    return str(path.relative_to(ROOT))


def offenders(modules, forbidden):
    """Which of these modules import something forbidden: "file imports name"."""
    return [
        f"{shown(path)} imports {name}" for path in modules for name in sorted(set(imported(path))) if forbidden(name)
    ]


def starts(name, roots):
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize(("room", "others"), [("schemas", ("ledger", "streams", "tests")), ("ledger", ("streams",))])
def test_rooms_import_one_way_only(room, others):
    modules = [path for path in MODULES if within(path, room)]

    assert offenders(modules, lambda name: starts(name, others)) == [], "schemas <- ledger <- streams"


def test_the_ledger_knows_no_wire():
    modules = [path for path in MODULES if within(path, "schemas", "ledger")]

    assert offenders(modules, lambda name: starts(name, WIRE)) == [], "Kafka and HTTP belong to streams/"


def test_only_the_book_talks_to_redis_within_the_ledger():
    modules = [path for path in MODULES if within(path, "schemas", "ledger") and not within(path, "ledger/book")]

    assert offenders(modules, lambda name: starts(name, {"redis"})) == []


def test_rules_are_pure():
    modules = [path for path in MODULES if within(path, "ledger/rules", "ledger/replay")]
    impure = offenders(modules, lambda name: starts(name, CHANCE | WIRE | {"redis", "ledger.book"}))

    assert modules
    assert impure == [], "time, chance and configuration come in as arguments"


def test_the_ledger_reads_no_clock_and_no_environment():
    clocks = [
        f"{shown(path)}:{node.lineno} calls {node.func.attr}()"
        for path in MODULES
        if within(path, "schemas", "ledger")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
    ]
    modules = [path for path in MODULES if within(path, "schemas", "ledger")]

    assert clocks == [], "the moment comes in as an argument"
    assert offenders(modules, lambda name: starts(name, {"os", "random"})) == []


def test_only_the_processes_join_parts():
    joins = ("streams/worker.py", "streams/cli", "streams/embedded", "streams/api")
    modules = [path for path in MODULES if not within(path, *joins)]

    assert offenders(modules, lambda name: starts(name, PROCESSES)) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=shown)
def test_a_script_says_every_slot_it_uses(script):
    header, _, body = script.read_text().partition("]]")
    used = set(re.findall(r"(?:KEYS|ARGV)\[\d+\]", body))
    computed = re.search(r"(?:KEYS|ARGV)\[[^\]]*[a-z]", body)

    assert header.startswith("#!lua"), "the flags of a script are its own business, not Redis' old defaults"
    assert "Returns" in header
    assert sorted(slot for slot in used if slot not in header) == []
    assert not computed or "and so on" in header, "say where a row of slots begins and how it goes on"


@pytest.mark.parametrize("script", SCRIPTS, ids=shown)
def test_a_script_is_handed_every_key(script):
    built = re.findall(r"redis\.p?call\(\s*[\"']\w+[\"']\s*,\s*[\"'][^\n]*", script.read_text())

    assert built == [], "a key that is not in KEYS may lie in another slot"


def test_readme_names_every_setting():
    readme = (ROOT / "README.md").read_text()
    names = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]

    assert [name for name in names if f"`{name}`" not in readme] == []


def test_readme_names_every_topic():
    readme = (ROOT / "README.md").read_text()
    topics = [field.default for name, field in Settings.model_fields.items() if name.startswith("topic_")]

    assert len(topics) == 4
    assert [topic for topic in topics if f"`{topic}`" not in readme] == []


def test_every_path_that_readme_names_is_there():
    readme = (ROOT / "README.md").read_text()
    paths = [name for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*)`", readme) if name.split("/")[0] in TOP_LEVEL]

    assert len(paths) >= 4
    assert [path for path in paths if not (ROOT / path).exists()] == []


def tracked():
    """What is in the repository, or would be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_top_level_is_closed():
    found = {path.relative_to(ROOT).parts[0] for path in tracked()}

    assert found - TOP_LEVEL == set(), "put it into a room, pyproject.toml or the README"


def test_no_file_names_a_machine_or_a_registry():
    folders = ["work/", "root/", "tmp/q/"]
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "repo1." + "maven.org",
        "repo." + "maven.apache",
        "npmjs" + ".org",
    ]
    pattern = re.compile(
        "|".join([rf"(?<![\w.~])/{folder}" for folder in folders] + [re.escape(host) for host in hosts])
    )
    found = [
        f"{shown(path)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def test_every_test_file_has_a_name_of_its_own():
    """pytest takes two files of one name for one module."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert names == sorted(set(names))
