"""Every knob, read once by the command that starts. A misspelt `QUOTA_` variable stops the start.

Nothing else reads the environment. Tests pass a dict to `Settings.model_validate`.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from redis.asyncio import Redis

from ledger.errors import WrongCall
from schemas.fields import Form, advice_of

PREFIX = "QUOTA_"
_KUBERNETES = re.compile(r"^QUOTA_LEDGER_(SERVICE_|PORT)")
"""What Kubernetes puts beside a service named quota-ledger: none of ours, so passed over."""

_DATABASE = re.compile(r"(/\d*)?", re.ASCII)
"""The path of a Redis's address: redis-py takes any other for database 0, or for a part of the host."""

TopicName = Annotated[str, Form(r"^[A-Za-z0-9._-]{1,249}$", "write up to 249 letters of a to z, digits, dots, _ and -")]
"""What Kafka takes for a topic's name."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(BaseModel):
    """The settings of one process. Names, defaults and meanings are the README's table of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    ledger: Annotated[
        str, Form(r"^[A-Za-z0-9_.-]{1,64}$", "write up to 64 letters of a to z, digits, dots, _ and -")
    ] = "main"
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    policy: str = "annual-50k"
    chips: Path | None = None
    auth: Literal["off", "required"] = "required"
    key_calls_per_s: Annotated[float, Field(ge=0, le=1e6)] = 100.0
    secret_key: SecretStr | None = None
    webhook_allow: str = ""
    topic_shipments: TopicName = "shipments"
    topic_rejected: TopicName = "shipments.rejected"
    topic_alerts: TopicName = "alerts"
    topic_settings: TopicName = "quota.settings"
    kafka_api_version: Annotated[str, Form(r"^(\d+\.\d+)?$", "write two numbers, such as 2.3")] = ""
    kafka_session_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    state_dir: Annotated[Path, Field(validate_default=True)] = Path("~/.local/state/quota-ledger")

    @field_validator("state_dir")
    @classmethod
    def _home(cls, folder: Path) -> Path:
        return folder.expanduser()

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any, info: ValidationInfo) -> Any:
        """A variable that somebody forgot to fill is not taken for the default: `up` would keep nothing, say."""
        assert info.field_name is not None
        if isinstance(value, str) and not value.strip() and cls.model_fields[info.field_name].default != "":
            raise ValueError("it is empty; give it a value, or leave it out")
        return value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers(cls, text: str) -> str:
        """Brokers with nothing but a comma between."""
        return ",".join(parse_bootstrap(text))

    @field_validator("topic_rejected", "topic_alerts", "topic_settings")
    @classmethod
    def _a_topic_of_its_own(cls, topic: str, info: ValidationInfo) -> str:
        """Else a worker would read what it writes: a reject tells an alert, which is none of what it reads there."""
        for other, name in info.data.items():
            if other.startswith("topic_") and name == topic:
                raise ValueError(f"{topic} is {PREFIX}{other.upper()} already; each needs a topic of its own")
        return topic

    @field_validator("redis_url")
    @classmethod
    def _an_address(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        try:
            pool = Redis.from_url(text).connection_pool
            pool.connection_class(**pool.connection_kwargs)  # in memory alone: nothing is called
            address = urlsplit(text)
            if address.scheme == "unix" or _DATABASE.fullmatch(address.path):
                return url
        except (ValueError, TypeError):  # its own words may hold a part of the password
            pass
        advice = "write redis://host:port/number, rediss:// or unix://path; signs in a password as %40 for @"
        raise ValueError(f"it is no address of a Redis; {advice}; behind a ? only what redis-py knows")

    @property
    def on_loopback(self) -> bool:
        """Whether the endpoint can be reached from this machine only."""
        return self.http_host in _LOOPBACK

    @property
    def api_version(self) -> tuple[int, ...] | None:
        """What kafka-python is told of the broker; None lets it find out."""
        return tuple(map(int, self.kafka_api_version.split("."))) if self.kafka_api_version else None


def load_settings(environment: dict[str, str] | None = None, **defaults: Any) -> Settings:
    """Read settings from the environment, over the file that `QUOTA_CONFIG` names, over `defaults`.

    Args:
        environment: variables by name; the process's own if None.
        defaults: settings by their short names that hold where nothing else is said.

    Raises:
        WrongCall: a name nobody knows, a value of the wrong kind, or a file that cannot be read.
    """
    environment = dict(os.environ) if environment is None else environment
    given: dict[str, Any] = dict(defaults)
    if config := environment.get("QUOTA_CONFIG"):
        given |= _from_file(Path(config))
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable == "QUOTA_CONFIG" or _KUBERNETES.match(variable):
            continue
        name = variable.removeprefix(PREFIX).lower()
        _check_name(name, variable)
        given[name] = value
    try:
        return Settings.model_validate(given)
    except ValidationError as failure:
        wrong = failure.errors(include_url=False, include_input=False)[0]
        name = str(wrong["loc"][0])
        raise WrongCall(f"{PREFIX}{name.upper()}: {advice_of(wrong)}") from None


def parse_bootstrap(text: str) -> list[str]:
    """The brokers that `QUOTA_KAFKA_BOOTSTRAP` names, each `host:port`.

    Raises:
        ValueError: one of them is no `host:port`, or there is none; the message repeats no password.
    """
    brokers = [broker.strip() for broker in text.split(",") if broker.strip()]
    for broker in brokers or [""]:
        host, _, port = broker.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536 or "@" in broker or "/" in broker:  # noqa: PLR2004
            shown = "an address with a password or a path" if "@" in broker or "/" in broker else repr(broker)
            raise ValueError(f"found {shown}; write host:port, several with commas between")
    return brokers


def make_state_dir(folder: Path) -> None:
    """Make the folder `QUOTA_STATE_DIR`, or one below it, if it is not there.

    Raises:
        WrongCall: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise WrongCall(f"QUOTA_STATE_DIR: {folder} cannot be made: {failure.strerror}") from None


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process read these settings."""
    told = {}
    for name, value in settings:
        if value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            told[f"{PREFIX}{name.upper()}"] = str(plain)
    return told


def _from_file(path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise WrongCall(f"QUOTA_CONFIG: {path} cannot be read: {failure.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise WrongCall(f"QUOTA_CONFIG: {path} is not TOML in UTF-8: {failure}") from None
    for name in given:
        _check_name(name, f"{name} in {path}")
    return given


def _check_name(name: str, shown: str) -> None:
    if name not in Settings.model_fields:
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
        raise WrongCall(f"{shown} is no setting of quota-ledger{hint}")
