"""up, worker, sender, api: the commands that keep running. Each reads its settings and joins its parts."""

import asyncio
import signal
import socket

import typer

from ledger.book.script import connect
from ledger.errors import WrongCall
from streams.cli.ledger_here import now, settings_here
from streams.kafka.producer import LazyProducer
from streams.settings import Settings, make_state_dir

STREAMS_END_S = 3
"""How long a call may go on once the endpoint was told to end: streams of alerts never end by themselves."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    from streams.cli.up import up  # noqa: PLC0415

    app.command()(up)
    app.command()(worker)
    app.command()(sender)
    app.command()(api)


def worker() -> None:
    """Debit shipments: read the topic, post to the ledger, tell alerts."""
    from streams.worker import run_worker  # noqa: PLC0415  Faust takes a second to import

    settings = settings_here()
    make_state_dir(settings.state_dir)
    run_worker(settings)


def sender() -> None:
    """Deliver webhooks, and try again those that failed."""
    settings = settings_here()
    make_state_dir(settings.state_dir)
    asyncio.run(_send_until_told_to_stop(settings))


async def _send_until_told_to_stop(settings: Settings) -> None:
    from streams.logs import configure_logs  # noqa: PLC0415
    from streams.webhooks.sender import run_sender  # noqa: PLC0415

    configure_logs("sender")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    typer.echo("delivering webhooks", err=True)
    redis = connect(settings.redis_url.get_secret_value())
    producer = LazyProducer(settings)

    async def publish_setting(key: str, value: bytes | None) -> None:
        await asyncio.to_thread(producer.send_all, settings.topic_settings, [(key.encode(), value, [])])

    try:
        await run_sender(settings, redis, stop, publish_setting=publish_setting)
    finally:
        await asyncio.to_thread(producer.close)
        await redis.aclose()


def api() -> None:
    """Answer over HTTP: balances, alerts, decisions; shipments and webhooks in."""
    settings = settings_here()
    refuse_open_endpoint(settings)
    with _listen(settings) as listener:
        asyncio.run(_serve(settings, listener))


def refuse_open_endpoint(settings: Settings) -> None:
    """Raise WrongCall where other machines could call without a key."""
    if settings.auth == "off" and not settings.on_loopback:
        advice = f"QUOTA_HTTP_HOST={settings.http_host} can be reached from other machines; set QUOTA_AUTH=required"
        raise WrongCall(f"QUOTA_AUTH=off is for this machine only: {advice}")


def http_url(host: str, port: int) -> str:
    """The address of an endpoint; one of IPv6 stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(settings: Settings) -> socket.socket:
    address = (settings.http_host, settings.http_port)
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family)
    except OSError as failure:
        advice = "set QUOTA_HTTP_HOST or QUOTA_HTTP_PORT"
        raise WrongCall(f"cannot listen on {http_url(*address)}: {failure.strerror}; {advice}") from None
    # Taken over by every connection: else the body of an answer waits 40 ms for its head to be acknowledged. asyncio
    # does this on sockets of its own making alone.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415  the other commands need no server

    from ledger.book.read import Reader  # noqa: PLC0415
    from streams.api.app import create_app  # noqa: PLC0415
    from streams.api.key_ring import KeyRing  # noqa: PLC0415
    from streams.logs import configure_logs  # noqa: PLC0415
    from streams.webhooks.feed import Feed  # noqa: PLC0415
    from streams.webhooks.jobs import Jobs  # noqa: PLC0415

    configure_logs("api")
    redis = connect(settings.redis_url.get_secret_value())
    producer = LazyProducer(settings)
    app = create_app(
        settings,
        reader=Reader(redis, settings.ledger, now=now),
        feed=Feed(redis, settings.ledger),
        jobs=Jobs(redis, settings.ledger),
        keys=KeyRing(redis, settings.ledger),
        producer=producer,
        clock=now,
    )
    host, port = listener.getsockname()[:2]
    typer.echo(f"listening on {http_url(host, port)}", err=True)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STREAMS_END_S,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # the server handles them first, and hands them on once it has let go of its calls
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await asyncio.to_thread(producer.close)
        await redis.aclose()


def _end(*_: object) -> None:
    raise SystemExit(0)
