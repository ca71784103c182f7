"""up: the whole ledger in one process tree, on embedded parts or on your own Kafka and Redis.

Joins and shows; decides nothing. Restarting and ending are `streams/embedded/supervisor.py`'s.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from ledger.errors import LedgerUnavailable, WrongCall
from schemas.cloudevents import read_event
from streams.cli.ledger_here import now
from streams.cli.processes import http_url, refuse_open_endpoint
from streams.cli.up_endpoint import Endpoint
from streams.cli.up_view import View
from streams.embedded import kafka, valkey
from streams.embedded.children import Register
from streams.embedded.receiver import LocalReceiver
from streams.embedded.state import remove_state, running, write_state
from streams.embedded.supervisor import Supervisor
from streams.kafka.producer import Outgoing, make_producer, send_all
from streams.kafka.topics import ensure_topics, planned_topics
from streams.readers.records import outgoing
from streams.settings import PREFIX, Settings, environment_of, load_settings, make_state_dir

TICK_S = 0.2
READY_S = 60.0
SETTLED_S = 60.0
QUIET_S = 3.0
"""How long nothing must move before the sample counts as settled: longer than the worker's own looks at the topic."""

FEED_STEPS = 40
"""The sample is fed in about so many steps, one a tick, so that balances are seen to move."""

_KEPT_MB = kafka.KEPT_BYTES_A_PARTITION // 1_000_000
FED_MAX_BYTES = kafka.KEPT_BYTES_A_PARTITION
"""The sample may be no larger than one embedded partition keeps, wherever its keys lead."""

_LOOPBACK = "127.0.0.0/8,::1/128"
_ALERTS_AT_ONCE = 200


def up(
    *,
    sample: Annotated[bool, typer.Option("--sample", help="Feed the sample, and receive its webhooks here.")] = False,
) -> None:
    """Run worker, sender and endpoint together: on embedded parts, or on your Kafka and Redis if both are set."""
    settings, embedded = _settings()
    _refuse_what_is_lacking(settings, sample=sample)
    refuse_open_endpoint(settings)
    _refuse_taken_port(settings)
    stop = _stop_on_signals()
    folder = settings.state_dir / f"up-{settings.http_port}"
    shutil.rmtree(folder, ignore_errors=True)
    make_state_dir(folder)
    register = Register(folder / "pids")
    register.open_guard()
    view = View()
    house = _House(settings, folder, register, view, stop)
    try:
        if embedded:
            house.start_embedded_parts()
        else:
            house.check_own_parts()
        house.start_processes()
        if sample:
            house.run_sample()
        house.keep_running()
    except _Told:
        view.say("ending everything that was started")
    finally:
        remove_state(settings.state_dir)
        house.stop()
        register.close_guard()


def _settings() -> tuple[Settings, bool]:
    """The settings, and whether the parts are embedded.

    Raises:
        WrongCall: only one of the two parts is set, or a setting is wrong.
    """
    settings = load_settings()
    own = {"kafka_bootstrap", "redis_url"} & settings.model_fields_set
    if len(own) == 1:
        [given] = own
        [lacking] = {"kafka_bootstrap", "redis_url"} - own
        both = "set both to use yours, or neither to use embedded ones"
        raise WrongCall(f"QUOTA_{given.upper()} is set and QUOTA_{lacking.upper()} is not; {both}")
    if not own:
        settings = load_settings(
            auth="off",
            secret_key=secrets.token_urlsafe(32),
            webhook_allow=_LOOPBACK,
            kafka_api_version=kafka.API_VERSION,
        )
    if settings.http_port == 0:
        settings = settings.model_copy(update={"http_port": valkey.free_port()})
    return settings, not own


def _refuse_what_is_lacking(settings: Settings, *, sample: bool) -> None:
    """Raise WrongCall with everything that is still to be set, before anything is made or started."""
    lacking = []
    if settings.secret_key is None:
        lacking.append("set QUOTA_SECRET_KEY to a long random text, under which webhook secrets are encrypted; keep it")
    if sample and settings.auth == "required":
        lacking.append("set QUOTA_AUTH=off, for --sample calls the endpoint without a key; or leave out --sample")
    if lacking:
        raise WrongCall(f"`up` needs more: {'; '.join(lacking)}")


