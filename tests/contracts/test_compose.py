"""docker-compose.yml and the image speak of commands, settings and ports that the code knows, and keep what must be."""

import os
import re
import shlex
import stat
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import typer.main
from pydantic import SecretStr

from ledger.errors import WrongCall
from streams.cli.main import app
from streams.pulse import Pulse
from streams.settings import Settings, load_settings
from streams.webhooks.subscription import SecretBox
from tests.compose import (
    DOCKERFILE,
    LONG_RUNNING,
    OURS,
    PASSWORDS,
    ROOT,
    SERVICES,
    STATE_DIR,
    NotGiven,
    environment_of_service,
    filled,
    health_command,
    listeners,
    named_volume,
    settings_of_service,
)

GIVEN = {"QUOTA_SECRET_KEY": "a key for this test"} | PASSWORDS
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.read_text().splitlines() if re.match(r"[A-Z]+ ", line)]
PATCH_TAG = re.compile(r"[\w./-]+:\d+\.\d+\.\d+(-[\w.-]+)?")


def said(instruction):
    """What the Dockerfile says behind an instruction, each time."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def published(name):
    """A service's published ports: address and port on this machine, port in the container."""
    for port in SERVICES[name].get("ports", ()):
        address, here, within = port.split(":")
        yield address, int(here), int(within)


def redis_words():
    """The options that Redis is started with."""
    return shlex.split(filled(SERVICES["valkey"]["command"][-1], GIVEN).partition("valkey-server ")[2])


# -------------------------------------------------------------------------------------------------------------- Images


def test_every_image_is_pinned_to_a_patch():
    images = [service["image"] for service in SERVICES.values()]
    images += [image.removesuffix(" AS build") for image in said("FROM")]

    assert [image for image in images if not PATCH_TAG.fullmatch(image)] == []


def test_kafka_is_the_one_that_tests_run_on():
    tested = re.findall(r"<version>([\d.]+)</version>", (ROOT / "tests" / "live_kafka" / "pom.xml").read_text())

    assert SERVICES["kafka"]["image"].removeprefix("apache/kafka:") in tested


def test_our_image_has_the_version_of_the_package():
    assert {service["image"] for service in OURS.values()} == {f"quota-ledger:{PROJECT['version']}"}
    assert f"quota-ledger:{PROJECT['version']}" in DOCKERFILE.read_text()


def test_the_image_is_built_from_what_is_there():
    build = next(iter(OURS.values()))["build"]
    copied = [source for rest in said("COPY") if "--from" not in rest for source in rest.split()[:-1]]
    let_in = (ROOT / ".dockerignore").read_text().splitlines()

    assert ROOT / build["context"] / build["dockerfile"] == DOCKERFILE
    assert copied
    assert [source for source in copied if not (ROOT / source).exists() or f"!{source}" not in let_in] == []
    assert "*" in let_in, "nothing else may get into an image, .env above all"


def test_the_image_runs_the_command_line_and_not_as_root():
    assert said("ENTRYPOINT") == ['["quota-ledger"]']
    assert "quota-ledger" in PROJECT["scripts"]
    assert said("USER") == ["10001:10001"]


# ------------------------------------------------------------------------------------------------ Commands and settings


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_the_command_line_knows(name):
    command = typer.main.get_command(app)
    for word in shlex.split(OURS[name]["command"]):
        assert word in getattr(command, "commands", {}), f"{name}: {word} is no command"
        command = command.commands[word]

    assert not hasattr(command, "commands"), f"{name} names a group of commands, not a command"


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_the_code_knows_with_a_value_it_takes(name):
    settings = load_settings(settings_of_service(name, GIVEN))

    assert settings.model_fields_set >= {"kafka_bootstrap", "redis_url", "state_dir"}


def test_a_misspelt_setting_would_be_found():
    with pytest.raises(WrongCall, match="QUOTA_REDIS_URL"):
        load_settings(settings_of_service("api", GIVEN) | {"QUOTA_REDIS_ULR": "redis://valkey"})


def test_what_may_be_set_from_outside_is_a_setting_too():
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))

    assert {variable.removeprefix("QUOTA_").lower() for variable in asked - set(PASSWORDS)} <= set(
        Settings.model_fields
    )


