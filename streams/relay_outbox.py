"""The relay: alerts from the ledger's outbox onto the topic `alerts`, in order, one worker at a time.

An alert is on the topic before it leaves the outbox. A relay that dies between tells it again, under the same id.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from ledger.book.outbox import Outbox
from ledger.errors import LedgerUnavailable
from streams.kafka.producer import Outgoing

log = logging.getLogger(__name__)

BATCH = 200
"""Entries relayed at a time."""

LEASE_S = 5.0
IDLE_S = 0.25
PATIENCE_S = 1.0


async def relay_outbox(
    outbox: Outbox,
    send_alerts: Callable[[Sequence[Outgoing]], int],
    *,
    news: asyncio.Event,
) -> None:
    """Relay for ever.

    Args:
        outbox: where alerts wait.
        send_alerts: writes to the topic and returns when Kafka has acknowledged all; run in a thread.
        news: set by whoever wrote alerts in this process; others' are seen within `IDLE_S`.
    """
    while True:
        try:
            relayed = await outbox.hold_lease(LEASE_S) and await _relay_batch(outbox, send_alerts)
        except LedgerUnavailable as failure:
            log.warning("alerts wait in the outbox: %s", failure)
            await asyncio.sleep(PATIENCE_S)
            continue
        if not relayed:
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), IDLE_S)
            news.clear()


async def _relay_batch(outbox: Outbox, send_alerts: Callable[[Sequence[Outgoing]], int]) -> bool:
    entries = await outbox.head(BATCH)
    if not entries:
        return False
    await asyncio.to_thread(send_alerts, [_record(entry) for entry in entries])
    return await outbox.remove(entries) > 0


def _record(entry: bytes) -> Outgoing:
    """An outbox entry as a record: keyed by account, with the Kafka time of the record that gave rise to it."""
    timestamp_ms, _, alert = entry.partition(b" ")
    account = json.loads(alert).get("account")
    return (account.encode() if account else None), alert, [("shipment-time", timestamp_ms)]
