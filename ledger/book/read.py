"""Balances, decisions and freshness, for everybody who asks. Writes nothing."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from redis.asyncio import Redis

from ledger.book.account import AccountBalance, account_of, field_of
from ledger.book.adopted import Adopted
from ledger.book.daily import DailyBookings
from ledger.book.decide import Decisions, Foreseen
from ledger.book.entries import Entries
from ledger.book.family import Family
from ledger.book.keys import Keys
from ledger.book.position import misread
from ledger.book.script import asked
from ledger.errors import LedgerUnavailable
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.follower import EventKey
from schemas.adoption import Closure
from schemas.decision import Decision
from schemas.quota_status import Freshness
from schemas.shipment_event import ShipmentEvent
from schemas.unsettled import EventName

ENDS_TRUSTED = timedelta(seconds=10)
"""For how long the end offsets that a worker saw are good: it looks every other second."""


class Reader:
    """Reads one ledger.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
        now: the clock, by which a lag is told in seconds.

    Attributes:
        entries: what was booked on its accounts, and when.
        daily: the same, summed up by day.

    Every method raises LedgerUnavailable when Redis does not answer: an absent answer is never a zero.
    """

    def __init__(self, redis: Redis, ledger: str, *, now: Callable[[], datetime]) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._now = now
        self._adopted = Adopted(redis, ledger)
        self.entries = Entries(redis, ledger)
        self.daily = DailyBookings(redis, ledger)

    async def rules(self) -> Rulebook | None:
        """The policies that were adopted, the newest in force; None before the first worker adopted one."""
        return await self._adopted.rules()

    async def policy(self) -> Policy | None:
        """The policy in force; None before the first worker adopted one."""
        rules = await self._adopted.rules()
        return rules.in_force if rules else None

    async def closure(self) -> Closure | None:
        """The adoption for which the ledger is closed; None while it is open."""
        return await self._adopted.closure()

    async def balances(self, period: str) -> dict[str, AccountBalance]:
        """Every account that was ever touched in a period, by its name."""
        return {balance.account: balance for balance in await self.accounts() if balance.period == period}

    async def accounts(self) -> list[AccountBalance]:
        """Every account in every period in which it was ever touched, in no order."""
        records = await asked(self._redis.hgetall(self._keys.balances))
        return [account_of(name, record) for name, record in records.items()]

    async def balance(self, account: str, period: str) -> AccountBalance | None:
        """One account in one period; None if nothing ever touched it."""
        name = field_of(account, period)
        record = await asked(self._redis.hget(self._keys.balances, name))
        return account_of(name, record) if record is not None else None

    async def unsettled(self) -> tuple[list[EventName], list[EventName]]:
        """The events whose original is not known yet, and those with lines that wait for a person; by source and id."""
        kept = await asked(self._redis.hvals(self._keys.waits))
        waits: list[tuple[str, str, str]] = sorted(map(json.loads, kept))
        waiting, held = (
            [EventName(source=source, id=event_id) for source, event_id, why in waits if why == wanted]
            for wanted in ("waiting", "held")
        )
        return waiting, held

    async def freshness(self) -> Freshness:
        """How far the ledger has read, by the end offsets that the workers saw last.

        Raises:
            LedgerUnavailable: Redis does not answer, or another version filled the ledger, and it lies there otherwise.
        """
        meta = await asked(self._redis.hgetall(self._keys.meta))
        if why := misread(meta.get(b"layout"), meta.get(b"cluster_id")):
            raise LedgerUnavailable(why)
        applied_at = _moment(meta.get(b"posted_at"))
        seen_at = _moment(meta.get(b"ends_seen_at"))
        if seen_at is None:
            return Freshness(applied_at=applied_at, lag_records=None, lag_s=None)
        ends = {name[4:]: int(end) for name, end in meta.items() if name.startswith(b"end:")}
        lag = sum(max(0, end - int(meta.get(b"checkpoint:" + name, -1)) - 1) for name, end in ends.items())
        now = self._now()
        lag_s = (now - (applied_at or seen_at)).total_seconds() if lag else 0.0
        if now - seen_at > ENDS_TRUSTED:
            lag_s = max(lag_s, (now - seen_at).total_seconds())
        return Freshness(applied_at=applied_at, lag_records=lag, lag_s=max(0.0, lag_s))

    async def looked_at(self) -> datetime | None:
        """When a worker last looked at the end of the topic; None if none has."""
        return _moment(await asked(self._redis.hget(self._keys.meta, "ends_seen_at")))

    async def stopped_workers(self) -> list[str]:
        """Why a worker stays out of the group, for every partition it gave up at its present checkpoint."""
        meta = await asked(self._redis.hgetall(self._keys.meta))
        return [reason.decode() for name, reason in sorted(meta.items()) if name.startswith(b"stopped:")]

    async def decision(self, source: str, event_id: str) -> Decision | None:
        """What became of an event; None if it was not seen (yet).

        Args:
            source: the event's source.
            event_id: its id under that source.
        """
        rules = await self.rules()
        if rules is None:
            return None
        return await Decisions(self._redis, self._keys, rules).decision((source, event_id))

    async def family(self, key: EventKey, rules: Rulebook) -> Family:
        """An event with all that name it, as far as they are known; none of them may be.

        Args:
            key: its source and id.
            rules: the policies that this ledger adopted.
        """
        return await Decisions(self._redis, self._keys, rules).family(key)

    async def foresee(self, event: ShipmentEvent, policy: Policy, rules: Rulebook) -> Foreseen:
        """What an event would come to if it were booked now.

        Args:
            event: the event.
            policy: the one to judge it by; one of another ledger, or of none, will do.
            rules: the policies that this ledger adopted.

        Raises:
            RejectedRecord: the policy cannot judge the event.
        """
        return await Decisions(self._redis, self._keys, rules).foresee(event, policy)


def _moment(text: bytes | None) -> datetime | None:
    return datetime.fromisoformat(text.decode()) if text else None