def test_the_api_asks_for_keys_where_others_can_reach_it():
    settings = load_settings(settings_of_service("api", GIVEN))

    assert not settings.on_loopback
    assert settings.auth == "required"


# -------------------------------------------------------------------------------------------------------------- Secrets


def test_no_secret_is_in_the_file():
    secret = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL")
    literal = [
        f"{name}: {variable}"
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if secret.search(variable) and not re.fullmatch(r"\$\{\w+:\?[^}]+\}", str(value))
    ]

    assert literal == []


@pytest.mark.parametrize("name", ["sender", "api"])
def test_who_needs_the_secret_key_does_not_start_without_and_is_told_what_to_do(name):
    with pytest.raises(NotGiven, match=r'make one .* README, "Running it for real"'):
        environment_of_service(name, PASSWORDS)

    assert "## Running it for real" in (ROOT / "README.md").read_text()


def test_nobody_else_is_told_the_secret_key():
    assert [name for name in SERVICES if "QUOTA_SECRET_KEY" in SERVICES[name].get("environment", {})] == [
        "sender",
        "api",
    ]


@pytest.mark.parametrize("password", PASSWORDS)
def test_redis_does_not_start_without_a_password_for_each_user(password):
    with pytest.raises(NotGiven, match=r'README, "Running it for real"'):
        environment_of_service("valkey", {name: given for name, given in PASSWORDS.items() if name != password})


