"""The model of Redis is held against the real one: what histories call, a real Redis and a real Valkey answer alike."""

import json
import logging

import pytest
from redis.asyncio import Redis

from tests.simulation.redis_model import SCRIPT_FILES
from tests.simulation.world import KEYS, Mix, World

NOT_COMPARED = {"time", "script_load"}
BY_THE_CLOCK = KEYS.relay_lease


def recorded(seed, mix=None):
    """Every call of a history."""
    logging.disable(logging.CRITICAL)
    try:
        world = World(seed, mix)
        world.calls = []
        return world.run().calls
    finally:
        logging.disable(logging.NOTSET)


async def asked(redis: Redis, command, args, named):
    if command != "together":
        return await getattr(redis, command)(*args, **named)
    together = redis.pipeline()
    for one, its in args[0]:
        getattr(together, one)(*its)
    return await together.execute()


async def state_of(redis):
    """All of the ledger's keys, in the model's types."""
    readers = {
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"stream": lambda key: _entries(redis, key),
        b"zset": lambda key: _scores(redis, key),
    }
    return {
        key.decode(): await readers[await redis.type(key)](key)
        for key in await redis.keys(KEYS.pattern)
        if key.decode() != BY_THE_CLOCK
    }


async def _entries(redis, key):
    return dict(await redis.xrange(key))


async def _scores(redis, key):
    return dict(await redis.zrange(key, 0, -1, withscores=True))


async def set_state(redis, state):
    await clear(redis)
    for key, kept in comparable(state, jobs=False).items():
        if key in {KEYS.journal, KEYS.alerts}:
            for entry, fields in kept.items():
                await redis.xadd(key, fields, id=entry)
        elif key == KEYS.expiries or key.startswith(KEYS.due("")):
            await redis.zadd(key, kept)
        elif isinstance(kept, list):
            await redis.rpush(key, *kept)
        else:
            await redis.hset(key, mapping=kept)


async def clear(redis):
    if keys := await redis.keys(KEYS.pattern):
        await redis.delete(*keys)


def comparable(state, *, jobs=True):
    """Keys that hold nothing are none; jobs are JSON whose names have no order."""
    kept = {key: value for key, value in state.items() if value and key != BY_THE_CLOCK}
    if jobs and KEYS.jobs in kept:
        kept[KEYS.jobs] = {name: json.loads(job) for name, job in kept[KEYS.jobs].items()}
    return kept


@pytest.mark.parametrize("seed", range(8))
async def test_a_real_server_answers_the_calls_of_a_history_as_the_model_does(any_redis, seed):
    calls = recorded(f"replayed {seed}", Mix(conflicts=0.2, fall_back=1.5, adopt=0.4, events=12))
    await clear(any_redis)
    for file in SCRIPT_FILES:
        await any_redis.script_load(file.read_text())
    state = {}
    for command, args, named, answer, after in calls:
        if command == "go_back":
            assert comparable(await state_of(any_redis)) == comparable(state)
            await set_state(any_redis, after)
        elif command not in NOT_COMPARED and BY_THE_CLOCK not in args:
            assert await asked(any_redis, command, args, named) == answer, (command, args)
        state = after

    assert comparable(await state_of(any_redis)) == comparable(state)
    await clear(any_redis)


def test_the_model_knows_every_script_that_histories_call():
    called = {args[0] for command, args, *_ in recorded("scripts", Mix(adopt=2)) if command == "evalsha"}

    assert len(called) >= 7
