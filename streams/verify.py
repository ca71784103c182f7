"""Comparing a ledger with its topics: what Redis holds, with what follows from shipments, rejects, alerts and settings.

Everything is compared as of one moment, the auditor's `Cut`, whether or not workers run. What must hold is recomputed
by `ledger/replay`; here the topics are read up to the cut, and each part of Redis is held against them. Writes nothing.

Memory grows as `Recomputation` says, with the number of rejects and alerts (about 150 bytes each), and with accounts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from pydantic import ValidationError

from ledger.book.account import AccountBalance, field_of
from ledger.book.audit import Audit, Booked, Cut
from ledger.book.family import minute_of
from ledger.book.gap import read_gap
from ledger.book.judged import Judged, Unfit
from ledger.book.position import NONE, partition_name
from ledger.book.remeasure import misjudged
from ledger.book.setting import Setting
from ledger.errors import LedgerError, PositionLost
from ledger.replay.verify import Amounts, Place, Recomputation, Recomputed
from ledger.rules.adoptions import Rulebook, Yardstick
from schemas.accepted_gap import AcceptedGap
from schemas.quota_alert import QuotaAlert
from schemas.verification import AccountAmounts, AccountDifference, Finding, Verification, What
from streams.debit_shipments import judge
from streams.kafka.log_reader import open_log
from streams.kafka.read_log import Log
from streams.kafka.run import Record, Run
from streams.rejects import read_rejects
from streams.settings import Settings

SHOWN_MAX = 100
"""Findings of one sort, and notes, that are told one by one; the others are counted."""

_AT_ONCE = 500

Item = TypeVar("Item")

Progress = Callable[[str, int, int], None]
"""Told what is being read, how many records of it are, and how many there are."""


@dataclass(slots=True)
class _Findings:
    """What is wrong: all counted, the first of each sort kept."""

    counts: dict[What, int] = field(default_factory=dict)
    kept: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    noted: int = 0

    def add(self, what: What, name: str, told: str) -> None:
        """Something is wrong."""
        self.counts[what] = self.counts.get(what, 0) + 1
        if self.counts[what] <= SHOWN_MAX:
            self.kept.append(Finding(what=what, name=name, told=told))

    def note(self, what: What, name: str, told: str) -> None:
        """Something should be known."""
        self.noted += 1
        if self.noted <= SHOWN_MAX:
            self.notes.append(Finding(what=what, name=name, told=told))


class Verifier:
    """One verification. Blocks while it reads topics, so nothing else should run in its loop.

    Args:
        settings: of the ledger.
        audit: its Redis.
        rules: its adoptions.
        progress: told how far the reading is.

    Raises:
        LedgerUnavailable: Redis or Kafka does not answer.
        PositionLost: the log is shorter than what the ledger has applied: it is another one.
    """

    def __init__(self, settings: Settings, audit: Audit, rules: Rulebook, progress: Progress) -> None:
        self._settings = settings
        self._audit = audit
        self._rules = rules
        self._progress = progress
        self._findings = _Findings()
        self._records = 0

    async def verify(self) -> Verification:
        """Compare everything."""
        related = await self._audit.originals()
        cut = await self._audit.cut()
        spans = self._spans(cut)
        rejects = self._rejects()
        parked = {place for place, reason in rejects.items() if reason != "conflict"}
        recomputation = Recomputation(self._rules, self._settings.topic_shipments, related=related, parked=parked)
        self._read(recomputation, spans)
        told = await self._settle(recomputation, cut)
        accounts = await self._accounts(cut, told)
        self._levels(cut)
        await self._ids(recomputation, cut, told)
        await self._families(cut, told)
        self._waits(cut, told)
        self._missing_rejects(told, rejects)
        alert_count = await self._alerts(cut)
        findings = self._findings
        return Verification(
            right=not accounts and not findings.counts,
            records=self._records,
            events=recomputation.event_count,
            rejects=len(told.unfit),
            alerts=alert_count,
            checkpoints=dict(cut.checkpoints),
            tick=cut.tick,
            accounts=accounts,
            findings=findings.kept,
            counts=findings.counts,
            notes=findings.notes,
            noted=findings.noted,
        )

    # ------------------------------------------------------------------------------------------------ Reading topics

    def _spans(self, cut: Cut) -> dict[int, int]:
        """Of each partition the offset after the last that is settled; what cannot be read again is told."""
        topic = self._settings.topic_shipments
        with open_log(self._settings) as log_reader:
            begins, ends = log_reader.begins(topic), log_reader.ends(topic)
            gaps = _gaps(log_reader.records(self._settings.topic_settings))
        given_up = dict.fromkeys(begins, 0)
        for gap in gaps:
            if gap.first <= given_up.get(gap.partition, -1):
                given_up[gap.partition] = max(given_up[gap.partition], gap.last + 1)
        spans = {}
        for partition, end in ends.items():
            settled = cut.checkpoints.get(partition, NONE) + 1
            if settled > end:
                raise PositionLost(
                    f"{partition}: the log ends at {end}, but the ledger has applied {settled - 1}", partition
                )
            if min(begins[partition], settled) > given_up[partition]:
                told = f"it begins at {begins[partition]} now: what the ledger applied before cannot be recomputed"
                self._findings.add("log", partition, told)
            spans[int(partition.rpartition(":")[2])] = settled
        return spans

    def _rejects(self) -> dict[Place, str]:
        """Where the originals of all rejects lie, and why they were rejected."""
        rejects = {}
        for reject in read_rejects(self._settings):
            _, partition, offset = reject.place.rsplit("/", 2)
            rejects[int(partition), int(offset)] = reject.reason
        return rejects

    def _read(self, recomputation: Recomputation, spans: dict[int, int]) -> None:
        for partition, run in self._runs("reading", spans):
            for item in self._judged(partition, run):
                if isinstance(item, Unfit):
                    recomputation.refuse(partition, item.offset)
                else:
                    recomputation.take(partition, item)
            self._records += len(run.records)
        if not recomputation.wants_again:
            return
        for partition, run in self._runs("reading again what is tied to others", spans):
            for item in self._judged(partition, run):
                if not isinstance(item, Unfit):
                    recomputation.take_again(partition, item)

    def _judged(self, partition: int, run: Run) -> Iterator[Judged | Unfit]:
        named = partition_name(run.topic, partition)
        for policy, records in self._rules.stretches(named, run.records):
            yield from judge(replace(run, records=records), policy)

    def _runs(self, what: str, spans: dict[int, int]) -> Iterator[tuple[int, Run]]:
        topic, done, total = self._settings.topic_shipments, 0, sum(spans.values())
        for partition, end in sorted(spans.items()):
            with Log(self._settings, topic, {partition: end}) as log:
                for records in _parts(log):
                    yield partition, Run(topic, partition, NONE, records)
                    self._progress(what, done + records[-1].offset + 1, total)
            done += end

    # ------------------------------------------------------------------------------------------------------ Comparing

    async def _settle(self, recomputation: Recomputation, cut: Cut) -> Recomputed:
        standing: dict[bytes, Place] = {}
        for keys in _parts(recomputation.open_keys()):
            for key, known in zip(keys, await self._audit.known(keys), strict=True):
                if known is None or known.content_digest is None or known.entry > cut.entries:
                    continue
                try:
                    partition, offset = await self._audit.record_of(known)
                except LedgerError as failure:
                    self._findings.add("id", key.hex(), str(failure))
                    continue
                standing[key] = int(partition.rpartition(":")[2]), offset
        told = recomputation.settle(standing=standing, minute=minute_of(cut.tick), not_expired=cut.expiries)
        for source, event_id in told.disputed:
            told_of = "partitions disagree on what it says, or on the policy that rules it; the ledger's word is taken"
            self._findings.note("id", f"{source}#{event_id}", told_of)
        for (source, event_id), place in told.taken_now:
            told_of = f"{source}#{event_id} was rejected, and would be taken now: replay it"
            self._findings.note("reject", self._name(place), told_of)
        return told

    async def _accounts(self, cut: Cut, told: Recomputed) -> list[AccountDifference]:
        booked, wrong = await self._audit.booked(cut)
        for entry in wrong:
            self._findings.add("journal", "entries", entry)
        for name in sorted(cut.unreadable):
            self._findings.add("balance", name, "it cannot be read")
        differing = []
        for name in sorted({*(field_of(*account) for account in told.balances), *cut.balances, *booked}):
            account, _, period = name.rpartition("|")
            expected = told.balances.get((account, period), Amounts())
            found = cut.balances.get(name, AccountBalance(account, period))
            sums = booked.get(name, Booked())
            kept = Amounts(found.posted_tpp, found.reserved_tpp, found.held_lines)
            tpp = (kept.posted_tpp, kept.reserved_tpp)
            if kept != expected or not tpp == sums.journal == sums.index or sums.breaks is not None:
                differing.append(
                    AccountDifference(
                        account=account,
                        period=period,
                        expected=_amounts(expected),
                        found=_amounts(kept),
                        journal=_sums(sums.journal),
                        bookings=_sums(sums.index),
                        breaks_at=sums.breaks,
                    )
                )
        return differing

    def _levels(self, cut: Cut) -> None:
        """Every account to which something was shipped has noted the levels that it stands past."""
        if cut.adoption != self._rules.number:
            self._findings.note("level", "accounts", "a policy was adopted meanwhile: they are compared the next time")
            return
        measure = Yardstick(self._rules, cut.today)
        for name, balance in sorted(cut.balances.items()):
            if wrong := misjudged(balance, measure):
                self._findings.add("level", name, wrong)

    async def _ids(self, recomputation: Recomputation, cut: Cut, told: Recomputed) -> None:
        """Every event that the log holds is known by its content, and no other is."""
        for keys in _parts(recomputation.known()):
            for key, known in zip(keys, await self._audit.known(keys), strict=True):
                if known is not None and known.content_digest in recomputation.known_as(key):
                    continue
                why = (
                    "is known with another content" if known and known.content_digest else "is not known to the ledger"
                )
                self._findings.add("id", self._name(recomputation.place_of(key)), f"the event of this record {why}")
        for keys in _parts(told.awaited):
            for key, known in zip(keys, await self._audit.known(keys), strict=True):
                if known is None:
                    self._findings.add("id", key.hex(), "it is named by others, and not awaited")
        async for part in self._audit.ids():
            for key, known in part.items():
                if known.content_digest is not None and known.entry <= cut.entries and not recomputation.known_as(key):
                    told_of = (
                        f"the ledger knows this event, from journal entry {known.entry}, and the log does not hold it"
                    )
                    self._findings.add("id", key.hex(), told_of)

    async def _families(self, cut: Cut, told: Recomputed) -> None:
        """Every family holds its events; what has joined it since the cut is newer."""
        for originals in _parts(told.families):
            for original, found in zip(originals, await self._audit.families(originals), strict=True):
                expected = told.families[original]
                if found is None:
                    self._findings.add("family", original.hex(), "it is missing, or not what was written")
                elif missing := expected.keys() - found.keys():
                    told_of = f"{len(missing)} of its {len(expected)} events are missing"
                    self._findings.add("family", original.hex(), told_of)
                elif changed := [key for key, said in expected.items() if found[key] != said]:
                    told_of = f"{len(changed)} of its {len(expected)} events are not as the log has them"
                    self._findings.add("family", original.hex(), told_of)
                elif more := sorted(found.keys() - expected.keys()):
                    known = await self._audit.known(more)
                    if any(one is None or one.entry <= cut.entries for one in known):
                        self._findings.add("family", original.hex(), "it holds events that do not name it")

    def _waits(self, cut: Cut, told: Recomputed) -> None:
        """What waits, and when reservations expire, as it is in the cut."""
        expected = {key: (*event, why) for key, (event, why) in told.waits.items()}
        for key in sorted({*expected, *cut.waits}):
            wanted, found = expected.get(key), cut.waits.get(key)
            if wanted != found:
                source, event_id, _ = wanted or found or ("", "", "")
                states = f"{found[2] if found else 'settled'}, and it is to be {wanted[2] if wanted else 'settled'}"
                self._findings.add("wait", f"{source}#{event_id}", f"the ledger has it as {states}")
        due = {key: int(moment.timestamp() * 1000) for key, moment in told.due.items()}
        for key in sorted({*due, *cut.expiries}):
            if due.get(key) != cut.expiries.get(key):
                moment = told.due.get(key, "never")
                self._findings.add(
                    "expiry", key.hex(), f"this reservation is to expire {moment}, and is kept otherwise"
                )

    def _missing_rejects(self, told: Recomputed, rejects: Mapping[Place, str]) -> None:
        for partition, offset in sorted(told.unfit - rejects.keys()):
            told_of = f"it cannot be applied, and is not on {self._settings.topic_rejected}"
            self._findings.add("reject", self._name((partition, offset)), told_of)

    async def _alerts(self, cut: Cut) -> int:
        """The feed holds each alert of the topic once, as it lies there first; returns how many lie there."""
        topic, seen, count, begin = self._settings.topic_alerts, set[str](), 0, 0
        end = cut.checkpoints.get(partition_name(topic, 0), NONE) + 1
        with open_log(self._settings) as log_reader:
            if end > (there := log_reader.ends(topic).get(partition_name(topic, 0), 0)):
                told = f"it ends at {there}, but alerts were taken over up to {end - 1}: the next ones would be lost"
                self._findings.add("log", partition_name(topic, 0), told)
        with Log(self._settings, topic, {0: end}) as log:
            for records in _parts(log):
                expected: dict[int, bytes] = {}
                for record in records:
                    with suppress(ValidationError):
                        alert = QuotaAlert.model_validate_json(record.value or b"")
                        count += 1
                        if alert.alert_id not in seen:
                            seen.add(alert.alert_id)
                            expected[record.offset] = record.value or b""
                last = records[-1].offset
                await self._compare_feed(expected, begin, last)
                begin = last + 1
                self._progress("reading alerts", begin, end)
        await self._compare_feed({}, begin, end - 1)
        for name in await self._audit.alerts_behind(end - 1, cut.last_alert):
            told = "this entry of the feed comes from no alert that was taken over from the topic"
            self._findings.add("alert", name, told)
        return count

    async def _compare_feed(self, expected: Mapping[int, bytes], first: int, last: int) -> None:
        """Compare the part of the feed whose records lie from `first` to `last`."""
        found = await self._audit.alerts(first, last) if first <= last else {}
        for offset in sorted({*expected, *found}):
            if expected.get(offset) != found.get(offset):
                name = f"{self._settings.topic_alerts}/0/{offset}"
                told = "is missing in Redis" if offset not in found else "in Redis is not what lies on the topic"
                self._findings.add("alert", name, f"this alert {told}")

    def _name(self, place: Place) -> str:
        return f"{self._settings.topic_shipments}/{place[0]}/{place[1]}"


def _gaps(records: Iterable[Record]) -> list[AcceptedGap]:
    """The gaps that were accepted, by their beginning."""
    gaps = []
    for record in records:
        with suppress(ValueError):
            gaps.append(read_gap(Setting((record.key or b"").decode("utf-8", "replace"), record.value)))
    return sorted(filter(None, gaps), key=lambda gap: gap.first)


def _amounts(amounts: Amounts) -> AccountAmounts:
    return AccountAmounts(
        posted_tpp=amounts.posted_tpp, reserved_tpp=amounts.reserved_tpp, held_lines=amounts.held_lines
    )


def _sums(booked: tuple[int, int]) -> AccountAmounts:
    return AccountAmounts(posted_tpp=booked[0], reserved_tpp=booked[1])


def _parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The same items, some hundred at a time."""
    following = iter(items)
    while part := list(islice(following, _AT_ONCE)):
        yield part
