"""`quota-ledger policy adopt` with a real broker and workers: interrupted anywhere, at full speed, by two at once."""

import asyncio
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.book.script import connect
from ledger.book.setting import adoption
from ledger.policy import load_policy
from streams.adopt_policy import AdoptPolicy
from streams.cli.main import app
from streams.kafka.log_reader import open_log
from streams.kafka.producer import LazyProducer
from streams.keep_settings import policy_in_force
from streams.settings import environment_of
from tests.live_kafka.desk import H100, LiveDesk, shipment
from tests.parts import wait_until

HEAVY_H100 = 20_000
"""What an H100 counts in the chip table of some policies here: it shows in the sums which policy charged."""


class Desk(LiveDesk):
    """A ledger, and the person who adopts policies."""

    def __init__(self, settings, folder):
        super().__init__(settings)
        self.folder = folder
        self.heavy_chips = folder / "heavy.csv"
        self.heavy_chips.write_text(f"vendor,model,tpp\nNVIDIA,H100 SXM,{HEAVY_H100}\n")

    def command(self, *arguments, **settings):
        environment = environment_of(self.settings.model_copy(update=settings))
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    def adopt(self, *arguments, **settings):
        done = self.command("policy", "adopt", *arguments, **settings)
        assert done.exit_code == 0, done.output
        return done.stdout

    def policy_file(self, name, *, cap=791_600_000):
        """A policy of somebody's own: what India may use."""
        path = self.folder / f"{name}.toml"
        cap_entry = f'[[caps]]\ntpp = 791_600_000\nsource = "PRESS-50K"\n[[caps]]\ncountries = ["IN"]\ntpp = {cap}\n'
        path.write_text(f'extends = "annual-50k"\nid = "{name}"\ntitle = "{name}"\n{cap_entry}source = "PRESS-50K"\n')
        return path

    def adoptions(self):
        return self.rules().adoptions

    def in_force(self):
        return self.adoptions()[-1].policy_id

    def closed(self):
        return self._ask(lambda reader: reader.closure()) is not None

    def steps(self, take):
        """Take steps of an adoption as the command does, and go no further: `kill -9` is no less."""

        async def steps():
            redis, producer = connect(self.settings.redis_url.get_secret_value()), LazyProducer(self.settings)
            ledger = self.settings.ledger
            try:
                with open_log(self.settings) as log_reader:
                    attempt = AdoptPolicy(
                        settings=self.settings,
                        kept=KeptSettings(redis, ledger),
                        position=Position(redis, ledger),
                        log_reader=log_reader,
                        producer=producer,
                        token="killed",
                        now=lambda: datetime.now(UTC),
                    )
                    await take(attempt)
            finally:
                producer.close()
                await redis.aclose()

        asyncio.run(steps())

    def begin_ledger(self):
        """The first adoption, as the first worker makes it."""

        async def begin():
            redis, producer = connect(self.settings.redis_url.get_secret_value()), LazyProducer(self.settings)
            await policy_in_force(self.settings, KeptSettings(redis, self.settings.ledger), producer)
            producer.close()
            await redis.aclose()

        asyncio.run(begin())

    def http(self, path):
        """Status and body of a call; None while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.http_port}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)
        except urllib.error.URLError:
            return None

    def charged_by(self, begins):
        """What must be booked if each H100 counts by the heavy table from `begins` on."""
        tpp = 0
        for partition, end in self._ends().items():
            tpp += min(end, begins[partition]) * H100 + max(0, end - begins[partition]) * HEAVY_H100
        return tpp

    def _ends(self):
        with open_log(self.settings) as log_reader:
            return log_reader.ends(self.settings.topic_shipments)

    def empty_redis(self):
        self.redis.delete(*self.redis.keys(self.keys.pattern))


@pytest.fixture
def desk(make_settings, tmp_path):
    desk = Desk(make_settings(partitions=4), tmp_path)
    yield desk
    desk.close()


def shipments(name, count, **more):
    return [shipment(f"{name}{number}", **more) for number in range(count)]


def test_after_an_adoption_and_a_lost_redis_all_is_as_it_was(desk, processes):
    worker = processes.start("worker", desk.settings)
    api = processes.start("api", desk.settings)
    desk.produce(shipments("a", 40, quantity=1000))
    desk.wait_settled(40)
    said = desk.adopt(desk.policy_file("lower", cap=45_000 * H100), "--actor", "eve", "--reason", "why not")
    assert "policy lower, SHA-256 " in said
    desk.produce(shipments("b", 40, quantity=100))
    desk.wait_settled(80)
    desk.adopt("annual-50k", chips=desk.heavy_chips)
    desk.produce(shipments("c", 20))
    desk.wait_settled(100)
    wait_until(lambda: desk.redis.llen(desk.keys.outbox) == 0, "the alerts to be on the topic")

    posted, adoptions = desk.posted(), desk.adoptions()
    ids = {alert["alert_id"] for alert in desk.alerts()}
    assert posted == {"IN": 44_000 * H100 + 20 * HEAVY_H100}
    names = {"a": "annual-50k", "b": "lower", "c": "annual-50k"}
    source = f"/kafka/{desk.settings.topic_shipments}"
    expected = {f"{letter}{number}": name for letter, name in names.items() for number in range(20)}

    def decided():
        found = {event_id: desk.decision(source, event_id) for event_id in expected}
        return {event_id: (one.policy_id, one.policy_sha256, one.charges[0].tpp) for event_id, one in found.items()}

    before = decided()
    assert {event_id: name for event_id, (name, _, _) in before.items()} == expected
    _, told = wait_until(lambda: desk.http("/v1/policy"), "the endpoint")
    assert [(one["number"], one["policy_id"], one["actor"]) for one in told["adoptions"]] == [
        (1, "annual-50k", None),
        (2, "lower", "eve"),
        (3, "annual-50k", None),
    ]
    assert told["adoptions"][0]["from"] == {}
    assert sum(told["adoptions"][1]["from"].values()) == 40
    assert told["adopting"] is None
    kinds = [alert["kind"] for alert in desk.alerts()]
    assert kinds.count("policy.adopted") == 2

    desk.empty_redis()
    assert worker.process.wait(30) == 70
    processes.start("worker", desk.settings)
    desk.wait_settled(100)
    wait_until(lambda: desk.redis.llen(desk.keys.outbox) == 0, "the alerts to be on the topic")

    assert desk.posted() == posted
    assert desk.adoptions() == adoptions
    assert decided() == before
    assert {alert["alert_id"] for alert in desk.alerts()} == ids
    assert api.exit_code() is None


def test_adopting_what_is_in_force_says_so_and_changes_nothing(desk):
    desk.begin_ledger()
    before = desk.records(desk.settings.topic_settings)

    assert "is in force already" in desk.adopt("annual-50k")
    assert len(desk.records(desk.settings.topic_settings)) == len(before)


def test_without_a_worker_an_adoption_is_complete_and_the_next_worker_cuts_the_backlog_there(desk, processes):
    desk.begin_ledger()
    desk.produce(shipments("a", 30))
    desk.adopt("annual-50k", chips=desk.heavy_chips)
    desk.produce(shipments("b", 30))
    processes.start("worker", desk.settings)
    desk.wait_settled(60)

    assert desk.posted() == {"IN": 30 * H100 + 30 * HEAVY_H100}
    assert desk.charged_by(desk.adoptions()[-1].begins) == desk.posted()["IN"]


def test_a_new_ledger_is_told_to_start_a_worker_and_stays_new(desk):
    done = desk.command("policy", "adopt", "diffusion-2025")

    assert done.exit_code == 2
    assert "set that, and start one" in done.stderr
    assert desk.records(desk.settings.topic_settings) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_while_workers_post_at_full_speed_each_record_is_charged_by_the_policy_of_its_offset(desk, processes, workers):
    for _ in range(workers):
        processes.start("worker", desk.settings)
    desk.produce(shipments("a", 20_000))
    wait_until(lambda: desk.settled() >= 2000, "some to be settled")
    desk.produce(shipments("b", 5000))
    desk.adopt("annual-50k", chips=desk.heavy_chips)
    desk.produce(shipments("c", 5000))
    desk.adopt("annual-50k")
    desk.produce(shipments("d", 2000))
    desk.wait_settled(32_000, timeout_s=120)

    assert desk.posted() == {"IN": 27_000 * H100 + 5000 * HEAVY_H100}
    assert [one.policy_id for one in desk.adoptions()] == ["annual-50k"] * 3
    assert {type(child.exit_code()) for child in processes.all} == {type(None)}


def test_while_the_ledger_is_closed_workers_wait_in_place_and_everybody_is_told(desk, processes):
    worker = processes.start("worker", desk.settings)
    processes.start("api", desk.settings)
    desk.produce(shipments("a", 5))
    desk.wait_settled(5)
    policy = load_policy("diffusion-2025")
    desk.steps(lambda attempt: attempt.close(policy, 2))
    desk.produce(shipments("b", 5))
    wait_until(lambda: "waits: the ledger is closed since" in worker.log_tail(50), "the worker to wait")
    status, ready = wait_until(lambda: desk.http("/readyz"), "the endpoint")
    shown = desk.command("status")
    _, told = desk.http("/v1/policy")

    assert status == 503
    for words in (ready["detail"], shown.stderr):
        assert "closed since" in words
        assert "adoption of diffusion-2025" in words
        assert "--abort" in words
    assert (shown.exit_code, "IN India" in shown.stdout) == (0, True)
    assert (told["adopting"]["policy_id"], told["policy_id"]) == ("diffusion-2025", "annual-50k")
    assert worker.exit_code() is None
    assert desk.posted() == {"IN": 5 * H100}

    desk.command("policy", "adopt", "--abort")
    desk.wait_settled(10)
    assert desk.posted() == {"IN": 10 * H100}
    assert wait_until(lambda: desk.http("/readyz")[0] == 200, "the ledger to be ready")


async def _next(attempt):
    return await attempt.kept.adopted.number() + 1


async def _close(attempt):
    await attempt.close(_heavy(attempt), await _next(attempt))


async def _close_and_write(attempt):
    await attempt.write(_heavy(attempt), await attempt.close(_heavy(attempt), await _next(attempt)))


def _heavy(attempt):
    return load_policy("annual-50k", attempt.settings.chips)


@pytest.mark.parametrize("with_worker", [False, True], ids=["no worker", "a worker"])
@pytest.mark.parametrize("killed_after", [_close, _close_and_write], ids=["closing", "writing"])
def test_a_command_that_was_killed_is_finished_by_repeating_it(desk, processes, killed_after, with_worker):
    desk.begin_ledger()
    if with_worker:
        processes.start("worker", desk.settings)
    desk.produce(shipments("a", 10))
    if with_worker:
        desk.wait_settled(10)
    desk.settings = desk.settings.model_copy(update={"chips": desk.heavy_chips})
    desk.steps(killed_after)
    desk.produce(shipments("b", 10))
    said = desk.adopt("annual-50k")
    desk.produce(shipments("c", 10))
    if not with_worker:
        processes.start("worker", desk.settings)
    desk.wait_settled(30)

    begins = desk.adoptions()[1].begins
    assert sum(begins.values()) == (10 if killed_after is _close_and_write else 20)
    assert desk.posted()["IN"] == desk.charged_by(begins)
    assert len(desk.adoptions()) == 2
    assert "is in force" in said
    assert not desk.closed()


def test_a_command_that_was_killed_after_writing_is_finished_by_a_worker_alone(desk, processes):
    desk.begin_ledger()
    desk.settings = desk.settings.model_copy(update={"chips": desk.heavy_chips})
    desk.steps(_close_and_write)
    desk.produce(shipments("b", 10))
    processes.start("worker", desk.settings)
    desk.wait_settled(10)

    assert desk.posted() == {"IN": 10 * HEAVY_H100}
    assert [alert["kind"] for alert in wait_until(desk.alerts, "the alert")] == ["policy.adopted"]


def test_another_policy_is_refused_while_an_adoption_is_under_way(desk):
    desk.begin_ledger()
    desk.steps(_close_policy("diffusion-2025"))
    refused = desk.command("policy", "adopt", "december-2024")
    in_force = desk.command("policy", "adopt", "annual-50k")

    for done in (refused, in_force):
        assert done.exit_code == 1
        assert "closed since" in done.stderr
        assert "adoption of diffusion-2025" in done.stderr
    assert desk.closed()
    desk.adopt("diffusion-2025")
    assert desk.in_force() == "diffusion-2025"


def _close_policy(name):
    async def close(attempt):
        await attempt.close(load_policy(name), 2)

    return close


def test_an_adoption_is_given_up_until_it_is_written_and_not_after(desk):
    desk.begin_ledger()
    nothing = desk.command("policy", "adopt", "--abort")
    desk.steps(_close_policy("diffusion-2025"))
    given_up = desk.command("policy", "adopt", "--abort")
    after = desk.in_force(), desk.closed()
    desk.settings = desk.settings.model_copy(update={"chips": desk.heavy_chips})
    desk.steps(_close_and_write)
    too_late = desk.command("policy", "adopt", "--abort")

    assert (nothing.exit_code, given_up.exit_code, too_late.exit_code) == (2, 0, 1)
    assert "nothing to give up" in nothing.stderr
    assert "the adoption of diffusion-2025 is given up" in given_up.stdout
    assert after == ("annual-50k", False)
    assert "too late" in too_late.stderr
    assert [one.number for one in desk.adoptions()] == [1, 3]
    assert not desk.closed()


def test_a_command_that_was_thought_dead_adopts_nothing_once_its_adoption_was_given_up(desk, processes):
    processes.start("worker", desk.settings)
    desk.produce(shipments("a", 4))
    desk.wait_settled(4)

    async def slow(attempt):
        closure = await attempt.close(load_policy("diffusion-2025"), 2)
        await asyncio.to_thread(desk.command, "policy", "adopt", "--abort")
        desk.produce(shipments("b", 4))
        await asyncio.to_thread(desk.wait_settled, 8)
        await attempt.write(load_policy("diffusion-2025"), closure)
        await attempt.catch_up()

    desk.steps(slow)
    desk.produce(shipments("c", 4))
    desk.wait_settled(12)

    assert desk.in_force() == "annual-50k"
    assert desk.posted() == {"IN": 12 * H100}


def test_two_commands_at_once_make_one_adoption_of_one_policy(desk, processes):
    worker = processes.start("worker", desk.settings)
    desk.produce(shipments("a", 10))
    desk.wait_settled(10)
    both = [processes.start("policy", desk.settings, "adopt", "diffusion-2025") for _ in range(2)]
    codes = [child.process.wait(60) for child in both]
    desk.produce(shipments("b", 10))
    desk.wait_settled(20)

    assert codes == [0, 0]
    assert [one.policy_id for one in desk.adoptions()] == ["annual-50k", "diffusion-2025"]
    assert not desk.closed()
    assert worker.exit_code() is None


def test_a_command_that_was_overtaken_does_not_close_the_ledger_again(desk):
    desk.begin_ledger()

    async def overtaken(attempt):
        number = await _next(attempt)
        await asyncio.to_thread(desk.adopt, "diffusion-2025")
        assert await attempt.close(load_policy("diffusion-2025"), number) is None

    desk.steps(overtaken)
    assert not desk.closed()


def test_two_commands_at_once_for_two_policies_leave_an_open_ledger_under_one_of_them(desk, processes):
    worker = processes.start("worker", desk.settings)
    desk.produce(shipments("a", 10))
    desk.wait_settled(10)
    names = ("december-2024", "allies-tier1")
    both = [processes.start("policy", desk.settings, "adopt", name) for name in names]
    codes = [child.process.wait(60) for child in both]
    desk.produce(shipments("b", 10))
    desk.wait_settled(20)

    adopted = [one.policy_id for one in desk.adoptions()][1:]
    assert sorted(codes) in ([0, 0], [0, 1])
    assert set(adopted) <= set(names)
    assert len(adopted) == codes.count(0)
    assert not desk.closed()
    assert worker.exit_code() is None


def test_a_worker_whose_redis_forgot_that_it_was_closed_stops_and_says_what_to_do(desk, processes):
    first = processes.start("worker", desk.settings)
    processes.start("api", desk.settings)
    desk.produce(shipments("a", 4))
    desk.wait_settled(4)

    async def forgotten(attempt):
        policy = load_policy("diffusion-2025")
        closure, begins = await attempt.close(policy, 2), await attempt.ends()
        desk.redis.hdel(desk.keys.meta, "adopting")
        desk.produce(shipments("b", 4))
        await asyncio.to_thread(desk.wait_settled, 8)
        now = datetime.now(UTC)
        await attempt.send(adoption(policy, closure.number, begins=begins, adopted_at=now, token="late"))

    desk.steps(forgotten)
    assert first.process.wait(30) == 70
    repeated = desk.command("policy", "adopt", "diffusion-2025")
    assert repeated.exit_code == 70
    assert "it had forgotten that the ledger was closed" in repeated.stderr
    for _ in range(2):
        assert processes.start("worker", desk.settings).process.wait(30) == 70
    staying = processes.start("worker", desk.settings)
    wait_until(lambda: "staying out of the group" in staying.log_tail(50), "the fourth to stay out")
    _, ready = desk.http("/readyz")
    assert "had forgotten that the ledger was closed" in ready["detail"]
    assert f"Delete the keys {desk.keys.pattern}" in ready["detail"]
    assert desk.in_force() == "annual-50k"

    desk.empty_redis()
    desk.wait_settled(8)
    source = f"/kafka/{desk.settings.topic_shipments}"
    decided = {desk.decision(source, f"{letter}0").policy_id: letter for letter in "ab"}
    assert decided == {"annual-50k": "a", "diffusion-2025": "b"}


def test_a_command_whose_redis_forgot_that_it_was_closed_writes_nothing_and_closes_it_anew(desk, monkeypatch):
    desk.begin_ledger()
    ends, forgotten = AdoptPolicy.ends, []

    async def ends_and_forget(attempt):
        begins = await ends(attempt)
        if not forgotten:
            forgotten.append(desk.redis.hdel(desk.keys.meta, "adopting"))
            desk.produce(shipments("a", 4))
        return begins

    monkeypatch.setattr(AdoptPolicy, "ends", ends_and_forget)
    desk.adopt("diffusion-2025")

    assert forgotten == [1]
    assert len(desk.adoptions()) == 2
    assert sum(desk.adoptions()[-1].begins.values()) == 4


def test_a_redis_that_falls_back_behind_an_adoption_takes_it_over_again(desk, processes):
    from tests.faults.test_kill_and_fence import restore, snapshot

    worker = processes.start("worker", desk.settings)
    desk.produce(shipments("a", 8))
    desk.wait_settled(8)
    kept = snapshot(desk)
    desk.adopt("annual-50k", chips=desk.heavy_chips)
    wait_until(lambda: "adoption 2 is decided on" in worker.log_tail(20), "the worker to hear of it")
    restore(desk, kept)
    desk.produce(shipments("b", 8))

    assert worker.process.wait(30) == 70
    processes.start("worker", desk.settings)
    desk.wait_settled(16)
    assert desk.posted() == {"IN": 8 * H100 + 8 * HEAVY_H100}


def test_another_kafka_than_the_ledgers_own_is_refused(desk, make_settings):
    desk.begin_ledger()
    desk.steps(lambda attempt: attempt.position.check_log({"cluster_id": "another"}))
    done = desk.command("policy", "adopt", "diffusion-2025")

    assert done.exit_code == 70
    assert "cluster_id" in done.stderr
    assert not desk.closed()


def test_a_policy_larger_than_the_topic_takes_is_refused_and_the_ledger_is_open_again(desk):
    desk.begin_ledger()
    rows = "".join(f"Maker,Model {number},5000\n" for number in range(20_000))
    desk.heavy_chips.write_text(f"vendor,model,tpp\n{rows}")
    done = desk.command("policy", "adopt", "annual-50k", chips=desk.heavy_chips)

    assert done.exit_code == 2
    assert desk.settings.topic_settings in done.stderr
    assert not desk.closed()
    desk.adopt("diffusion-2025")


@pytest.mark.parametrize("arguments", [(), ("annual-50k", "--abort"), ("anual-50k",), ("/nowhere.toml",)])
def test_a_wrong_call_closes_nothing(desk, arguments):
    done = desk.command("policy", "adopt", *arguments)

    assert done.exit_code == 2
    assert "Traceback" not in done.output
