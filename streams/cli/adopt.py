"""policy adopt: put another policy in force, from what comes onto the topic next. Works with and without workers."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import uuid4

import typer
from redis.asyncio import Redis

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.errors import WrongCall
from ledger.policy import load_policy
from schemas.adoption import Adoption
from streams.adopt_policy import AdoptPolicy
from streams.cli.ledger_here import ask, ask_redis, now, settings_here
from streams.kafka.identity import LogIdentity
from streams.kafka.log_reader import open_log
from streams.kafka.producer import LazyProducer
from streams.settings import Settings

Answer = TypeVar("Answer")


def adopt(
    policy: Annotated[
        str | None, typer.Argument(metavar="FILE|ID", help="A TOML file, or the id of a policy that is shipped.")
    ] = None,
    *,
    abort: Annotated[
        bool, typer.Option("--abort", help="Give up an adoption that was interrupted, and open the ledger again.")
    ] = False,
    actor: Annotated[str | None, typer.Option(help="Who adopts it; shown with the adoption.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; shown with the adoption.")] = None,
) -> None:
    """Put a policy in force, with the chips of QUOTA_CHIPS.

    It judges what comes onto the topic from now on, and every account is measured by it at once. If this is
    interrupted, nothing is posted until it is repeated, or given up with --abort.
    """
    if abort == (policy is not None):
        raise WrongCall("name the policy to adopt, or give an adoption up with --abort")
    settings = settings_here()
    if policy is None:
        closure = _attempt(settings, AdoptPolicy.give_up)
        typer.echo(f"the adoption of {closure.policy_id} is given up; the ledger is open, its policy as before")
        return
    wanted = load_policy(policy, settings.chips)
    adoption, outcome = _attempt(settings, lambda attempt: attempt.adopt(wanted), actor=actor, reason=reason)
    if outcome == "in force":
        typer.echo(f"{_named(adoption)} is in force already, since {adoption.adopted_at:%Y-%m-%d %H:%M:%S} UTC")
    else:
        typer.echo(f"{_named(adoption)} is in force; it judges what comes onto the topic from now on")


def _attempt(
    settings: Settings,
    step: Callable[[AdoptPolicy], Awaitable[Answer]],
    *,
    actor: str | None = None,
    reason: str | None = None,
) -> Answer:
    """Join the parts of an attempt, on the log that this ledger was filled from."""
    producer = LazyProducer(settings)

    async def attempt(redis: Redis) -> Answer:
        position = Position(redis, settings.ledger)
        identity = LogIdentity(settings)
        try:
            await position.check_log(identity.read())
            with open_log(settings) as log_reader:
                return await step(
                    AdoptPolicy(
                        settings=settings,
                        kept=KeptSettings(redis, settings.ledger),
                        position=position,
                        log_reader=log_reader,
                        producer=producer,
                        token=uuid4().hex[:8],
                        now=now,
                        actor=actor,
                        reason=reason,
                    )
                )
        finally:
            identity.close()
            producer.close()

    try:
        return ask_redis(settings, attempt)
    except KeyboardInterrupt:
        if closure := ask(settings, lambda reader, _: reader.closure()):
            typer.echo(closure.sentence(), err=True)
        raise


def _named(adoption: Adoption) -> str:
    return f"policy {adoption.policy_id}, SHA-256 {adoption.policy_sha256}, adoption {adoption.number},"
