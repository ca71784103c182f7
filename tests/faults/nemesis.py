"""Random faults on real processes: workers, relay and sender on an own Kafka and an own Redis, for a bounded time.

A seed decides what goes wrong and in which order; how the processes meet it is the machine's. At the end everything is
healed, and `checker.py` says whether the promises held; `quota-ledger verify` must say the same.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from cryptography.fernet import Fernet
from kafka import KafkaConsumer, TopicPartition
from redis import Redis
from redis.exceptions import RedisError

from ledger.book.family import minute_number
from ledger.book.keys import Keys
from streams.cli.up_endpoint import Endpoint
from streams.embedded.children import Child, Register, end_all
from streams.embedded.valkey import free_port
from streams.settings import Settings, environment_of
from tests.faults.checker import Reckoned
from tests.faults.ground import Cable, DurableRedis
from tests.faults.producers import Producers
from tests.faults.receiver import Receiver
from tests.parts import ApacheKafka, create_topic, environment_without_settings, wait_until

PARTITIONS = 4
WORKERS_MAX = 3
LEASE_S = 60
"""A killed sender's deliveries are due again after so long: none is killed in the last part of a longer run."""

INTENDED_EXITS = {69, 70, -signal.SIGKILL}
"""Redis or Kafka is away; a worker leaves lest it skip a record; and `kill -9`."""

FIRST_S = 12.0
"""How long everybody has to recover from the first fault: only then does it show that nothing went wrong by it."""

RESTART_S = 0.5
SETTLED_S = 600.0


class Process:
    """One of our processes, kept up by a supervisor, as compose or systemd would."""

    def __init__(self, name: str, command: str, settings: Settings, folder: Path, register: Register) -> None:
        self.name, self._command, self._settings = name, command, settings
        self._folder, self._register = folder, register
        self.exits: Counter[int] = Counter()
        self.frozen_until = 0.0
        self._ended_at: float | None = None
        self.start()

    def start(self) -> None:
        """Start it."""
        self._ended_at = None
        self.child = Child(
            self.name,
            [sys.executable, "-m", "streams.cli.main", self._command],
            log=self._folder / f"{self.name}.log",
            register=self._register,
            environment=environment_without_settings() | environment_of(self._settings),
        )

    def keep_up(self) -> str | None:
        """Start it again a moment after it ended; wake it when it has been frozen for long enough.

        Returns:
            What to tell of an end that nobody intended.
        """
        now = time.monotonic()
        if self.frozen_until and now > self.frozen_until:
            self.thaw()
        code = self.child.exit_code()
        if code is not None and self._ended_at is None:
            self._ended_at = now
            self.exits[code] += 1
            if code not in INTENDED_EXITS:
                return f"{self.name} ended with exit code {code}: {self.child.log_tail(3)}"
        elif self._ended_at is not None and now > self._ended_at + RESTART_S:
            self.start()
        return None

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, for so long."""
        self.frozen_until = time.monotonic() + seconds
        self.child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen_until = 0.0
        self.child.signal(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`."""
        self.child.signal(signal.SIGKILL)


