"""Redis, modelled: the commands that posting, relaying and delivering use, their scripts, and going back in time.

Answers are those of redis-py in bytes; `test_redis_model.py` holds both answers and states against real servers. A name
in `off` switches one guard off, in the model alone: `guards.py` says what each is for.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from redis.exceptions import NoScriptError

import ledger.book
import streams.webhooks

UNKNOWN, AWAITED, NO_VERSION = b"\xff" * 14, bytes(14), bytes(7)
SCRIPT_FILES = [path for room in (ledger.book, streams.webhooks) for path in Path(room.__file__).parent.glob("*.lua")]
SCRIPTS = {hashlib.sha1(path.read_bytes()).hexdigest(): path.stem for path in SCRIPT_FILES}


# ruff: noqa: C901, PLR0911  scripts are told line by line, as they are written


class RedisModel:
    """One server.

    Args:
        off: the guards that are switched off.

    Attributes:
        data: key -> a dict (hash, sorted set, stream), a list or a tuple (lease: its holder, and until when).
        now_ms: its clock.
        states: every state it was in, oldest first.
    """

    def __init__(self, off: Iterable[str] = ()) -> None:
        self.data: dict = {}
        self.off = frozenset(off)
        self.now_ms = 0
        self.loaded = set(SCRIPTS.values())
        self.states: list[dict] = [{}]
        self._changed: set = set()

    def call(self, command, *args, **named):
        """Run one command; a state that it changed is remembered."""
        return self.remembering(lambda: getattr(self, command)(*args, **named))

    def remembering(self, change):
        """Do something; if it changed the state, remember that one too."""
        answer = change()
        if self._changed:
            copies = {key: self.data[key].copy() for key in self._changed if key in self.data}
            self.states.append(self.states[-1] | copies)
            self._changed.clear()
        return answer

    def go_back(self, number):
        """Fall back to an earlier state, and forget those after it and every script."""
        del self.states[number + 1 :]
        self.data = {key: value.copy() for key, value in self.states[-1].items()}
        self.loaded.clear()

    def _kept(self, key, nothing=MappingProxyType({})):
        return self.data.get(key) or nothing

    def _written(self, key, kind=dict):
        self._changed.add(key)
        return self.data.setdefault(key, kind())

    # ------------------------------------------------------------------------------------------------------- commands

    def hget(self, key, field):
        return self._kept(key).get(_b(field))

    def hmget(self, key, fields):
        kept = self._kept(key)
        return [kept.get(_b(field)) for field in fields]

    def hgetall(self, key):
        return dict(self._kept(key))

    def hset(self, key, field=None, value=None, mapping=None):
        kept = self._written(key)
        before = len(kept)
        for name, text in (mapping or {field: value}).items():
            kept[_b(name)] = _b(text)
        return len(kept) - before

    def hsetnx(self, key, field, value):
        if _b(field) in self._kept(key):
            return 0
        return self.hset(key, field, value)

    def hdel(self, key, *fields):
        found = [field for field in map(_b, fields) if field in self._kept(key)]
        for field in found:
            del self._written(key)[field]
        return len(found)

    def lrange(self, key, start, end):
        assert (start, end >= 0) == (0, True)
        return self._kept(key, [])[: end + 1]

    def xrange(self, key, first, last):
        assert first == last
        found = self._kept(key).get(_b(first))
        return [] if found is None else [(_b(first), dict(found))]

    def zrangebyscore(self, key, least, most, start, count):
        assert least == "-inf"
        found = sorted((score, member) for member, score in self._kept(key).items() if score <= most)
        return [member for _, member in found[start : start + count]]

    def time(self):
        return divmod(self.now_ms * 1000, 1_000_000)

    def together(self, commands):
        """A transaction."""
        return [getattr(self, command)(*args) for command, args in commands]

    def script_load(self, text):
        sha1 = hashlib.sha1(text.encode()).hexdigest()
        self.loaded.add(SCRIPTS[sha1])
        return sha1

    def evalsha(self, sha1, count, *told):
        name = SCRIPTS[sha1]
        if name not in self.loaded:
            raise NoScriptError("NOSCRIPT No matching script. Please use EVAL.")
        return getattr(self, f"_{name}")(told[:count], [_b(argument) for argument in told[count:]])

    # -------------------------------------------------------------------------------------------- scripts: ledger/book

    def _post_batch(self, keys, args):
        """As `post_batch.lua`."""
        ids, balances, _, _, meta, families, *_ = keys
        prev, checkpoint_of = int(args[1]), b"checkpoint:" + args[0]
        kept = self._kept(meta)
        if b"adopting" in kept:
            return [b"adopting", kept[b"adopting"]]
        if kept.get(b"adoption") != args[3]:
            return [b"policy", kept.get(b"adoption", b"")]
        checkpoint = int(kept.get(checkpoint_of, -1))
        if prev < checkpoint:
            return [b"behind", kept[checkpoint_of]]
        if checkpoint < prev and "compare-and-set" not in self.off:
            return [b"fenced", kept.get(checkpoint_of, b"-1")]

        fresh = [args[6][at : at + 21] for at in range(0, len(args[6]), 21)]
        if "ids" not in self.off and (known := self._known(ids, fresh, args[7])):
            return [b"known", *known]
        begin, stand = 13 + int(args[10]), self._kept(families)
        told = [(args[at], args[at + 1]) for at in range(begin, begin + 3 * int(args[11]), 3)]
        changed = [key for key, version in told if stand.get(key, NO_VERSION)[:7] != version]
        if changed and "family versions" not in self.off:
            return [b"families", *changed]
        today = kept.get(b"today", b"")
        rows = json.loads(args[8])
        writes, before, moved = self._moved_accounts(self._kept(balances), rows, args[9] == b"1", today.decode())
        if moved:
            return [b"accounts", today, *moved]

        if writes:
            self._written(balances).update(writes)
        if "one atomic call" in self.off:
            return Torn(lambda: self._post_rest(keys, args, before))
        return self._post_rest(keys, args, before)

    def _post_rest(self, keys, args, before):
        """What `post_batch.lua` writes beside the balances: in the same breath, unless that guard is off."""
        ids, _, journal, outbox, meta, families, expiries, waits, *bookings = keys
        chunks, entry = int(args[10]), 0
        booked = 13 + chunks + 3 * int(args[11])
        after = booked + len(bookings)
        fresh = [args[6][at : at + 21] for at in range(0, len(args[6]), 21)]
        sets = [(args[at], args[at + 2]) for at in range(13 + chunks, booked, 3)]
        if chunks:
            entry = int(self.hget(meta, "entries") or 0) + 1
            head = entry.to_bytes(5, "big")
            if fresh:
                self._written(ids).update({one[:12]: one[12:19] + head + one[19:] for one in fresh})
            fields = {
                b"partition": args[0], b"last": args[2], b"policy": args[4], b"posted_at": args[5],
                b"before": _cjson(before).encode(),
            }  # fmt: skip
            fields |= {b"chunk%d" % (number + 1): args[13 + number] for number in range(chunks)}
            if len(args) > after:
                fields[b"alerts"] = b"\n".join(args[after:])
            self._written(journal)[b"%d-0" % entry] = fields
            for key, packed in zip(bookings, args[booked:after], strict=True):
                if packed:
                    self._written(key, list).append(head + packed)
        if sets:
            self._written(families).update(sets)
        if args[12]:
            told = json.loads(args[12])
            self._note_waits(expiries, waits, told)
            if "awaited marks" not in self.off:
                for number in told["awaited"]:
                    self._written(ids)[sets[number][0]] = AWAITED
        if len(args) > after:
            self._written(outbox, list).extend(args[after:])
        self.hset(meta, b"checkpoint:" + args[0], args[2])
        if entry or args[0] != b"tick":
            self.hset(meta, "posted_at", args[5])
        if entry:
            self.hset(meta, "entries", entry)
        return [b"posted", entry]

    def _begin_day(self, keys, args):
        """As `begin_day.lua`."""
        meta, balances, outbox = keys
        kept, accounts = self._kept(meta), self._kept(balances)
        if b"adopting" in kept:
            return [b"adopting", kept[b"adopting"]]
        if kept.get(b"adoption") != args[0]:
            return [b"policy", kept.get(b"adoption", b"")]
        rows = json.loads(args[4])
        same = all(accounts.get(name.encode()) == expected.encode() for name, expected, _ in rows)
        if kept.get(b"today", b"") != args[1] or len(accounts) != int(args[3]) or not same:
            return [b"moved"]
        if rows:
            self._written(balances).update({name.encode(): to_write.encode() for name, _, to_write in rows})
        if args[5:]:
            self._written(outbox, list).extend(args[5:])
        self.hset(meta, "today", args[2])
        return [b"begun"]

    def _known(self, ids, fresh, told):
        """Ids that are known with another value than told."""
        pairs = [(told[at : at + 12], told[at + 12 : at + 26]) for at in range(0, len(told), 26)]
        said, kept = {key: value for key, value in pairs if value != UNKNOWN}, self._kept(ids)
        asked = [(one[:12], (None, AWAITED)) for one in fresh]
        if "saying what was told" not in self.off:
            asked += [(key, (kept.get(key),)) for key, _ in pairs]
        return [
            part
            for key, may_be in asked
            if kept.get(key) != said.get(key) or kept.get(key) not in may_be
            for part in (key, kept.get(key, b""))
        ]

    def _moved_accounts(self, kept, rows, reserved_counts, today):
        """What is to be written, what stood before, and the accounts of which it is not so."""
        writes, before, moved = {}, [], []
        for name, posted, reserved, held, lowest, highest, latest, expected, to_write, *measured_on in rows:
            field = name.encode()
            record = kept.get(field, b"").decode()
            written = None
            if expected is not None:
                same_day = measured_on == [today] or "the ledger's day" in self.off
                written = to_write if record == expected and same_day else None
            elif record:
                stood = record.split(" ", 6)
                used = int(stood[0]) + (int(stood[1]) if reserved_counts else 0)
                if used + lowest >= int(stood[3]) and used + highest < int(stood[4]):
                    newest = latest if latest and (stood[5] == "-" or stood[5] < latest) else stood[5]
                    sums = [int(stood[0]) + posted, int(stood[1]) + reserved, int(stood[2]) + held]
                    written = " ".join(map(str, [*sums, stood[3], stood[4], newest, stood[6]]))
            if written is None:
                moved += [field, record.encode()]
            else:
                writes[field] = written.encode()
                before.append([name, *(record.split(" ", 2)[:2] or ["0", "0"])] if record else [name, "0", "0"])
        return writes, before, moved

    def _note_waits(self, expiries, waits, told):
        for key, at in told["due"].items():
            if at is not None:
                self._written(expiries)[key.encode()] = float(at)
            elif key.encode() in self._kept(expiries):
                del self._written(expiries)[key.encode()]
        for key, text in told["waits"].items():
            if text is None:
                self.hdel(waits, key)
            else:
                self.hset(waits, key, text)

    def _remove_relayed(self, keys, args):
        """As `remove_relayed.lua`."""
        kept = self._kept(keys[0], [])
        for number, entry in enumerate(args):
            if kept[:1] != [entry] and ("conditional removal" not in self.off or not kept):
                return number
            kept = self._written(keys[0], list)
            del kept[0]
        return len(args)

    def _renew_lease(self, keys, args):
        """As `renew_lease.lua`."""
        holder, until_ms = self.data.get(keys[0], (None, 0))
        if holder not in (None, args[0]) and self.now_ms < until_ms:
            return 0
        self.data[keys[0]] = _Lease((args[0], self.now_ms + int(args[1])))
        self._changed.add(keys[0])
        return 1

    def _keep_settings(self, keys, args):
        """As `keep_settings.lua`, but for gaps: the modelled log forgets nothing."""
        meta, *copies = keys
        checkpoint = self.hget(meta, b"checkpoint:" + args[0]) or b"-1"
        if int(args[1]) != int(checkpoint):
            return [b"behind" if int(args[1]) < int(checkpoint) else b"fenced", checkpoint]
        for kind, name, value in json.loads(args[3]):
            copy = copies[["webhook", "key"].index(kind)]
            if value is None:
                self.hdel(copy, name)
            else:
                self.hset(copy, name, value)
        self.hset(meta, b"checkpoint:" + args[0], args[2])
        return [b"kept", args[2]]

    def _close_ledger(self, keys, args):
        """As `close_ledger.lua`."""
        kept = self._kept(keys[0])
        decided = int(kept.get(b"adoption", 0))
        if decided != int(args[0]) - 1:
            return [b"decided", decided]
        if b"adopting" not in kept:
            self.hset(keys[0], "adopting", args[1])
        return [b"closed", self.hget(keys[0], "adopting")]

    def _decide_adoption(self, keys, args):
        """As `decide_adoption.lua`."""
        meta, policies, adoptions, balances, outbox = keys
        name, kept, number = b"checkpoint:" + args[0], self._kept(meta), int(args[3])
        checkpoint, decided = kept.get(name, b"-1"), int(kept.get(b"adoption", 0))
        if int(checkpoint) < int(args[1]):
            return [b"fenced", checkpoint]
        if int(checkpoint) < int(args[2]):
            checkpoint = args[2]
        if args[4] == b"pass over" and decided >= number:
            self.hset(meta, name, checkpoint)
            return [b"kept", checkpoint]
        if decided != number - 1 or args[4] == b"pass over":
            return [b"moved"]
        if args[4] == b"adopt":
            if (kept.get(b"entries", b""), kept.get(b"today", b"")) != (args[9], args[11]):
                return [b"moved"]
            if late := _late(kept, json.loads(args[8])):
                return [b"late", *late]
            rows = json.loads(args[10])
            if any(self.hget(balances, field) != expected.encode() for field, expected, _ in rows):
                return [b"moved"]
            for field, _, record in rows:
                self.hset(balances, field, record)
            if len(args) > 13:
                self._written(outbox, list).extend(args[13:])
            if args[12]:
                self.hset(meta, "today", args[12])
            self.hset(policies, args[5], args[6])
            self.hset(adoptions, args[3], args[7])
            self.hset(meta, "policy", args[5])
        self.hset(meta, mapping={"adoption": args[3], name: checkpoint})
        self.hdel(meta, "adopting")
        return [b"kept", checkpoint]

    # --------------------------------------------------------------------------------------- scripts: streams/webhooks

    def _deliver_batch(self, keys, args):
        """As `deliver_batch.lua`."""
        meta, alerts, alert_ids, webhooks, jobs, sequences, *due = keys
        name, prev = b"checkpoint:" + args[0], int(args[1])
        checkpoint = int(self.hget(meta, name) or -1)
        if prev != checkpoint:
            return [b"behind" if prev < checkpoint else b"fenced", checkpoint]
        chosen_from, kept = json.loads(args[5]), self._kept(webhooks)
        read = b"".join(kept.get(webhook.encode(), b"") + b"\0" for webhook in chosen_from)
        if len(kept) != len(chosen_from) or hashlib.sha1(read).hexdigest().encode() != args[6]:
            return [b"changed"]
        new = jobs_made = 0
        for at in range(7, len(args), 7):
            offset, alert, kind, country, text, positions, urgent = args[at : at + 7]
            if not self.hsetnx(alert_ids, alert, offset):
                continue
            entry = f"{int(offset) + 1}-0"
            is_urgent, since = urgent == b"1", int(args[3]) + new / 1000
            self._written(alerts)[entry.encode()] = {b"kind": kind, b"country": country, b"alert": text}
            for position in map(int, positions.split()):
                webhook = chosen_from[position - 1]
                sequence = int(self.hget(sequences, webhook) or 0) + 1
                self.hset(sequences, webhook, sequence)
                job = {
                    "webhook_id": webhook, "alert_id": alert.decode(), "entry": entry, "since_ms": int(args[3]),
                    "failed": 0, "claim": 0, "sequence": sequence,
                } | ({"urgent": True} if is_urgent else {})  # fmt: skip
                name_of_job = f"{webhook}:{alert.decode()}"
                self.hset(jobs, name_of_job, _cjson(job))
                self._written(due[2 * position - 1 - is_urgent])[name_of_job.encode()] = since
                jobs_made += 1
            new += 1
        self.hset(meta, name, args[2])
        if args[4]:
            self.hset(meta, "told_until_ms", args[4])
        return [b"settled", new, jobs_made]


@dataclass(frozen=True)
class Torn:
    """A call of which only the first half is done: the guard that makes it one is off."""

    finish: Callable[[], list]


class _Lease(tuple):
    """A string with a time to live."""

    __slots__ = ()

    def copy(self):
        return self


def _late(meta, begins):
    """Records that a policy rules and that are settled already: partition, its checkpoint, where the policy begins."""
    topics = {partition.rpartition(":")[0] for partition in begins}
    for field, checkpoint in meta.items():
        kind, _, partition = field.decode().partition(":")
        if kind == "checkpoint" and partition.rpartition(":")[0] in topics:
            begin = begins.get(partition, 0)
            if int(checkpoint) >= begin:
                return [partition.encode(), checkpoint, str(begin).encode()]
    return []


def _cjson(value):
    """JSON as Redis' cjson writes it, but for the order of an object's names."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/")


def _b(value):
    if type(value) is bytes:
        return value
    return (value if type(value) is str else str(value)).encode()
