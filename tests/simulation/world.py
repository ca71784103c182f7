"""One history: a seed decides what is produced, who works when, and what goes wrong; then all is healed, and checked.

No I/O, one thread. The same seed and mix give the same history.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from random import Random

from faust.types import TP
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ledger.book.family import minute_number
from ledger.book.kept_settings import KeptSettings
from ledger.book.keys import Keys
from ledger.book.position import Position
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.policy import load_policy, policy_from_document
from streams.adopt_policy import AdoptPolicy
from tests.histories import COUNTRIES
from tests.live_redis.adopting import variant
from tests.simulation.log_model import RECORD_TIME_MS, LogModel
from tests.simulation.redis_model import RedisModel, Torn
from tests.simulation.scheduler import happens
from tests.simulation.traffic import traffic
from tests.simulation.truth import Broken, Truth
from tests.simulation.worker_model import (
    ALERTS,
    KEPT,
    REJECTED,
    SETTINGS,
    SHIPMENTS,
    Left,
    Operator,
    Worker,
    simulated_edges,
)  # fmt: skip

KEYS = Keys(SETTINGS.ledger)
BEGIN = datetime(2024, 12, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)
HEALED_ROUNDS_MAX = 1_000
"""In how many rounds, in each of which everybody does something, a healed system is done: it takes about fifty."""

IDLE_MAX = 40
"""How often everybody may have waited for time to pass before a healed system that is not done counts as stuck."""

PARTS = ("H100 SXM", "A100 SXM", "L4", "H20", "A40", "Ascend 910B", "Ascend 910D", "Instinct MI308X")
"""What `tests/histories.py` ships."""

DEBITS_FIRST = 0.5
"""How often a debit goes on rather than anything else: it is what histories are about."""

WEBHOOK = {
    "id": "wh_1", "url": "https://receiver.example", "state": "active", "created_at": "2026-01-01T00:00:00Z",
    "secrets": [],
}  # fmt: skip


@dataclass(frozen=True)
class Mix:
    """How much of what happens in a history: shares of the records, and weights of what may happen next."""

    steps: int = 220
    events: int = 8
    repeats: float = 0.25
    conflicts: float = 0.1
    bad: float = 0.08
    plain: float = 0.3
    workers: int = 3
    partitions: int = 3
    reply_lost: float = 0.02
    work: float = 60
    fetch: float = 12
    produce: float = 6
    wake: float = 4
    restart: float = 4
    crash: float = 0.5
    freeze: float = 0.5
    thaw: float = 1.5
    rebalance: float = 0.7
    fall_back: float = 0.8
    arrive_late: float = 1
    pass_time: float = 0.5
    adopt: float = 0.1
    abandon: float = 0.3


FAULTS = (
    "reply_lost",
    "crash",
    "freeze",
    "rebalance",
    "fall_back",
    "conflicts",
    "bad",
    "pass_time",
    "adopt",
    "repeats",
)


class World:
    """One history.

    Args:
        seed: decides everything.
        mix: what happens how often.
        off: guards that are switched off.

    Attributes:
        steps: what happened, in words.
    """

    def __init__(self, seed: object, mix: Mix | None = None, off: Iterable[str] = ()) -> None:
        self.seed = seed
        self.random = random = Random(f"{seed}")
        self.mix = mix or _drawn(random)
        self.off = frozenset(off)
        self.steps: list[str] = []
        self.redis = RedisModel(off)
        self.redis.now_ms = RECORD_TIME_MS
        self.producer = Producer(self)
        self.policies = policies()
        self.partitions = random.randint(1, self.mix.partitions)
        self.places = [TP(SHIPMENTS, number) for number in range(self.partitions)] + [TP(ALERTS, 0), TP(KEPT, 0)]
        self.log = LogModel(random, self.places)
        self.log_reader = LogReader(self.log)
        self.coming = traffic(random, partitions=self.partitions, mix=self.mix)[::-1]
        self.truth = Truth(self)
        self.now = BEGIN
        self.committed: dict[TP, int] = {}
        self.workers: dict[str, Worker] = {}
        self.operator = Operator()
        self.late: list[partial] = []
        self.adoptions = 0
        self.faulty = True
        self.starting = ""
        self.calls: list | None = None
        """Every call of Redis, its answer and the state after it, if somebody wants to know."""

    def run(self) -> "World":
        """Live through the history; raises `Broken` if a promise does not hold."""
        with simulated_edges(self):
            self.log.append(TP(KEPT, 0), b"webhook:wh_1", json.dumps(WEBHOOK).encode())
            for name in "ABC"[: self.random.randint(1, self.mix.workers)]:
                self._start(name)
            try:
                if self.random.random() < 0.8:
                    self._open()
                self._suffer()
                self._heal()
                self.truth.check_end()
            finally:
                for process in (*self.workers.values(), self.operator):
                    process.end()
        return self

    def tell(self, what: str) -> None:
        """Note what happened."""
        self.steps.append(what)

    def policy_of_document(self, document):
        """An adopted policy, made ready once for all histories."""
        return next(policy for policy in self.policies if policy.id == document["policy"]["id"])

    # ---------------------------------------------------------------------------------------------------------- faults

    def _open(self) -> None:
        """Let everybody start before anything goes wrong: most faults come later in a life."""
        self.faulty = False
        while not all(worker.joined and "seek" not in worker.tasks for worker in self.workers.values()):
            for process, name in self._alive(resting=False) + self._alive(resting=True):
                if name in process.tasks and name in ("start", "seek"):
                    self._step(process, name)
        self.faulty = True

    def _suffer(self) -> None:
        mix = self.mix
        acts = {
            self._work: mix.work, self._fetch: mix.fetch, self._produce: mix.produce, self._wake: mix.wake,
            self._restart: mix.restart, self._crash: mix.crash, self._freeze: mix.freeze, self._thaw: mix.thaw,
            self._rebalance: mix.rebalance, self._fall_back: mix.fall_back, self._arrive_late: mix.arrive_late,
            self._pass_time: mix.pass_time, self._adopt: mix.adopt, self._abandon: mix.abandon,
        }  # fmt: skip
        for act in self.random.choices([*acts], [*acts.values()], k=mix.steps):
            act()
            self.redis.now_ms += 50

    def _alive(self, *, resting: bool):
        return [
            (process, name)
            for process in (*self.workers.values(), self.operator)
            if not process.frozen
            for name, task in process.tasks.items()
            if (effect := task.effect) is not None and effect.rests == resting
        ]

    def _work(self) -> None:
        for worker in self.workers.values():
            if worker.joined and not worker.frozen:
                worker.work()
        if ready := self._alive(resting=False):
            debits = [one for one in ready if one[1] == SHIPMENTS]
            self._step(*self.random.choice(debits if debits and self.random.random() < DEBITS_FIRST else ready))

    def _wake(self) -> None:
        if resting := self._alive(resting=True):
            self._step(*self.random.choice(resting))

    def _step(self, process, name) -> None:
        task = process.tasks[name]
        try:
            task.step()
        except Left as why:
            self._die(process, f"leaves: {why}")
            if "Delete the keys" in str(why):
                self._empty()
        except LedgerError as why:
            if process is not self.operator:
                raise Broken(f"the product let this pass: {why!r}") from why
            del process.tasks[name]
        else:
            if task.effect is None and process.tasks.get(name) is task:
                del process.tasks[name]

    def _fetch(self) -> None:
        joined = [worker for worker in self.workers.values() if worker.joined and not worker.frozen]
        if joined:
            worker = self.random.choice(joined)
            try:
                worker.fetch(self.random)
            except Left as why:
                self._die(worker, f"leaves: {why}")

    def _produce(self) -> None:
        if self.coming:
            sent = self.coming.pop()
            tp = TP(SHIPMENTS, sent.partition)
            sent.offset = self.log.append(tp, None, sent.value, holes=True).offset
            self.truth.produced(sent)
            self.tell(f"a producer writes {_shown(sent)} at {tp.topic}:{tp.partition}, offset {sent.offset}")

    def _start(self, name) -> None:
        self.starting = name
        self.workers[name] = Worker(self, name)

    def _restart(self) -> None:
        dead = [name for name, worker in self.workers.items() if not worker.tasks]
        if dead:
            self._start(self.random.choice(dead))

    def _crash(self) -> None:
        worker = self.random.choice([*self.workers.values()])
        if worker.tasks:
            self._die(worker, "is killed")

    def _die(self, worker, how) -> None:
        self.tell(f"{worker.name} {how}")
        worker.end()
        worker.joined = False
        for queue in worker.queues.values():
            queue.clear()
        self._rebalance()

    def _freeze(self) -> None:
        worker = self.random.choice([*self.workers.values()])
        if worker.joined:
            worker.frozen = True
            self.tell(f"{worker.name} freezes")
            if self.random.random() < 0.8:
                self._rebalance()

    def _thaw(self) -> None:
        frozen = [worker for worker in self.workers.values() if worker.frozen]
        if frozen:
            worker = self.random.choice(frozen)
            worker.frozen = False
            self.tell(f"{worker.name} wakes up, and knows of nothing")

    def join(self, worker) -> None:
        """A worker joins the group."""
        worker.joined = True
        self._rebalance()

    def _rebalance(self) -> None:
        members = [worker for worker in self.workers.values() if worker.joined and not worker.frozen]
        given = {worker.name: [] for worker in members}
        for tp in self.places:
            if members:
                given[self.random.choice(members).name].append(tp)
        for worker in members:
            worker.rebalance(given[worker.name])
        self.tell("partitions: " + "; ".join(f"{name} has {_named(tps)}" for name, tps in given.items()))

    def _fall_back(self) -> None:
        states = len(self.redis.states)
        if self.random.random() < 0.1:
            self._empty()
        elif states > 1:
            lost = min(states - 1, self.random.choice((1, 1, 2, 3, 5, 10, states - 1)))
            self.redis.go_back(states - 1 - lost)
            self.tell(f"Redis falls back: its last {lost} writes are lost; {self.checkpoints()}")
            self._note("go_back")

    def _empty(self) -> None:
        self.redis.go_back(0)
        self.tell("Redis is emptied")
        self._note("go_back")

    def _arrive_late(self) -> None:
        if self.late:
            call = self.late.pop(self.random.randrange(len(self.late)))
            with suppress(Exception):
                call()

    def _pass_time(self) -> None:
        self.now += timedelta(days=self.random.choice((1, 20, 90, 200)))
        self.redis.now_ms += 6_000
        self.tell(f"it is {self.now:%Y-%m-%d}")

    def _adopt(self) -> None:
        if not self.operator.tasks and self.adoptions < 3:
            self.adoptions += 1
            self._begin_adopting(self.random.choice(self.policies), f"t{self.adoptions}")

    def _begin_adopting(self, policy, token) -> None:
        client = self.client(self.operator)
        kept, position = KeptSettings(client, SETTINGS.ledger), Position(client, SETTINGS.ledger)
        attempt = AdoptPolicy(
            settings=SETTINGS,
            kept=kept,
            position=position,
            log_reader=self.log_reader,
            producer=self.producer,
            token=token,
            now=lambda: self.now,
        )
        self.tell(f"somebody adopts {policy.id}")
        self.operator.begin("adopt", attempt.adopt(policy))

    def _abandon(self) -> None:
        if self.operator.tasks:
            self.tell("the adoption is interrupted")
            self.operator.end()

    # ------------------------------------------------------------------------------------------------------------ edges

    def client(self, process):
        """A client of Redis for one process."""
        return Client(self, process)

    def on_redis(self, process, command, args, named):
        """A call arrives at Redis; it, or its answer, may get lost, or it comes when nobody waits for it any more."""
        lost = self.random.random() / self.mix.reply_lost if self.faulty and self.mix.reply_lost else 9
        if lost < 1:
            call = partial(self._carry_out, process, command, args, named)
            if lost < 0.4:
                call()
            elif lost < 0.7:
                self.late.append(call)
            raise RedisTimeoutError("no answer") if lost < 0.8 else RedisConnectionError("gone")
        return self._carry_out(process, command, args, named)

    def _carry_out(self, process, command, args, named):
        states = len(self.redis.states)
        answer = self.redis.call(command, *args, **named)
        self._note(command, args, named, answer)
        if command == "evalsha" and isinstance(answer, list) and KEYS.ids in args:
            self._tell_posting(process, args, answer)
        if len(self.redis.states) != states and not isinstance(answer, Torn):
            self.truth.check()
        return answer

    def finish(self, torn):
        """The second half of a call that is torn in two."""
        answer = self.redis.remembering(torn.finish)
        self.truth.check()
        return answer

    def _note(self, command, args=(), named=None, answer=None) -> None:
        if self.calls is not None:
            self.calls.append((command, args, named or {}, answer, self.redis.states[-1]))

    def _tell_posting(self, process, args, answer) -> None:
        partition, prev, last = args[2 + args[1] :][:3]  # behind the script's name, the number of keys and the keys
        self.tell(f"{process.name} posts {partition} {prev} -> {last}: {answer[0].decode()}; {self.checkpoints()}")

    def checkpoints(self) -> str:
        """Where Redis stands, in words."""
        meta = self.redis.hgetall(KEYS.meta)
        stands = [
            f"{n}: {meta.get(b'checkpoint:%s:%d' % (SHIPMENTS.encode(), n), b'-1').decode()}"
            for n in range(self.partitions)
        ]
        return "checkpoints " + ", ".join(stands)

    # ---------------------------------------------------------------------------------------------------------- healing

    def _heal(self) -> None:
        self.tell("all faults end")
        self.faulty = False
        while self.late:
            self._arrive_late()
        while self.coming:
            self._produce()
        for worker in self.workers.values():
            worker.frozen = False
        self.now = max(self.now, END)
        self._come_to_an_end()
        self.now += timedelta(days=1)  # what was booked after the last tick expires by another
        self._come_to_an_end()

    def _come_to_an_end(self) -> None:
        idle = 0
        for _ in range(HEALED_ROUNDS_MAX):
            self.redis.now_ms += 50
            while any(not worker.tasks for worker in self.workers.values()):
                self._restart()
            if self._fetch_all() | self._work_all():
                continue
            if self._done():
                return
            idle += 1
            if idle > IDLE_MAX:
                break
            self._go_on_adopting()
            for process, name in self._alive(resting=True):
                if name in process.tasks:
                    self._step(process, name)
        raise Broken(f"healed, the system does not come to an end: {self.checkpoints()}")

    def _fetch_all(self) -> bool:
        before = len(self.steps)
        for worker in [*self.workers.values()]:
            for _ in worker.places:
                if worker.joined:
                    try:
                        worker.fetch(self.random)
                    except Left as why:
                        self._die(worker, f"leaves: {why}")
        return len(self.steps) > before

    def _work_all(self) -> bool:
        for worker in self.workers.values():
            if worker.joined:
                worker.work()
        ready = self._alive(resting=False)
        for process, name in ready:
            if name in process.tasks and process.tasks[name].effect is not None:
                self._step(process, name)
        return bool(ready)

    def _go_on_adopting(self) -> None:
        """An adoption that was interrupted is repeated."""
        closed = self.redis.hget(KEYS.meta, "adopting")
        if closed is not None and not self.operator.tasks:
            self.adoptions += 1
            wanted = json.loads(closed)["policy_id"]
            self._begin_adopting(next(p for p in self.policies if p.id == wanted), f"t{self.adoptions}")

    def _done(self) -> bool:
        meta = self.redis.hgetall(KEYS.meta)
        lasts = {tp: last for tp, last in self.log.lasts.items() if tp.topic != REJECTED}
        settled = all(int(meta.get(f"checkpoint:{t}:{p}".encode(), -1)) == last for (t, p), last in lasts.items())
        ticked = int(meta.get(b"checkpoint:tick", -1)) == minute_number(self.now)
        return settled and ticked and b"adopting" not in meta and not self.redis.data.get(KEYS.outbox)


class Client:
    """What the product uses of redis-py, for one process."""

    def __init__(self, world, process) -> None:
        self._world, self._process = world, process

    def __getattr__(self, command):
        async def call(*args, **named):
            answer = await happens(lambda: self._world.on_redis(self._process, command, args, named))
            if isinstance(answer, Torn):
                answer = await happens(lambda: self._world.finish(answer))
            return answer

        self.__dict__[command] = call
        return call

    def pipeline(self):
        """Several commands at one moment."""
        return Pipeline(self)


class Pipeline:
    """Commands that are carried out together."""

    def __init__(self, client) -> None:
        self._client, self._commands = client, []

    def __getattr__(self, command):
        return lambda *args: self._commands.append((command, args))

    async def execute(self):
        """All of them, or none."""
        return await self._client.together(self._commands)


class Producer:
    """Writes to the log; now and then the broker does not answer, before or after it has written."""

    def __init__(self, world) -> None:
        self._world = world

    def send_all(self, topic, records) -> int:
        """As `LazyProducer`'s."""
        world = self._world
        lost = world.random.random() / world.mix.reply_lost if world.faulty and world.mix.reply_lost else 9
        if lost < 0.5:
            raise LedgerUnavailable("Kafka does not answer")
        for record in records:
            world.truth.wrote(topic, world.log.append(TP(topic, 0), *record))
        if lost < 1:
            raise LedgerUnavailable("Kafka has it, and does not say so")
        return len(records)