class Nemesis:
    """One run.

    Args:
        folder: for data and logs.
        register: the list of the guard that ends the processes.
        seed: decides what is produced and what goes wrong.
        say: what is told of each fault.
        expiries: whether reservations may expire; the end then waits for the minute to pass.

    Raises:
        NotHere: there is no JVM, no Maven or no redis-server.
    """

    def __init__(
        self, folder: Path, register: Register, *, seed: int, say: Callable[[str], None], expiries: bool
    ) -> None:
        self._folder, self._register, self._say, self._expiries = folder, register, say, expiries
        self._chance = random.Random(seed)
        self._began = time.monotonic()
        self.happened: Counter[str] = Counter()
        self._kafka = ApacheKafka(folder / "kafka", register)
        self._redis = DurableRedis(folder / "redis", register)
        self._redis.start()
        assert self._kafka.start(), self._kafka.child.log_tail()
        self._cable = Cable(self._redis.port)
        self._mend_at = 0.0
        self.settings = self._make_settings()
        self._keys = Keys(self.settings.ledger)
        self._client = Redis.from_url(self._address(self._redis.port), socket_timeout=2)
        self._receiver = Receiver()
        self._workers: list[Process] = []
        self._added = 0
        self._subscribe()
        self._add_worker()
        self._add_worker()
        self._sender = self._process("sender", "sender", self.settings)
        self._producers = Producers(self.settings, seed, PARTITIONS, expiries=expiries)

    def run(self, duration_s: float) -> list[str]:
        """Break things for so long, heal all, and tell what differs from what must be."""
        self._producers.spread_over(duration_s)
        self._producers.start()
        wait_until(lambda: self._ticked() > 0, "the workers to be at work", 60)
        begin = time.monotonic()
        sender_until, flush_until = begin + max(duration_s - LEASE_S, duration_s / 4), begin + duration_s / 3
        self._fall_back()  # while everybody is at work, as all are seldom later
        next_fault = begin + FIRST_S
        while (now := time.monotonic()) < begin + duration_s:
            self._keep_up()
            if now > next_fault:
                self._break_something(sender_too=now < sender_until, flush_too=now < flush_until)
                next_fault = time.monotonic() + self._chance.choice((0.2, 1.0, 3.0, 6.0))
            time.sleep(0.05)
        self._heal()
        return self._differences()

    def close(self) -> None:
        """End everything that was started."""
        if self._producers.is_alive():
            self._producers.stop()
        for process in (*self._workers, self._sender):
            process.thaw()
        self._redis.child.signal(signal.SIGCONT)
        end_all([*(process.child for process in (*self._workers, self._sender)), self._redis.child, self._kafka.child])
        self._receiver.close()
        self._cable.close()
        self._client.close()

    # ----------------------------------------------------------------------------------------------------------- faults

    def _break_something(self, *, sender_too: bool, flush_too: bool) -> None:
        faults: dict[Callable[[], None], float] = {
            self._kill_worker: 3, self._freeze_worker: 2, self._kill_redis: 1, self._freeze_redis: 1,
            self._cut_the_file: 3, self._fall_back: 8, self._put_back_copy: 1, self._kill_kafka: 0.7,
            self._add_worker: 1.5, self._remove_worker: 1, self._cut_the_cable: 1.5,
        }  # fmt: skip
        if sender_too:
            faults |= {self._kill_sender: 1, self._freeze_sender: 1}
        if flush_too:  # later it would hide what went wrong before: everything is posted anew
            faults |= {self._flush: 2}
        fault = self._chance.choices([*faults], [*faults.values()])[0]
        self.happened[fault.__name__.strip("_").replace("_", " ")] += 1
        fault()

    def _kill_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        self._tell(f"{worker.name} is killed")
        worker.kill()

    def _freeze_worker(self) -> None:
        worker, seconds = self._chance.choice(self._workers), self._chance.uniform(0.5, 7)
        self._tell(f"{worker.name} is frozen for {seconds:.1f} s")
        worker.freeze(seconds)

    def _kill_sender(self) -> None:
        self._tell("the sender is killed")
        self._sender.kill()

    def _freeze_sender(self) -> None:
        seconds = self._chance.uniform(0.5, 7)
        self._tell(f"the sender is frozen for {seconds:.1f} s")
        self._sender.freeze(seconds)

    def _kill_redis(self) -> None:
        self._tell("Redis is killed")
        self._redis.kill()
        self._wait(self._chance.uniform(0, 2))
        self._redis.start()

    def _freeze_redis(self) -> None:
        seconds = self._chance.uniform(0.5, 7)
        self._tell(f"Redis is frozen for {seconds:.1f} s")
        self._redis.child.signal(signal.SIGSTOP)
        self._wait(seconds)
        self._redis.child.signal(signal.SIGCONT)

    def _cut_the_file(self) -> None:
        self._redis.kill()
        self._tell(f"Redis loses the last {self._redis.cut(self._chance)} bytes of its file")
        self._redis.start()

    def _fall_back(self) -> None:
        self._redis.copy()
        self._wait(self._chance.uniform(0.2, 4))
        self._put_back_copy()

    def _put_back_copy(self) -> None:
        self._redis.kill()
        there = self._redis.put_back_copy()
        self._tell("Redis comes back from its last copy" if there else "Redis is killed; there is no copy")
        self._redis.start()

    def _flush(self) -> None:
        self._tell("FLUSHALL")
        with suppress(RedisError):
            self._client.flushall()

    def _kill_kafka(self) -> None:
        self._tell("the broker is killed")
        self._kafka.child.signal(signal.SIGKILL)
        self._kafka.child.process.wait()
        self._kafka.child.exit_code()
        self._wait(self._chance.uniform(0, 3))
        self._kafka.launch()

    def _add_worker(self) -> None:
        if len(self._workers) == WORKERS_MAX:
            return
        self._added += 1
        name = f"worker-{self._added}"
        port = self._cable.port if self._added % 2 == 0 else self._redis.port
        told = {"redis_url": self._address(port), "state_dir": self._folder / name}
        self._tell(f"{name} joins")
        self._workers.append(self._process(name, "worker", Settings.model_validate(dict(self.settings) | told)))

    def _remove_worker(self) -> None:
        if len(self._workers) > 1:
            worker = self._workers.pop(self._chance.randrange(len(self._workers)))
            self._tell(f"{worker.name} is told to leave")
            worker.thaw()
            end_all([worker.child], patience_s=15)

    def _cut_the_cable(self) -> None:
        seconds = self._chance.uniform(1, 9)
        self._tell(f"the cable between Redis and half of the workers is cut for {seconds:.1f} s")
        self._cable.cut()
        self._mend_at = time.monotonic() + seconds

    # ---------------------------------------------------------------------------------------------------------- healing

    def _heal(self) -> None:
        assert self._producers.is_alive()
        self._producers.stop()
        self._tell("all faults end")
        self._cable.mend()
        for process in (*self._workers, self._sender):
            process.thaw()
        if self._kafka.child.exit_code() is not None:
            self._kafka.launch()
        wait_until(self._at_rest, "everything to be settled, told and received", SETTLED_S)
        if self._expiries:
            due = minute_number(datetime.now(UTC)) + 1
            wait_until(lambda: self._ticked() >= due, "the next minute to pass in the ledger", SETTLED_S)
            wait_until(self._at_rest, "what expired to be told and received", SETTLED_S)

    def _at_rest(self) -> bool:
        """Whether there is nothing left to do."""
        self._keep_up()
        try:
            meta = self._client.hgetall(self._keys.meta)
            waiting = self._client.llen(self._keys.outbox)
        except RedisError:
            return False
        topics = (self.settings.topic_shipments, self.settings.topic_alerts)
        if waiting or not all(self._settled(meta, topic) for topic in topics):
            return False
        return {alert["alert_id"] for alert in self._alerts()} <= self._receiver.counts.keys()

    def _settled(self, meta: dict[bytes, bytes], topic: str) -> bool:
        with self._consumer() as consumer:
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            ends = consumer.end_offsets(places)
        return bool(places) and all(
            int(meta.get(f"checkpoint:{topic}:{place.partition}".encode(), -1)) == end - 1
            for place, end in ends.items()
        )

    def _ticked(self) -> int:
        self._keep_up()
        return int(self._client.hget(self._keys.meta, "checkpoint:tick") or -1)

    # --------------------------------------------------------------------------------------------------------- checking

    def _differences(self) -> list[str]:
        at = datetime.fromtimestamp(60 * self._ticked(), UTC)
        records = self._records(self.settings.topic_shipments)
        reckoned = Reckoned(self.settings.topic_shipments, records, at)
        told: dict[str, dict] = {}
        wrong = list(self._receiver.wrong)
        for alert in self._alerts():
            earlier = told.setdefault(alert["alert_id"], alert)
            if _named_by(earlier) != _named_by(alert):
                wrong.append(f"one id, two alerts: {earlier} {alert}")
        wrong += reckoned.check_balances(self._client.hgetall(self._keys.balances))
        wrong += reckoned.check_rejects(self._records(self.settings.topic_rejected))
        wrong += reckoned.check_alerts(told, self._receiver.alerts)
        wrong += self._verified()
        exits = sum((process.exits for process in (*self._workers, self._sender)), Counter())
        self._tell(
            f"{len(records)} records, {len(reckoned.events)} events, {len(reckoned.rejects)} rejected, "
            f"{len(reckoned.balances)} balances, {len(told)} alerts, {sum(self._receiver.counts.values())} received; "
            f"exits of those who stayed: {dict(exits)}; faults: {dict(self.happened)}"
        )
        return wrong

    def _verified(self) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", "verify", "--json"],
            env=environment_without_settings() | environment_of(self.settings),
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        return [] if done.returncode == 0 else [f"verify: {done.stdout[:2000]} {done.stderr[:2000]}"]

    def _alerts(self) -> list[dict]:
        return [json.loads(record.value) for record in self._records(self.settings.topic_alerts)]

    def _records(self, topic: str) -> list:
        """All that lies on a topic, partition after partition."""
        with self._consumer() as consumer:
            found = []
            for number in sorted(consumer.partitions_for_topic(topic)):
                place = TopicPartition(topic, number)
                consumer.assign([place])
                consumer.seek_to_beginning(place)
                end = consumer.end_offsets([place])[place]
                while consumer.position(place) < end:
                    found += consumer.poll(timeout_ms=500).get(place, [])
            return found

    # ------------------------------------------------------------------------------------------------------------ parts

    def _make_settings(self) -> Settings:
        unique = uuid4().hex[:8]
        given = {
            "kafka_bootstrap": self._kafka.bootstrap, "redis_url": self._address(self._redis.port),
            "ledger": f"faults-{unique}", "http_port": free_port(), "auth": "off", "kafka_session_s": 2.0,
            "secret_key": Fernet.generate_key().decode(), "webhook_allow": "127.0.0.0/8",
            "state_dir": self._folder / "state",
        }  # fmt: skip
        for topic, count in {"shipments": PARTITIONS, "rejected": 1, "alerts": 1, "settings": 1}.items():
            given[f"topic_{topic}"] = f"{topic}-{unique}"
            create_topic(self._kafka.bootstrap, f"{topic}-{unique}", count)
        return Settings.model_validate(given)

    def _subscribe(self) -> None:
        """Have every alert sent to the receiver."""
        endpoint = Endpoint(f"http://127.0.0.1:{self.settings.http_port}")
        started = [self._process(name, name, self.settings) for name in ("worker", "api")]
        wait_until(endpoint.is_ready, "the endpoint", 60)
        self._receiver.secret = endpoint.subscribe(self._receiver.url)
        wait_until(lambda: endpoint.knows_receiver(self._receiver.url), "the subscription")
        end_all([process.child for process in started])

    def _process(self, name: str, command: str, settings: Settings) -> Process:
        return Process(name, command, settings, self._folder, self._register)

    def _consumer(self) -> KafkaConsumer:
        return KafkaConsumer(bootstrap_servers=self._kafka.bootstrap, group_id=None, enable_auto_commit=False)

    def _keep_up(self) -> None:
        if self._mend_at and time.monotonic() > self._mend_at:
            self._mend_at = 0.0
            self._cable.mend()
        for process in (*self._workers, self._sender):
            if told := process.keep_up():
                self._tell(told)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._keep_up()
            time.sleep(0.05)

    def _tell(self, what: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {what}")

    @staticmethod
    def _address(port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"


def _named_by(alert: dict) -> tuple:
    """What an alert's id is a digest of. In a ledger that is filled again another event may be the one that crosses."""
    if alert["level"] is not None:
        return alert["kind"], alert["account"], alert["period"], alert["level"], alert["policy_sha256"]
    return alert["kind"], alert["event_key"]
