"""webhooks: who is told of alerts. What the endpoint does below /v1/webhooks, at the command line.

Works on the settings topic and on Redis, whether or not an endpoint or a worker runs. Secrets are encrypted under
`QUOTA_SECRET_KEY`; an embedded `up` has one that only its own processes know, so there its endpoint is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import typer
from pydantic import ValidationError
from redis.asyncio import Redis

from ledger.book.read import Reader
from ledger.errors import LedgerUnavailable, WrongCall
from schemas.fields import advice_of
from schemas.webhook import Delivery, SecretRotated, Webhook, WebhookChange, WebhookCreated, WebhookRequest
from streams.api.answers import check_country, policy_in_force
from streams.api.webhooks import DeliveryPage, WebhookList
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import ask_redis, now, settings_here
from streams.cli.moment import read_moment
from streams.cli.tables import delivery_table, show, show_json, webhook_table
from streams.cli.up_endpoint import Endpoint
from streams.embedded.state import running
from streams.kafka.producer import LazyProducer
from streams.settings import Settings
from streams.webhooks.connect_guard import ConnectGuard, read_allowed
from streams.webhooks.desk import WebhookDesk
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs
from streams.webhooks.subscription import SecretBox

TESTED_WITHIN_S = 25.0
"""How long `test` waits for its delivery: longer than an attempt may take."""

_ASK_EVERY_S = 0.1

_Answer = TypeVar("_Answer")
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `webhooks list` shows it.")]
_Json = Annotated[bool, typer.Option("--json", help="One document, with the field names of HTTP.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Who is told of alerts.", no_args_is_help=True)
    group.command("list")(list_webhooks)
    group.command("test")(send_test)
    for command in (add, deliveries, resend, rotate, pause, resume, remove):
        group.command()(command)
    app.add_typer(group, name="webhooks")


def list_webhooks(*, json: _Json = False) -> None:
    """Every webhook: what it asks for, and its state."""
    webhooks = _at_desk(settings_here(), lambda desk, _: desk.all())
    show_json(WebhookList(items=webhooks)) if json else show(webhook_table(webhooks))


def add(
    url: Annotated[str, typer.Argument(help="https, or http to a network of QUOTA_WEBHOOK_ALLOW.")],
    *,
    kind: Annotated[list[str] | None, typer.Option(help="Only alerts of this kind; several times.")] = None,
    country: Annotated[list[str] | None, typer.Option(help="Only about this country; several times.")] = None,
    tier: Annotated[list[int] | None, typer.Option(help="Only about this tier; several times.")] = None,
    severity_min: Annotated[str | None, typer.Option(help="info, warning or critical: that and above.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only about events of this source; several times.")] = None,
    format_: Annotated[str, typer.Option("--format", help="standard, slack or pagerduty.")] = "standard",
    description: Annotated[str, typer.Option(help="What it is for, for `webhooks list`.")] = "",
    json: _Json = False,
) -> None:
    """Subscribe to alerts from now on. Prints the secret, this once."""
    stated = {
        "url": url, "kinds": kind, "countries": country, "tiers": tier, "severity_min": severity_min,
        "sources": source, "format": format_, "description": description,
    }  # fmt: skip
    wanted = _checked(stated)
    settings = settings_here()

    async def adding(desk: WebhookDesk, reader: Reader) -> WebhookCreated:
        if wanted.countries is not None:
            policy = await policy_in_force(reader)
            for code in wanted.countries:
                check_country(policy, code)
        return await desk.add(wanted, SecretBox(settings.secret_key), now=now())

    if (endpoint := _endpoint_that_keeps_secrets(settings)) is not None:
        made = WebhookCreated.model_validate_json(endpoint.post("/v1/webhooks", wanted.model_dump(mode="json")))
    else:
        made = _at_desk(settings, adding)
    if json:
        show_json(made)
    else:
        typer.echo(made.secret)
        typer.echo(f"webhook {made.id} is {made.state}; its secret is not shown again", err=True)


def send_test(webhook_id: _Id, *, json: _Json = False) -> None:
    """Have an alert that tells of nothing delivered, and say what became of it; exit code 1 if it was not taken."""

    async def testing(desk: WebhookDesk, reader: Reader) -> Delivery | None:
        queued = await desk.test(webhook_id, await policy_in_force(reader), now=now())
        clock = asyncio.get_running_loop().time
        until = clock() + TESTED_WITHIN_S
        while clock() < until:
            newest, _ = await desk.deliveries(webhook_id, cursor=None, count=100)
            if found := [one for one in newest if one.delivery_id == queued.delivery_id]:
                return found[0]
            await asyncio.sleep(_ASK_EVERY_S)
        return None

    delivery = _at_desk(settings_here(), testing)
    if delivery is None:
        raise LedgerUnavailable(f"no sender delivered it within {TESTED_WITHIN_S:g} s: does `quota-ledger sender` run?")
    show_json(delivery) if json else show(delivery_table([delivery]))
    if delivery.outcome != "delivered":
        raise typer.Exit(FOUND_WRONG)


def deliveries(
    webhook_id: _Id,
    *,
    cursor: Annotated[str | None, typer.Option(help="The `next` of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: _Json = False,
) -> None:
    """The attempts made at a webhook, the newest first."""

    async def reading(desk: WebhookDesk, _: Reader) -> tuple[list[Delivery], str | None]:
        return await desk.deliveries(webhook_id, cursor=cursor, count=limit)

    items, following = _at_desk(settings_here(), reading)
    show_json(DeliveryPage(items=items, next=following)) if json else show(delivery_table(items))


def resend(
    webhook_id: _Id,
    delivery_id: Annotated[str | None, typer.Argument(metavar="DELIVERY", help="As `deliveries` shows it.")] = None,
    *,
    since: Annotated[
        str | None, typer.Option(help="All that was recorded since then, such as 2026-11-22T09:00Z.")
    ] = None,
) -> None:
    """Deliver once more, under the same ids: one delivery, or every alert since a moment that the webhook asks for."""
    if (delivery_id is None) == (since is None):
        raise WrongCall("name a DELIVERY, or a moment by --since")
    moment = read_moment("--since", since) if since is not None else None

    async def sending(desk: WebhookDesk, _: Reader) -> int:
        if moment is not None:
            return await desk.resend_since(webhook_id, moment)
        assert delivery_id is not None
        await desk.resend(webhook_id, delivery_id)
        return 1

    count = _at_desk(settings_here(), sending)
    typer.echo(f"{count} on the way; `quota-ledger webhooks deliveries {webhook_id}` says what became of it", err=True)


def rotate(webhook_id: _Id, *, json: _Json = False) -> None:
    """Make a new secret and print it, this once. For a day messages are signed by the old one too."""
    settings = settings_here()

    async def rotating(desk: WebhookDesk, _: Reader) -> SecretRotated:
        return await desk.rotate(webhook_id, SecretBox(settings.secret_key), now=now())

    if (endpoint := _endpoint_that_keeps_secrets(settings)) is not None:
        told = endpoint.post(f"/v1/webhooks/{quote(webhook_id, safe='')}/rotate", {})
        rotated = SecretRotated.model_validate_json(told)
    else:
        rotated = _at_desk(settings, rotating)
    if json:
        show_json(rotated)
    else:
        typer.echo(rotated.secret)
        typer.echo(f"the old secret signs too until {rotated.old_secret_until:%Y-%m-%d %H:%M} UTC", err=True)


def pause(webhook_id: _Id) -> None:
    """Deliver nothing until `resume`. What is told meanwhile is not kept for it: `resend --since` brings it."""
    _set_state(webhook_id, WebhookChange(state="paused"))


def resume(webhook_id: _Id) -> None:
    """Deliver again: to one that was paused, or is disabled or exhausted."""
    _set_state(webhook_id, WebhookChange(state="active"))


def remove(webhook_id: _Id) -> None:
    """End a webhook; what was not delivered yet is not any more."""
    _at_desk(settings_here(), lambda desk, _: desk.remove(webhook_id))
    typer.echo(f"webhook {webhook_id} is removed", err=True)


def _set_state(webhook_id: str, change: WebhookChange) -> None:
    webhook: Webhook = _at_desk(settings_here(), lambda desk, _: desk.change(webhook_id, change))
    typer.echo(f"webhook {webhook_id} is {webhook.state}", err=True)


def _at_desk(settings: Settings, act: Callable[[WebhookDesk, Reader], Awaitable[_Answer]]) -> _Answer:
    producer = LazyProducer(settings)

    async def publish(key: str, value: bytes | None) -> None:
        await asyncio.to_thread(producer.send_all, settings.topic_settings, [(key.encode(), value, [])])

    async def acting(redis: Redis) -> _Answer:
        jobs, feed = Jobs(redis, settings.ledger), Feed(redis, settings.ledger)
        guard = ConnectGuard(read_allowed(settings.webhook_allow))
        desk = WebhookDesk(jobs, feed, guard=guard, publish=publish)
        return await act(desk, Reader(redis, settings.ledger, now=now))

    try:
        return ask_redis(settings, acting)
    finally:
        producer.close()


def _endpoint_that_keeps_secrets(settings: Settings) -> Endpoint | None:
    """The endpoint of the running `up` whose ledger this is: its secret key counts, whatever this command's is.

    None where there is no such `up`, or its endpoint asks for a key.
    """
    state = running(settings.state_dir)
    if state is None or state.settings.get("redis_url") != settings.redis_url.get_secret_value():
        return None
    return Endpoint(state.api_url) if state.settings.get("auth") == "off" else None


def _checked(stated: dict[str, Any]) -> WebhookRequest:
    try:
        return WebhookRequest.model_validate(stated)
    except ValidationError as failure:
        wrong = failure.errors(include_url=False, include_input=False)[0]
        raise WrongCall(f"{'.'.join(map(str, wrong['loc']))}: {advice_of(wrong)}") from None
