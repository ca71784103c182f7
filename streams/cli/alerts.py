"""alerts: what was told, and with --follow what is being told."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, get_args

import typer

from ledger.book.read import Reader
from ledger.errors import WrongCall
from schemas.quota_alert import AlertKind, QuotaAlert
from streams.api.alerts import AlertPage
from streams.api.answers import check_country, policy_in_force
from streams.cli.ledger_here import ask, settings_here
from streams.cli.tables import alert_line, show, show_json
from streams.webhooks.feed import Feed

_LIMIT = 100


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alerts)


def alerts(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new alerts as they come.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, such as quota.near_cap.")] = None,
    country: Annotated[str | None, typer.Option(help="Only about this country.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One document as over HTTP; following, one line an alert.")
    ] = False,
) -> None:
    """The last alerts, the newest at the end."""
    if kind is not None and kind not in get_args(AlertKind):
        raise WrongCall(f"--kind: {kind!r} is none of {', '.join(get_args(AlertKind))}")

    async def question(reader: Reader, feed: Feed) -> None:
        if country is not None:
            check_country(await policy_in_force(reader), country)
        newest, following = await feed.page(count=_LIMIT, kind=kind, country=country)
        if follow:
            since = newest[-1].recorded_at if newest else datetime.min.replace(tzinfo=UTC)
            async for _, alert in feed.follow(kind=kind, country=country, since=since):
                _show_line(alert, json=json)
        elif json:
            show_json(AlertPage(items=newest, next=following))
        else:
            for alert in reversed(newest):
                show(alert_line(alert))
            if not newest:
                show("No alerts.")

    settings = settings_here()
    with suppress(KeyboardInterrupt):
        ask(settings, question)


def _show_line(alert: QuotaAlert, *, json: bool) -> None:
    if json:
        print(alert.model_dump_json(), flush=True)  # noqa: T201  a command's output
    else:
        show(alert_line(alert))
