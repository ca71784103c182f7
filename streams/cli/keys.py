"""keys: who may call the endpoint. Writes records on the settings topic, and waits until a worker has copied them."""

import asyncio
from typing import Annotated

import typer
from pydantic import BaseModel
from redis.asyncio import Redis

from ledger.errors import LedgerUnavailable, WrongCall
from streams.api.key_ring import KeyRing
from streams.api.keys import SCOPES, Key, StoredKey
from streams.api.keys import create as new_key
from streams.cli.ledger_here import ask_redis, now, settings_here
from streams.cli.tables import key_table, show, show_json
from streams.kafka.producer import LazyProducer
from streams.settings import Settings

COPIED_MAX_S = 10.0
"""How long a command waits for a worker."""

_ASK_EVERY_S = 0.1


class KeyList(BaseModel):
    """Every key, revoked ones too, oldest first."""

    items: list[Key]
    next: None = None


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Who may call the endpoint.", no_args_is_help=True)
    group.command()(create)
    group.command("list")(list_keys)
    group.command()(revoke)
    app.add_typer(group, name="keys")


def create(
    scope: Annotated[
        list[str],
        typer.Option(help=f"What the key opens, several times: {', '.join(sorted(SCOPES))}, shipments:write:SOURCE."),
    ],
    name: Annotated[str, typer.Option(help="Whose it is, for `keys list`.")] = "",
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    stored, key = new_key(name, scope, now=now())
    settings = settings_here()
    _publish(settings, stored)
    typer.echo(key)
    _wait_until_copied(settings, stored, meanwhile="the key opens nothing")
    typer.echo(f"key {stored.id} is in force, and is not shown again", err=True)


def list_keys(
    *, json: Annotated[bool, typer.Option("--json", help="One document: items of id, name, scopes and times.")] = False
) -> None:
    """The keys that were ever made, without their secrets."""
    settings = settings_here()
    stored = ask_redis(settings, lambda redis: KeyRing(redis, settings.ledger).all())
    keys = [key.shown() for key in stored]
    show_json(KeyList(items=keys)) if json else show(key_table(keys))


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="What stands between qk_ and the next _ of the key.")],
) -> None:
    """Take a key out of force, for ever."""
    settings = settings_here()
    stored = ask_redis(settings, lambda redis: KeyRing(redis, settings.ledger).find(key_id))
    if stored is None:
        raise WrongCall("no key has this id; `quota-ledger keys list` shows those that there are")
    if stored.revoked_at is None:
        stored = stored.revoked(now())
        _publish(settings, stored)
        _wait_until_copied(settings, stored, meanwhile="the key still opens what it did")
    typer.echo(f"key {key_id} is revoked", err=True)


def _publish(settings: Settings, stored: StoredKey) -> None:
    producer = LazyProducer(settings)
    try:
        producer.send_all(settings.topic_settings, [(stored.setting_key.encode(), stored.to_record(), [])])
    finally:
        producer.close()


def _wait_until_copied(settings: Settings, stored: StoredKey, *, meanwhile: str) -> None:
    """Return when Redis holds the key as it is on the topic now.

    Raises:
        LedgerUnavailable: it does not within COPIED_MAX_S.
    """

    async def is_copied(redis: Redis) -> bool:
        ring, clock = KeyRing(redis, settings.ledger), asyncio.get_running_loop().time
        until = clock() + COPIED_MAX_S
        while await ring.find(stored.id) != stored:
            if clock() > until:
                return False
            await asyncio.sleep(_ASK_EVERY_S)
        return True

    try:
        why = "" if ask_redis(settings, is_copied) else f"no worker copied it into Redis within {COPIED_MAX_S:g} s"
    except LedgerUnavailable as failure:
        why = str(failure)
    if why:
        told = f"key {stored.id} is written on {settings.topic_settings}, but {why}"
        raise LedgerUnavailable(f"{told}; until a worker has copied it, {meanwhile}. It need not be written again")
