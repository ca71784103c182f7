"""What docker-compose.yml would run, run without Docker: its commands, environments and health checks, as they stand.

Only host names, ports and folders are exchanged for some of this machine's.
"""

import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from cryptography.fernet import Fernet
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from streams.embedded.children import Child, end_all
from streams.embedded.valkey import free_port, installed_program
from streams.kafka.topics import missing_topics
from streams.settings import load_settings
from tests.compose import (
    PASSWORDS,
    ROOT,
    SERVICES,
    STATE_DIR,
    environment_of_service,
    filled,
    health_command,
    listeners,
)
from tests.parts import START_S, environment_without_settings, kafka_is_up, kafka_jars, wait_until

GIVEN = {"QUOTA_SECRET_KEY": Fernet.generate_key().decode()} | PASSWORDS
PATIENCE_S = 10.0
"""How long a process may take to end; compose waits longer."""


@dataclass(frozen=True)
class Machine:
    """The parts that compose would start, on ports of this machine."""

    folder: Path
    exchanged: dict[str, str]

    def here(self, text):
        """A text of the compose file with this machine's addresses and folders in it."""
        for there, here in self.exchanged.items():
            text = text.replace(there, here)
        return text

    def environment(self, name):
        """What the process of a service would find in its environment."""
        told = {variable: self.here(value) for variable, value in environment_of_service(name, GIVEN).items()}
        if "QUOTA_HTTP_PORT" in told:
            told["QUOTA_HTTP_PORT"] = self.exchanged[":8080"].removeprefix(":")
        return environment_without_settings() | told

    def settings(self, name):
        """The same as settings."""
        return load_settings({name: value for name, value in self.environment(name).items() if "QUOTA_" in name})

    def quota_ledger(self, name):
        """The command line of a service, with the image's entry point before it."""
        return [sys.executable, "-m", "streams.cli.main", *shlex.split(SERVICES[name]["command"])]

    def is_healthy(self, name):
        """Whether the container's health check would pass."""
        programs = {"python": sys.executable, "valkey-cli": shutil.which("valkey-cli") or shutil.which("redis-cli")}
        words = [self.here(word) for word in health_command(name)]
        words[0] = programs.get(words[0], words[0])
        if name == "valkey":
            words[1:1] = ["-p", self.exchanged["valkey:6379"].rpartition(":")[2]]
        return subprocess.run(words, check=False, capture_output=True, timeout=10).returncode == 0


@pytest.fixture
def machine(real_kafka, redis_url, tmp_path, register):
    """Kafka and Redis as the compose file configures them, on this machine: it must have real ones."""
    if installed_program() is None:
        pytest.skip("needs redis-server and its redis-cli")
    ports = {name: free_port() for name in ("internal", "host", "controller", "valkey", "api")}
    exchanged = {
        "kafka:19092": f"127.0.0.1:{ports['internal']}",
        "valkey:6379": f"127.0.0.1:{ports['valkey']}",
        ":8080": f":{ports['api']}",
        "0.0.0.0": "127.0.0.1",
        STATE_DIR: str(tmp_path / "state"),
    }
    started = [
        start_kafka(tmp_path / "kafka", register, ports),
        start_redis(tmp_path / "valkey", register, ports["valkey"]),
    ]
    yield Machine(tmp_path, exchanged)
    end_all(started)
    for child in started:
        print(f"--- {child.name} (exit code {child.exit_code()})\n{child.log_tail()}")


