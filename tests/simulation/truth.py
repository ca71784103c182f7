"""What must hold: after every write of Redis, and exactly, once everything is healed.

Reckoned from what producers wrote and from `tests/reckoning.py`; the ledger's own words are only asked which of two
contradicting events on different partitions it took, and under which policy, and whether that could be.
"""

import json
from collections import Counter, defaultdict
from functools import lru_cache

from ledger.book import bookings
from ledger.book.account import account_of
from ledger.book.bookings import RESERVED
from ledger.book.family import minute_number, minute_of
from ledger.book.ids import AWAITED, content_of, place_of
from ledger.book.journal import unpack
from ledger.book.keys import Keys
from ledger.book.today import read_day
from ledger.rules.adoptions import Rulebook, Yardstick
from ledger.rules.alerts import ALERT_KINDS, alert_id, notice_alerts
from ledger.rules.assessment import Assessment
from ledger.rules.judge import judge
from schemas.adoption import Adoption
from schemas.cloudevents import read_event
from tests import reckoning

KEYS = Keys("sim")


class Broken(BaseException):
    """A promise that does not hold. No product code may catch it."""


class Truth:
    """What was produced, what was told, and what therefore must be."""

    def __init__(self, world) -> None:
        self._world = world
        self._sent = defaultdict(list)
        self._contents = {}
        self._parked = defaultdict(dict)
        self._told = {}
        self._entries = {}

    def produced(self, sent) -> None:
        """A record is on the log."""
        self._sent[sent.partition].append(sent)
        if sent.event is not None:
            self._contents[sent.key_digest, sent.content_digest] = sent.content

    def wrote(self, topic, record) -> None:
        """The ledger wrote a record: a reject or an alert."""
        if topic == "shipments.rejected":
            headers = dict(record.headers)
            parked = self._parked[int(headers["quota-partition"])]
            parked[int(headers["quota-offset"])] = headers["quota-reason"].decode()
        elif topic == "alerts":
            alert = json.loads(record.value)
            _expect(_gist(self._told.setdefault(alert["alert_id"], alert)) == _gist(alert), "one id, two alerts", alert)

    # ------------------------------------------------------------------------------------------- after every write

    def check(self) -> None:
        """What holds at every moment."""
        data = self._world.redis.data
        self._check_settled(data.get(KEYS.meta, {}), data.get(KEYS.ids, {}))
        sums, told = defaultdict(int), set()
        for fields in data.get(KEYS.journal, {}).values():
            charged, alerts = self._read(fields)
            for place, tpp in charged.items():
                sums[place] += tpp
            told |= alerts
        _expect(self._balances() == _without_zeros(sums), "a balance is not the sum of its entries", sums)
        waiting = {_id_of(entry) for entry in data.get(KEYS.outbox, ())}
        _expect(told <= waiting | self._told.keys(), "an alert is neither on its topic nor on its way", told - waiting)

    def _check_settled(self, meta, ids) -> None:
        for partition, records in self._sent.items():
            checkpoint = int(meta.get(b"checkpoint:shipments:%d" % partition, -1))
            parked = self._parked[partition]
            for sent in records:
                if sent.offset > checkpoint:
                    break
                if sent.offset in parked:
                    continue
                remembered = ids.get(sent.key_digest, b"") if sent.event else b""
                if self._contents.get((sent.key_digest, content_of(remembered))) != sent.content:
                    raise Broken(f"passed by the checkpoint, but neither booked nor parked: {_name(sent)}")

    def _read(self, fields):
        """The sums and the alert ids of one journal entry, read once."""
        found = self._entries.get(id(fields))
        if found is None or found[0] is not fields:
            names = [name for name, _, _ in json.loads(fields[b"before"])]
            sums = Counter()
            for number in range(len(fields)):
                if (chunk := fields.get(b"chunk%d" % (number + 1))) is None:
                    break
                for event in unpack(chunk):
                    for account, tpp in event.charges:
                        sums[names[account % RESERVED], "reserved" if account >= RESERVED else "posted"] += tpp
            alerts = {_id_of(line) for line in fields.get(b"alerts", b"").splitlines()}
            found = self._entries[id(fields)] = fields, sums, alerts
        return found[1:]

    def _balances(self):
        found = {}
        for field, record in self._world.redis.data.get(KEYS.balances, {}).items():
            posted, reserved, _ = record.split(b" ", 2)
            found[field.decode(), "posted"], found[field.decode(), "reserved"] = int(posted), int(reserved)
        return _without_zeros(found)

    # ----------------------------------------------------------------------------------------------------- at the end

    def check_end(self) -> None:
        """What holds when all is healed and everything has been settled."""
        self.check()
        events, policies = self._standing()
        balances, held, waits = self._reckoned(list(events.values()), policies)
        _expect(
            self._balances() == balances,
            "balances are not what is reckoned by hand",
            _apart(self._balances(), balances),
        )
        kept = self._world.redis.data.get(KEYS.waits, {})
        found = {(source, name): why for source, name, why in map(json.loads, kept.values())}
        _expect(found == waits, "not the same waits as is reckoned by hand", _apart(found, waits))
        if set(policies.values()) == {"annual"}:  # every day has its period
            lines = sum(account_of(*one).held_lines for one in self._world.redis.hgetall(KEYS.balances).items())
            _expect(lines == held, "not as many lines are held as is reckoned by hand", (lines, held))
        _expect(self._booked() == balances, "an account's bookings do not come to its balance", balances)
        self._check_rejects(events)
        self._check_levels()
        expected = self._alerts_due(events)
        _expect(expected.keys() <= self._told.keys(), "an alert was never told", _missing(expected, self._told))
        taken_over = self._world.redis.data.get(KEYS.alert_ids, {})
        lacking = {name for name in self._told if name.encode() not in taken_over}
        _expect(not lacking, "an alert on its topic was not taken over", lacking)

    def _standing(self):
        """What the ledger took of each event: its content and its policy. Which could be is known here."""
        said, rules = defaultdict(lambda: defaultdict(list)), self._rules()
        for partition, records in self._sent.items():
            for sent in records:
                if sent.event is not None:
                    said[sent.key][partition].append(sent)
        data, events, policies = self._world.redis.data, {}, {}
        posted = {key for key, value in data.get(KEYS.ids, {}).items() if value != AWAITED}
        for key, by_partition in said.items():
            first = [records[0] for records in by_partition.values()]
            value = data[KEYS.ids][first[0].key_digest]
            posted.discard(first[0].key_digest)
            place = place_of(value)
            entry = data[KEYS.journal][b"%d-0" % int.from_bytes(place[:5], "big")]
            kept = list(unpack(entry[b"chunk1"]))[int.from_bytes(place[5:], "big")]
            sha256 = entry[b"policy"].decode()
            could = [
                sent
                for records in by_partition.values()
                for sent in records
                if sent.content in {one.content for one in first if one.partition == sent.partition}
                and rules.policy(rules.ruling(f"shipments:{sent.partition}", sent.offset).policy_sha256).sha256
                == sha256
            ]
            taken = next((sent for sent in could if sent.value == kept.value), None)
            _expect(taken is not None, "an event was taken that could not be", key)
            events[key], policies[key] = taken.event, "annual" if "annual" in rules.policy(sha256).id else "diffusion"
        _expect(not posted, "an event is known that nobody sent", posted)
        return events, policies

    def _reckoned(self, events, policies):
        at = minute_of(minute_number(self._world.now))
        balances, held, waits = Counter(), 0, {}
        for key, family in reckoning.families(events).items():
            found, lines, outcomes, _ = reckoning.reckon(key, family, lambda e: policies[reckoning.key_of(e)], at)
            for (account, period, state), tpp in found.items():
                balances[f"{account}|{period}", state] += tpp
            held += len(lines)
            waits |= {name: "waiting" for name, outcome in outcomes.items() if outcome == "waiting"}
            if lines:
                waits[key] = "held"
        return _without_zeros(balances), held, waits

    def _booked(self):
        sums = Counter()
        for field in self._world.redis.hgetall(KEYS.balances):
            for element in self._world.redis.data.get(KEYS.bookings(field.decode()), ()):
                for booking in bookings.unpack(element).bookings:
                    sums[field.decode(), "reserved" if booking.reserved else "posted"] += booking.tpp
        return _without_zeros(sums)

    def _check_rejects(self, events) -> None:
        partitions = defaultdict(set)
        for partition, records in self._sent.items():
            for sent in records:
                partitions[sent.key].add(partition)
        for partition, records in self._sent.items():
            for sent in records:
                reason = self._parked[partition].get(sent.offset)
                if sent.event is None:
                    _expect(reason not in (None, "conflict", "internal_error"), f"parked as {reason}", _name(sent))
                elif sent.event != events[sent.key]:
                    _expect(reason == "conflict", f"a contradiction, parked as {reason}", _name(sent))
                elif len(partitions[sent.key]) == 1:
                    _expect(reason is None, f"booked and parked as {reason}", _name(sent))

    def _alerts_due(self, events):
        """Alert id -> what it is: of notices, of rejects, of marks that stand crossed, and of the journal."""
        due = dict(self._notices_due(events))
        for records in self._sent.values():
            for sent in records:
                kind = "event.rejected" if sent.event is None else "event.conflict"
                if sent.event is None or sent.event != events[sent.key]:
                    due[alert_id(kind, f"shipments/{sent.partition}/{sent.offset}")] = _name(sent)
        due |= self._crossings_due()
        for fields in self._world.redis.hgetall(KEYS.journal).values():
            due |= dict.fromkeys(self._read(fields)[1], "in the journal")
        return due

    def _notices_due(self, events):
        policy = self._world.policies[0]  # an alert's id is the same under each
        for key, event in events.items():
            read = read_event(json.dumps(event).encode(), default_source="")
            judged = judge(read, policy)
            if isinstance(judged, Assessment):
                for alert in notice_alerts(read, judged, policy, self._world.now):
                    yield alert.alert_id, (alert.kind, key)

    def _crossings_due(self):
        measure, due = Yardstick(self._rules(), read_day(self._world.redis.hget(KEYS.meta, "today"))), {}
        for field, record in self._world.redis.hgetall(KEYS.balances).items():
            balance = account_of(field, record)
            since = measure.since(balance.account, balance.period)
            for mark, stands in balance.marks.items():
                level, what = (100, "exceeded") if mark == "over" else (int(mark), "near")
                kind = ALERT_KINDS.get((balance.account.partition(":")[0], what))
                if stands.crossed_at and kind:
                    due[alert_id(kind, balance.account, balance.period, level, since, stands.armed)] = (
                        kind,
                        field,
                        level,
                    )
        return due

    def _check_levels(self) -> None:
        """Each level that is reached by the cap of the ledger's day stands crossed, and none that is far from it."""
        policy = self._rules().in_force
        today = read_day(self._world.redis.hget(KEYS.meta, "today"))
        for field, record in self._world.redis.hgetall(KEYS.balances).items():
            balance = account_of(field, record)
            kind, _, country = balance.account.partition(":")
            if kind != "country" or balance.last_posted_at is None or not policy.counts_by(balance.period):
                continue
            first, last = policy.period_days(balance.period)
            standing = policy.standing(country, min(max(today, first), last))
            cap = standing.cap_tpp if standing.tier == 2 else None
            used = balance.posted_tpp + balance.reserved_tpp * policy.reserved_counts
            for level in policy.levels:
                must_stand = cap is not None and 100 * used >= level * cap
                may_stand = cap is not None and 100 * used > (level - 1) * cap
                _expect(
                    must_stand <= (level in balance.crossed) <= may_stand,
                    f"level {level} stands otherwise than by the cap of {today}",
                    (field, record, cap),
                )

    def _rules(self):
        kept = self._world.redis.data[KEYS.adoptions].values()
        adoptions = sorted(map(Adoption.model_validate_json, kept), key=lambda one: one.number)
        by_sha = {policy.sha256: policy for policy in self._world.policies}
        return Rulebook(adoptions[-1].number, adoptions, by_sha.__getitem__)


def _expect(holds, what, found):
    if not holds:
        raise Broken(f"{what}: {found}")


def _without_zeros(sums):
    return {place: tpp for place, tpp in sums.items() if tpp}


def _apart(found, expected):
    return {
        place: f"{found.get(place)}, reckoned {expected.get(place)}"
        for place in found.keys() | expected.keys()
        if found.get(place) != expected.get(place)
    }


def _missing(expected, found):
    return {name: what for name, what in expected.items() if name not in found}


@lru_cache(maxsize=4096)
def _id_of(entry):
    return json.loads(entry[entry.index(b" ") + 1 :])["alert_id"]


def _gist(alert):
    """What the same alert says whenever it is told: of a crossing the account, else the event."""
    crossing = alert["level"] is not None
    return [alert["kind"], *(alert[name] for name in (("account", "period", "level") if crossing else ("event_key",)))]


def _name(sent):
    what = f"{sent.event['id']} ({sent.content})" if sent.event else "a bad record"
    return f"{what} at shipments:{sent.partition}, offset {sent.offset}"
