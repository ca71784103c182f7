"""Posts documents of any type to a ledger on Redis, as workers do, in whatever order a test chooses."""

import json
from collections import Counter
from datetime import UTC, datetime

from ledger.book.account import account_of
from ledger.book.audit import Audit
from ledger.book.judged import Judged
from ledger.book.keys import Keys
from ledger.book.post import Book
from ledger.book.read import Reader
from ledger.book.remeasure import misjudged
from ledger.policy import load_policy
from ledger.rules.adoptions import Yardstick
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from tests.live_redis.adopting import adopt

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICIES = {"annual": load_policy("annual-50k"), "diffusion": load_policy("diffusion-2025")}
MINUTES = [
    int(datetime(year, month, 15, tzinfo=UTC).timestamp()) // 60 for year in (2025, 2026) for month in (1, 5, 11)
]
LAST_MINUTE = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp()) // 60


async def levels_misjudged(redis, ledger, rules):
    """What is wrong with the levels that the accounts of a ledger have noted, and accounts that cannot be read."""
    cut = await Audit(redis, ledger).cut()
    measure = Yardstick(rules, cut.today)
    return [*cut.unreadable, *(wrong for one in cut.balances.values() if (wrong := misjudged(one, measure)))]


async def never_parked(unfit):
    raise AssertionError(f"parked: {unfit[0].rejected}")


class Desk:
    """Books that post documents to one ledger, each partition in its order."""

    def __init__(self, redis, ledger, policy):
        self.redis, self.keys, self.policy = redis, Keys(ledger), policy
        self.book = Book(redis, ledger, now=lambda: NOW)
        self.reader = Reader(redis, ledger, now=lambda: NOW)
        self.ends, self.park = Counter(), never_parked

    async def post(self, partition, documents):
        begin = self.ends[partition]
        self.ends[partition] += len(documents)
        await self.post_again(partition, begin, documents)

    async def post_again(self, partition, begin, documents):
        run = [self.record(begin + number, document) for number, document in enumerate(documents)]
        stretches = [(self.policy, run)]
        await self.book.post(f"shipments:{partition}", begin - 1, stretches, rules=self.rules, park=self.park)

    def record(self, offset, document):
        value = json.dumps(document).encode()
        event = read_event(value, default_source="/tests")
        judged = judge(event, self.policy)
        return Judged.of(offset, 1_790_000_000_000 + offset, value, (), event=event, judged=judged)

    async def tick(self, minute):
        await self.book.tick(minute, rules=self.rules)

    async def snapshot(self):
        """The ledger's keys as they are at this moment."""
        names = await self.redis.keys(self.keys.pattern)
        reading = self.redis.pipeline(transaction=True)
        for name in names:
            reading.dump(name)
        return dict(zip(names, await reading.execute(), strict=True))

    async def restore(self, kept):
        """Redis as it was at that moment, as after the loss of its last writes."""
        writing = self.redis.pipeline(transaction=True)
        writing.delete(*await self.redis.keys(self.keys.pattern))
        for name, content in kept.items():
            writing.restore(name, 0, content)
        await writing.execute()

    async def accounts(self):
        kept = await self.redis.hgetall(self.keys.balances)
        return [account_of(name, record) for name, record in kept.items()]

    async def balances(self):
        found = Counter()
        for account in await self.accounts():
            found[account.account, account.period, "posted"] = account.posted_tpp
            found[account.account, account.period, "reserved"] = account.reserved_tpp
        return Counter({place: tpp for place, tpp in found.items() if tpp})

    async def held_lines(self):
        return sum(account.held_lines for account in await self.accounts())

    async def overdue(self, minute):
        """How many reservations a tick of that minute would free."""
        return await self.redis.zcount(self.keys.expiries, "-inf", minute * 60_000)

    async def alerts(self):
        entries = await self.redis.lrange(self.keys.outbox, 0, -1)
        return [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]

    async def waits(self):
        kept = await self.redis.hgetall(self.keys.waits)
        return {(source, event_id): why for source, event_id, why in map(json.loads, kept.values())}


async def open_desk(redis, ledger, policy="annual"):
    """A desk at a new ledger that adopted one of POLICIES."""
    desk = Desk(redis, ledger, POLICIES[policy])
    desk.rules = await adopt(redis, ledger, desk.policy)
    return desk


def shuffled(events, random):
    """In another order, some of them twice, cut into runs of three partitions."""
    records = random.sample(events, len(events)) + random.choices(events, k=len(events) // 5)
    runs = []
    while records:
        count = random.choice((1, 2, 5, 40))
        runs.append((random.randrange(3), records[:count]))
        del records[:count]
    return runs
