"""Joins the routes to one application. Its parts are made elsewhere and handed in."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import cache

from fastapi import Depends, FastAPI, Security

from ledger.book.read import Reader
from streams.api import (
    accounts,
    alert_stream,
    alerts,
    decisions,
    health,
    pages,
    policy,
    quotas,
    session,
    shipments,
    webhooks,
)
from streams.api.admission import admit, refuse_stray_parameters
from streams.api.copies import MAX_AGE_S, Copies
from streams.api.head import HeadAsGet
from streams.api.key_ring import KeyRing
from streams.api.keys import ALERTS_READ, QUOTA_READ, SHIPMENTS_WRITE, WEBHOOKS_ADMIN
from streams.api.openapi import openapi_document
from streams.api.parts import Parts, Producer
from streams.api.problems import install_problems
from streams.api.throttle import Throttle
from streams.settings import Settings
from streams.webhooks.connect_guard import ConnectGuard, read_allowed
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs
from streams.webhooks.subscription import SecretBox

_ROOMS = (
    (quotas, QUOTA_READ),
    (accounts, QUOTA_READ),
    (alerts, ALERTS_READ),
    (alert_stream, ALERTS_READ),
    (decisions, QUOTA_READ),
    (shipments, SHIPMENTS_WRITE),
    (webhooks, WEBHOOKS_ADMIN),
    (policy, QUOTA_READ),
)
"""The routes, and the scope that a key needs for them."""
_OPEN_ROOMS = (health, pages, session)


def create_app(
    settings: Settings,
    *,
    reader: Reader,
    feed: Feed,
    jobs: Jobs,
    keys: KeyRing,
    producer: Producer,
    clock: Callable[[], datetime],
    copies_max_age_s: float = MAX_AGE_S,
) -> FastAPI:
    """The endpoint.

    Args:
        settings: topics, secrets, and whether keys are asked for.
        reader: the ledger's balances and decisions.
        feed: its alerts.
        jobs: its webhooks.
        keys: who may call.
        producer: puts shipments and subscriptions onto Kafka.
        clock: the time, which says what "current" means.
        copies_max_age_s: how old an answer may be that others asked for; 0 to make each anew.

    Raises:
        WrongCall: `QUOTA_WEBHOOK_ALLOW` holds what is no network.
    """
    app = FastAPI(
        title="quota-ledger",
        version="1",
        description="Quotas of AI chips by country. Amounts are integers of TPP, times are RFC 3339 in UTC.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a call behind a proxy with TLS would be sent to http, its key with it
    )
    app.state.parts = Parts(
        settings=settings,
        reader=reader,
        feed=feed,
        jobs=jobs,
        keys=keys,
        producer=producer,
        guard=ConnectGuard(read_allowed(settings.webhook_allow)),
        secret_box=SecretBox(settings.secret_key) if settings.secret_key else None,
        clock=clock,
        copies=Copies(copies_max_age_s, time.monotonic),
        throttle=Throttle(settings.key_calls_per_s, time.monotonic),
    )
    app.add_middleware(HeadAsGet)
    install_problems(app)
    for room, scope in _ROOMS:
        app.include_router(
            room.router, dependencies=[Security(admit, scopes=[scope]), Depends(refuse_stray_parameters)]
        )
    for room in _OPEN_ROOMS:
        app.include_router(room.router)
    app.openapi = cache(lambda: openapi_document(app, with_keys=settings.auth == "required"))  # type: ignore[method-assign]
    return app