def start_kafka(home, register, ports):
    """Apache Kafka as its image starts it: the image's own program makes the configuration from the environment."""
    folders = {kind: home / kind for kind in ("default", "mounted", "final", "data")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        (folders["default"] / name).touch()
    there = listeners("KAFKA_LISTENERS")
    numbers = {str(there[name.upper()][1]): str(ports[name]) for name in ("internal", "host", "controller")}
    environment = environment_of_service("kafka", GIVEN)
    for variable, value in environment.items():
        if "LISTENERS" in variable or "VOTERS" in variable:
            for number, port in numbers.items():
                value = value.replace(f":{number}", f":{port}")  # noqa: PLW2901
            environment[variable] = value.replace("//kafka:", "//127.0.0.1:").replace("//:", "//127.0.0.1:")
    environment["KAFKA_LOG_DIRS"] = str(folders["data"])
    java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars()}/*"]
    setup = [*java, "kafka.docker.KafkaDockerWrapper", "setup"]
    for option, kind in (("-D", "default"), ("-M", "mounted"), ("-F", "final")):
        setup += [option, str(folders[kind])]
    whole = environment_without_settings() | environment
    subprocess.run(setup, env=whole, check=True, capture_output=True, timeout=START_S)
    command = [*java, "kafka.Kafka", str(folders["final"] / "server.properties")]
    child = Child("kafka", command, log=home / "kafka.log", register=register, environment=whole)
    assert kafka_is_up(child, ports["host"]), child.log_tail()
    return child


def start_redis(home, register, port):
    """Redis by the commands of its container, which give its users their passwords."""
    home.mkdir(exist_ok=True)
    exchanged = {
        "docker-entrypoint.sh valkey-server": str(installed_program()),
        "/tmp/users.acl": str(home / "users.acl"),
        "/etc/valkey/users.acl": str(ROOT / "streams" / "deploy" / "users.acl"),
        "/data": str(home),
    }
    *shell, script = SERVICES["valkey"]["command"]
    script = filled(script, {})
    for there, here in exchanged.items():
        script = script.replace(there, here)
    command = [*shell, f"{script} --port {port} --bind 127.0.0.1"]
    environment = environment_without_settings() | environment_of_service("valkey", GIVEN)
    child = Child("valkey", command, log=home / "valkey.log", register=register, environment=environment)

    def is_up():
        try:
            with Redis(port=port, username="health", password="any") as redis:
                return redis.ping()
        except RedisError:
            return False

    wait_until(is_up, "Redis")
    return child


@pytest.fixture
def started(machine, register):
    """Starts a service's process as its container would."""
    children = {}

    def start(name):
        log = machine.folder / f"{name}.log"
        command, environment = machine.quota_ledger(name), machine.environment(name)
        children[name] = Child(name, command, log=log, register=register, environment=environment)
        return children[name]

    yield start
    end_all(list(children.values()))
    for child in children.values():
        print(f"--- {child.name} (exit code {child.exit_code()})\n{child.log_tail(40)}")


def run(command, environment):
    """What a command that must succeed printed."""
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_services_start_tell_their_health_ask_for_keys_and_stop(machine, started):
    with Redis.from_url(machine.settings("worker").redis_url.get_secret_value()) as redis:
        told = redis.info()
    assert (told["maxmemory_policy"], told["aof_enabled"]) == ("noeviction", 1)
    assert machine.is_healthy("valkey")
    for name, foreign in (("api", ["HSET", "quota:{main}:balances", "a", "b"]), ("worker", ["FLUSHALL"])):
        with Redis.from_url(machine.settings(name).redis_url.get_secret_value()) as redis:
            assert redis.ping()
            with pytest.raises(NoPermissionError):
                redis.execute_command(*foreign)
    port = int(machine.exchanged["valkey:6379"].rpartition(":")[2])
    with Redis(port=port) as redis, pytest.raises(AuthenticationError):
        redis.ping()
    with Redis(port=port, username="health", password="any") as redis, pytest.raises(NoPermissionError):
        redis.hgetall("quota:{main}:balances")

    settings = machine.settings("worker")
    assert len(missing_topics(settings)) == 4
    for _ in range(2):
        run(machine.quota_ledger("topics"), machine.environment("topics"))
    assert missing_topics(settings) == []

    assert [name for name in ("worker", "sender", "api") if machine.is_healthy(name)] == []
    children = [started(name) for name in ("worker", "sender", "api")]
    for name in ("worker", "sender", "api"):
        wait_until(lambda name=name: machine.is_healthy(name), f"{name} to be healthy", 60)

    api = httpx2.Client(base_url=f"http://127.0.0.1{machine.exchanged[':8080']}", timeout=10)
    assert api.get("/livez").status_code == 200
    wait_until(lambda: api.get("/readyz").status_code == 200, "the ledger to be ready")
    assert api.get("/v1/quotas").status_code == 401
    create = [sys.executable, "-m", "streams.cli.main", "keys", "create", "--scope", "quota:read"]
    key = run(create, machine.environment("api")).strip()
    answer = api.get("/v1/quotas", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert answer.json()["items"]
    api.close()

    began = time.monotonic()
    end_all(children, patience_s=PATIENCE_S)
    assert {child.name: child.exit_code() for child in children} == {"worker": 0, "sender": 0, "api": 0}
    assert time.monotonic() - began < PATIENCE_S < float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))


def test_redis_started_again_has_what_a_script_wrote_to_several_keys(tmp_path, register):
    if installed_program() is None:
        pytest.skip("needs redis-server")
    port, keys = free_port(), ("quota:{main}:balances", "quota:{main}:meta")
    password = PASSWORDS["VALKEY_WORKER_PASSWORD"]
    write = "#!lua\nfor _, key in ipairs(KEYS) do redis.call('hset', key, 'a', ARGV[1]) end"
    for number in ("1", "2"):
        child = start_redis(tmp_path / "valkey", register, port)
        with Redis(port=port, username="worker", password=password, decode_responses=True) as redis:
            before = [redis.hget(key, "a") for key in keys]
            redis.eval(write, len(keys), *keys, number)
        end_all([child])

        assert before == ([None, None] if number == "1" else ["1", "1"]), child.log_tail()
