"""Calls of `quota-ledger webhooks` that cannot be: they say what to write instead, and need no Kafka for that."""

import asyncio

import pytest
from typer.testing import CliRunner

from ledger.book.keys import Keys
from streams.cli.main import app
from streams.settings import environment_of


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["add", "http://10.0.0.1/"], "private"),
        (["add", "http://127.0.0.1:9/", "--kind", "quota.nonsense"], "kinds"),
        (["add", "http://127.0.0.1:9/", "--format", "pagerduty"], "routing_key"),
        (["resend", "wh_1"], "--since"),
        (["resend", "wh_1", "--since", "yesterday"], "no time"),
        (["pause", "wh_1"], "no webhook has this id"),
    ],
)
async def test_a_wrong_call_says_what_to_write_instead(redis, make_settings, arguments, advice):
    settings = make_settings(partitions=0)
    done = await asyncio.to_thread(CliRunner().invoke, app, ["webhooks", *arguments], env=environment_of(settings))

    assert advice in done.stderr
    assert done.exit_code == 2
    assert not await redis.exists(Keys(settings.ledger).webhooks)