def test_the_readmes_command_makes_the_secrets_once_and_for_their_owner_alone(tmp_path):
    [command] = re.findall(r"^\(umask.*?> \.env\)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    first, second = (
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False, capture_output=True) for _ in range(2)
    )
    made = tmp_path / ".env"
    secrets = dict(line.split("=") for line in made.read_text().splitlines())

    assert first.returncode == 0, first.stderr
    assert second.returncode != 0, "the key of what is kept already must not be written over"
    assert secrets.keys() == GIVEN.keys()
    assert len(set(secrets.values())) == len(secrets)
    assert all(re.fullmatch(r"[\w-]{43,}", secret, re.ASCII) for secret in secrets.values()), "sed and URLs take these"
    SecretBox(SecretStr(secrets["QUOTA_SECRET_KEY"]))
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert filled("${QUOTA_SECRET_KEY:?}", secrets) == secrets["QUOTA_SECRET_KEY"]
    assert subprocess.run(["git", "check-ignore", "-q", ".env"], cwd=ROOT, check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------------------- Ports


def test_ports_are_open_to_this_machine_only():
    ports = {name: list(published(name)) for name in SERVICES if "ports" in SERVICES[name]}

    assert set(ports) == {"kafka", "api"}
    assert {address for found in ports.values() for address, _, _ in found} == {"127.0.0.1"}


def test_the_published_ports_are_the_defaults_of_whoever_calls_from_this_machine():
    defaults = Settings()
    [(_, kafka, within)] = published("kafka")

    assert f"127.0.0.1:{kafka}" == defaults.kafka_bootstrap
    assert listeners("KAFKA_ADVERTISED_LISTENERS")["HOST"] == ("127.0.0.1", kafka)
    assert listeners("KAFKA_LISTENERS")["HOST"] == ("", within)
    assert list(published("api")) == [("127.0.0.1", defaults.http_port, defaults.http_port)]


@pytest.mark.parametrize("name", OURS)
def test_services_call_each_other_where_they_listen(name):
    settings = load_settings(settings_of_service(name, GIVEN))
    advertised = listeners("KAFKA_ADVERTISED_LISTENERS")["INTERNAL"]

    assert settings.kafka_bootstrap == "{}:{}".format(*advertised)
    assert advertised == ("kafka", listeners("KAFKA_LISTENERS")["INTERNAL"][1])
    user = name if name in ("sender", "api") else "worker"
    assert settings.redis_url.get_secret_value() == f"redis://{user}:{user.upper()}-for-tests@valkey:6379/0"
    assert "--port" not in redis_words(), "6379 is its own default"
    assert {"kafka", "valkey"} <= set(SERVICES)


def test_health_is_asked_where_a_service_listens():
    http_port = load_settings(settings_of_service("api", GIVEN)).http_port
    internal = listeners("KAFKA_LISTENERS")["INTERNAL"][1]

    assert f"http://127.0.0.1:{http_port}/livez" in " ".join(health_command("api"))
    assert health_command("kafka")[-2:] == ["--bootstrap-server", f"localhost:{internal}"]


# ---------------------------------------------------------------------------------------------------- What must survive


def test_kafka_keeps_its_data_on_a_volume():
    environment = SERVICES["kafka"]["environment"]

    assert named_volume("kafka", environment["KAFKA_LOG_DIRS"]) == "kafka-data"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_redis_keeps_its_data_on_a_volume_and_evicts_nothing():
    words = redis_words()
    options = dict(zip(words[::2], words[1::2], strict=True))

    assert options.pop("--dir") == "/data"
    made = SERVICES["valkey"]["command"][-1].partition("exec")[0]
    assert made.startswith("umask 022; sed "), "the user that Redis runs as reads what root writes"
    assert made.endswith(f"> {options.pop('--aclfile')}; ")
    assert named_volume("valkey", "/data") == "valkey-data"
    assert options == {"--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_can_write_its_state(name):
    service = OURS[name]
    scratch = dict(mount.partition(":")[::2] for mount in service["tmpfs"])

    assert settings_of_service(name, GIVEN)["QUOTA_STATE_DIR"] == STATE_DIR
    assert f"install -d -o quota -g quota -m 700 {STATE_DIR}" in DOCKERFILE.read_text()
    if service["read_only"]:
        assert "uid=10001" in scratch[STATE_DIR]


def test_a_workers_notes_outlive_a_restart():
    mounts = [*SERVICES["worker"]["tmpfs"], *SERVICES["worker"].get("volumes", ())]

    assert not any(STATE_DIR in mount for mount in mounts), "a tmpfs forgets, a volume is shared by further workers"
    assert SERVICES["worker"]["read_only"] is False


# ----------------------------------------------------------------------------------------------- Health, start, restart


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_tells_its_health_and_is_started_again(name):
    assert LONG_RUNNING[name]["restart"] == "unless-stopped"
    assert LONG_RUNNING[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= set(LONG_RUNNING[name]["healthcheck"])


def test_topics_are_made_once_before_anything_else_of_ours_starts():
    assert SERVICES["topics"]["restart"] == "no"
    for name in OURS.keys() - {"topics"}:
        assert SERVICES[name]["depends_on"] == {
            "kafka": {"condition": "service_healthy"},
            "valkey": {"condition": "service_healthy"},
            "topics": {"condition": "service_completed_successfully"},
        }
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", ["worker", "sender"])
def test_a_pulse_is_healthy_while_it_is_fresh(name, tmp_path):
    kind, words = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert f"{STATE_DIR}/{name}.pulse" in words

    def is_healthy():
        asked = ["sh", "-c", words.replace(STATE_DIR, str(tmp_path / "state"))]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    pulse = Pulse(tmp_path / "state", name)
    before_the_first_beat = is_healthy()
    pulse.beat()
    after_a_beat = is_healthy()
    half_a_minute_ago = time.time() - 31
    os.utime(tmp_path / "state" / f"{name}.pulse", (half_a_minute_ago, half_a_minute_ago))

    assert (before_the_first_beat, after_a_beat, is_healthy()) == (False, True, False)


def test_a_pulse_of_an_earlier_process_is_taken_away(tmp_path):
    Pulse(tmp_path, "worker").beat()
    Pulse(tmp_path, "worker")

    assert list(tmp_path.iterdir()) == []


def test_a_pulse_that_cannot_be_written_any_more_is_told_once_and_ends_nobody(tmp_path, caplog):
    pulse = Pulse(tmp_path / "state", "sender")
    (tmp_path / "state").rmdir()
    for _ in range(3):
        pulse.beat()

    [told] = caplog.messages
    assert told.startswith("QUOTA_STATE_DIR: ")
    assert told.endswith("sender.pulse cannot be touched: No such file or directory")


def test_a_folder_that_cannot_be_written_is_a_wrong_call(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(WrongCall, match="QUOTA_STATE_DIR"):
        Pulse(Path(tmp_path / "file"), "worker")
