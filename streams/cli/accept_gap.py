"""accept-gap: give up records that the log deleted before they were applied. Works with and without workers."""

from typing import Annotated

import typer
from redis.asyncio import Redis

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.errors import WrongCall
from schemas.accepted_gap import AcceptedGap
from streams.accept_gap import AcceptGaps
from streams.cli.ledger_here import ask_redis, now, settings_here
from streams.kafka.identity import LogIdentity
from streams.kafka.log_reader import open_log
from streams.kafka.producer import LazyProducer
from streams.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(accept_gap)


def accept_gap(
    partition: Annotated[
        str | None, typer.Argument(help="Such as shipments:0; every partition with a gap if absent.")
    ] = None,
    *,
    actor: Annotated[str, typer.Option(help="Who gives the records up.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which records; write nothing.")] = False,
) -> None:
    """Give up records that the log deleted before they were applied, so that the ledger goes on behind them.

    They are lost to the balances, for good. Who and why is kept on the topic of settings.
    """
    settings = settings_here()
    gaps = _accept(settings, partition, actor=actor, reason=reason, dry_run=dry_run)
    for gap in gaps:
        count = gap.last - gap.first + 1
        told = "would be" if dry_run else "is" if count == 1 else "are"
        typer.echo(f"{gap.partition}: {count:,} offsets, {gap.first} to {gap.last}, {told} given up")
    if not gaps:
        typer.echo("no gap: whatever is to be applied next lies on the log, or is still to come")


def _accept(settings: Settings, partition: str | None, *, actor: str, reason: str, dry_run: bool) -> list[AcceptedGap]:
    producer, identity = LazyProducer(settings), LogIdentity(settings)

    async def attempt(redis: Redis) -> list[AcceptedGap]:
        with open_log(settings) as log_reader:
            acceptance = AcceptGaps(
                settings=settings,
                kept=KeptSettings(redis, settings.ledger),
                position=Position(redis, settings.ledger),
                identity=identity,
                log_reader=log_reader,
                producer=producer,
                actor=actor,
                reason=reason,
                now=now(),
            )
            gaps = await acceptance.find()
            if partition is not None:
                gaps = [gap for gap in gaps if gap.partition == partition]
                if not gaps:
                    raise WrongCall(f"{partition} has no gap; without a partition, every gap is named")
            if gaps and not dry_run:
                await acceptance.accept(gaps)
            return gaps

    try:
        return ask_redis(settings, attempt)
    finally:
        identity.close()
        producer.close()