def _refuse_taken_port(settings: Settings) -> None:
    host, port = settings.http_host, settings.http_port
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as failure:
        other = running(settings.state_dir)
        whose = f"; an `up` is running already at {other.api_url}" if other else ""
        advice = "set QUOTA_HTTP_PORT to a free one, or 0 to have one chosen"
        raise WrongCall(
            f"port {port} of {host} cannot be used: {os.strerror(failure.errno or 0)}{whose}; {advice}"
        ) from None


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http_host, settings.http_host)  # noqa: S104  not bound
    return http_url(host, settings.http_port)


def _sample() -> tuple[list[Outgoing], list[str]]:
    """The sample's records, and the years that its shipments count in, this one last."""
    from streams.cli.sample_traffic import sample_events  # noqa: PLC0415  only `--sample` needs it

    today = now().date()
    records: list[Outgoing] = []
    years = {today.year}
    fed_bytes = 0
    for told in sample_events(today=today):
        value = json.dumps(told, ensure_ascii=False).encode()
        fed_bytes += len(value)
        if fed_bytes > FED_MAX_BYTES:
            break
        event = read_event(value, default_source="/sample")
        years.add(event.shipped_at.year)
        records.append(outgoing(event, value))
    return records, [str(year) for year in sorted(years)]


class _Told(Exception):  # noqa: N818
    """Somebody told this process to end."""