class LogReader:
    """As the product's, on the modelled log."""

    def __init__(self, log) -> None:
        self._log = log

    def records(self, topic):
        """All that lies on a topic of one partition."""
        return list(self._log.records[TP(topic, 0)])

    def ends(self, topic):
        """Where its partitions end."""
        return {f"{tp.topic}:{tp.partition}": end for tp, end in self._log.ends.items() if tp.topic == topic}


@lru_cache(maxsize=1)
def policies():
    """Small policies: caps that a few shipments cross, and no country or chip that no history uses."""
    caps = dict.fromkeys(("IN", "AE", "SG", "BR"), 200_000)
    annual = _cut(_with_dated_caps(variant(load_policy("annual-50k"), "annual", caps=caps)))
    diffusion = _cut(variant(load_policy("diffusion-2025"), "diffusion"))
    raised = _cut(variant(load_policy("annual-50k"), "annual-raised", caps=dict.fromkeys(caps, 300_000)))
    return annual, diffusion, raised


def _with_dated_caps(policy):
    """The same with caps that change within the years: lowered, raised again, and one after another."""
    document, on = policy.document(), "2025-04-01 2025-09-01 2026-02-01 2026-07-01".split()  # noqa: SIM905
    for number, (country, tpp) in enumerate([("IN", 60_000), ("AE", 400_000), ("IN", 20_000), ("SG", 30_000)]):
        dates = {"valid_from": on[number], "valid_to": "2026-11-30"}
        document["policy"]["caps"] += [{"countries": [country], "tpp": tpp, "source": "PRESS-50K", **dates}]
    return policy_from_document(document)


def _cut(policy):
    document = policy.document()
    text = json.dumps(document["policy"])
    document["countries"] = [
        row for row in document["countries"] if row["iso2"] in COUNTRIES or f'"{row["iso2"]}"' in text
    ]
    document["chips"] = [row | {"source_url": "", "note": ""} for row in document["chips"] if row["model"] in PARTS]
    text += json.dumps(document["countries"])
    document["sources"] = [row | {"document": ""} for row in document["sources"] if row["key"] in text]
    cut = policy_from_document(document)
    cut.document = lambda: {"policy": {"id": cut.id}}  # all that `policy_of_document` asks of it
    return cut


def _drawn(random) -> Mix:
    """Each history has faults of its own: of some none, of others many."""
    drawn = {}
    for name in FAULTS:
        usual = getattr(Mix, name)
        drawn[name] = random.choice((0, usual, usual, 3 * usual))
    return Mix(**drawn)


def _shown(sent):
    if sent.event is None:
        return "a bad record"
    return f"{sent.event['id']}" + (" (contradicting)" if sent.content else "")


def _named(tps):
    return ", ".join(f"{tp.topic}:{tp.partition}" for tp in tps) or "none"