class _House:
    """Everything that one `up` has started."""

    def __init__(self, settings: Settings, folder: Path, register: Register, view: View, stop: threading.Event) -> None:
        self._settings = settings
        self._folder = folder
        self._register = register
        self._view = view
        self._stop = stop
        self._supervisor = Supervisor(folder, register)
        self._endpoint = Endpoint(_url(settings))

    def start_embedded_parts(self) -> None:
        """Kafka and Redis of our own, empty, with the ledger's topics."""
        cluster = kafka.EmbeddedKafka(self._folder, self._register)
        self._supervisor.watch_part(cluster.child)
        for plan in planned_topics(self._settings):
            cluster.make_topic(plan.name, plan.partitions)
        server = valkey.EmbeddedValkey(valkey.server_program(), self._folder, self._register)
        self._supervisor.watch_part(server.child)
        addresses = {"kafka_bootstrap": cluster.bootstrap, "redis_url": SecretStr(server.url)}
        self._settings = self._settings.model_copy(update=addresses)
        self._view.say(
            "On embedded parts, for trying out. Each run starts empty and keeps nothing; the log lies in memory,"
        )
        self._view.say(
            f"about {_KEPT_MB} MB a partition, older records dropped. To run on yours, set QUOTA_KAFKA_BOOTSTRAP and"
        )
        self._view.say("QUOTA_REDIS_URL.")

    def check_own_parts(self) -> None:
        """Whether the Kafka and Redis of the settings are there; topics that are missing are made."""
        made = ensure_topics(self._settings)
        if made:
            self._view.say(f"made the topics {', '.join(made)}")
        try:
            with Redis.from_url(self._settings.redis_url.get_secret_value(), socket_timeout=5) as redis:
                redis.ping()
        except RedisError as failure:
            raise LedgerUnavailable(f"QUOTA_REDIS_URL: Redis did not answer: {failure}") from None

    def start_processes(self) -> None:
        """Worker, sender and endpoint; returns when balances can be asked for."""
        # What a worker notes about its exits belongs to this run: an embedded ledger starts empty every time.
        told = environment_of(self._settings.model_copy(update={"state_dir": self._folder}))
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._supervisor.keep_running(plain | told)
        self._until(self._endpoint.is_ready, READY_S, "the endpoint to be ready")
        write_state(self._settings, self._endpoint.url)
        self._view.say(f"endpoint  {self._endpoint.url}  (calls: {self._endpoint.url}/docs)", "bold")
        self._view.say("a second shell finds it: quota-ledger status, quota-ledger send FILE, quota-ledger alerts")

    def run_sample(self) -> None:
        """Feed the sample and show what it does, until it is settled and told."""
        receiver = LocalReceiver(self._folder, self._register)
        self._supervisor.watch_part(receiver.child)
        receiver.tell_secret(self._endpoint.subscribe(receiver.url))
        self._until(lambda: self._endpoint.knows_receiver(receiver.url), READY_S, "the webhook to be known")
        records, years = _sample()
        watching = _Watching(self._endpoint, self._view, receiver, years)
        with self._view:
            for _ in self._feeding(records):
                watching.look()
            deadline = time.monotonic() + SETTLED_S
            while not watching.is_settled():
                if time.monotonic() > deadline:
                    self._view.say(f"not everything was told within {SETTLED_S:g} s; it goes on", "yellow")
                    break
                self._tick()
                watching.look()

    def keep_running(self) -> NoReturn:
        """Show alerts as they come, until told to end."""
        self._view.say(f"running at {self._endpoint.url}; Ctrl-C ends everything; logs are in {self._folder}")
        if self._settings.auth == "required":
            self._view.say("calls need a key: `quota-ledger keys create`; alerts: `quota-ledger alerts --follow`")
        while True:
            for _ in range(10):
                self._tick()
            self._view.alerts(self._endpoint.new_alerts(_ALERTS_AT_ONCE))

    def stop(self) -> None:
        """End everything in order."""
        self._supervisor.stop()

    def _feeding(self, records: list[Outgoing]) -> Iterator[None]:
        """Feed the sample step by step."""
        producer = make_producer(self._settings)
        try:
            step = max(1, len(records) // FEED_STEPS)
            for start in range(0, len(records), step):
                batch = records[start : start + step]
                send_all(producer, self._settings.topic_shipments, batch)
                self._view.fed(start + len(batch), len(records))
                self._tick()
                yield
        finally:
            producer.close()

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise LedgerUnavailable(f"waited {timeout_s:g} s in vain for {what}; logs are in {self._folder}")
            self._tick()

    def _tick(self) -> None:
        for happened in self._supervisor.tick(time.monotonic()):
            self._view.say(happened, "yellow")
        if self._stop.wait(TICK_S):
            raise _Told


class _Watching:
    """What the sample does, as it is seen from outside."""

    def __init__(self, endpoint: Endpoint, view: View, receiver: LocalReceiver, years: list[str]) -> None:
        self._endpoint = endpoint
        self._view = view
        self._receiver = receiver
        self._years = years
        self._alerts = 0
        self._seen: tuple[object, ...] = ()
        self._moved_at = time.monotonic()
        self._lag_records: int | None = None

    def look(self) -> None:
        """Ask for balances and alerts, count webhooks, and show all of it."""
        balances = [found for year in self._years if (found := self._endpoint.balances(year))]
        alerts = self._endpoint.new_alerts(_ALERTS_AT_ONCE)
        self._receiver.count()
        self._alerts += len(alerts)
        posted = [item.posted_tpp for found in balances for item in found.items]
        seen = (posted, self._alerts, self._receiver.verified)
        if seen != self._seen:
            self._seen, self._moved_at = seen, time.monotonic()
        if balances:
            self._lag_records = balances[-1].freshness.lag_records
            self._view.moved(balances)
        self._view.alerts(alerts)
        refused = f", {self._receiver.refused} refused" if self._receiver.refused else ""
        self._view.webhooks(f"webhooks: {self._receiver.verified} received at {self._receiver.url}, verified{refused}")

    def is_settled(self) -> bool:
        """Whether every record is posted, every alert is delivered, and nothing has moved for a while."""
        told = 0 < self._alerts <= self._receiver.verified
        return told and self._lag_records == 0 and time.monotonic() - self._moved_at > QUIET_S
