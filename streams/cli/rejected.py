"""rejected: what could not be applied, why, and sending it in again by the front door."""

import base64
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, Literal

import typer

from ledger.book.read import Reader
from ledger.errors import WrongCall
from ledger.policy import Policy
from ledger.rules.judge import judge
from schemas.decision import Decision, Outcome
from schemas.parked_record import (
    ParkedHeader,
    ParkedOriginal,
    ParkedRecord,
    ParkedRecordList,
    Replay,
    ReplayList,
)
from schemas.rejected_record import REJECT_REASONS, RejectedRecord
from streams.api.answers import assessment_of, policy_in_force
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import ask, now, settings_here
from streams.cli.moment import read_moment
from streams.cli.reject_tables import parked_sheet, parked_table, replay_table, text_of
from streams.cli.tables import show, show_json
from streams.kafka.producer import LazyProducer
from streams.rejects import Reject, Replays, read_rejects
from streams.settings import Settings

REPLAY_MAX = 1_000
"""Records that one call sends in again: they are held in memory."""

PLACE = "TOPIC/PARTITION/OFFSET of the original, as `rejected list` shows it."


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="What could not be applied, and its way back in.", no_args_is_help=True)
    group.command("list")(list_rejected)
    group.command("show")(show_rejected)
    group.command("replay")(replay)
    app.add_typer(group, name="rejected")


def list_rejected(
    *,
    reason: Annotated[str | None, typer.Option(help="Only these, such as unknown_country.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was parked then or later, such as 2026-11-22T09:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
) -> None:
    """What was rejected, the newest at the end, and what became of it since."""
    _check_reason(reason)
    earliest = None if since is None else read_moment("--since", since)
    settings = settings_here()

    def asked_for(reject: Reject) -> bool:
        return (reason is None or reject.reason == reason) and (earliest is None or reject.parked_at >= earliest)

    found: deque[Reject] = deque(maxlen=limit)
    replays = Replays()
    for reject in read_rejects(settings):
        replays.note(reject)
        if asked_for(reject):
            found.append(reject)
    parked = ParkedRecordList(items=_told(settings, found, replays))
    show_json(parked) if json else show(parked_table(parked.items))


def show_rejected(
    place: Annotated[str, typer.Argument(help=PLACE)],
    *,
    json: Annotated[bool, typer.Option("--json", help="One document, the value in base64.")] = False,
) -> None:
    """One rejected record: its bytes and headers as they came, why it was rejected, what became of it."""
    settings = settings_here()
    (reject,), replays = _named(settings, [place])
    (record,) = _told(settings, [reject], replays)
    value = reject.value or b""
    original = ParkedOriginal(
        record=record,
        key_base64=None if reject.key is None else base64.b64encode(reject.key).decode(),
        headers=[ParkedHeader(name=name, value=value.decode("utf-8", "replace")) for name, value in reject.headers],
        value_base64=base64.b64encode(value).decode(),
        value_text=text_of(value),
        cut=reject.cut,
    )
    show_json(original) if json else show(parked_sheet(original, value))


def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="[PLACE...]", help=PLACE)] = None,
    *,
    reason: Annotated[str | None, typer.Option(help="Every one rejected for this reason.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what each would become; send nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
) -> None:
    """Send rejected records in again by the front door: the same bytes and headers, and one that names the reject.

    What is still wrong is rejected again. With --reason or --all, what the ledger holds by now is left out, and what
    was rejected again when it was replayed. A dry run ends with exit code 1 if anything would be rejected.
    """
    if sum((bool(places), reason is not None, everything)) != 1:
        raise WrongCall("name places, or a --reason, or say --all")
    _check_reason(reason)
    settings = settings_here()
    if places:
        named, _ = _named(settings, places)
        chosen = _foretold(settings, named)
    else:
        chosen = _every(settings, reason)
    sent = [reject for reject, one in chosen if one.becomes != "left"]
    if sent and not dry_run:
        _send(settings, sent)
    answer = ReplayList(written=bool(sent) and not dry_run, items=[one for _, one in chosen])
    show_json(answer) if json else show(replay_table(answer))
    if len(chosen) == REPLAY_MAX:
        typer.echo(f"these are the first {REPLAY_MAX:,}; repeat this for the others", err=True)
    if dry_run and any(one.becomes in ("rejected", "left") for one in answer.items):
        raise typer.Exit(FOUND_WRONG)


def _check_reason(reason: str | None) -> None:
    if reason is not None and reason not in REJECT_REASONS:
        raise WrongCall(f"--reason: {reason!r} is none of {', '.join(REJECT_REASONS)}")


def _named(settings: Settings, places: Sequence[str]) -> tuple[list[Reject], Replays]:
    """The rejects of these places, and what replays became."""
    found: dict[str, Reject] = {}
    replays = Replays()
    for reject in read_rejects(settings):
        replays.note(reject)
        if reject.place in places:
            found[reject.place] = reject
    if missing := [place for place in places if place not in found]:
        raise WrongCall(f"{missing[0]} is no rejected record; `quota-ledger rejected list` shows them")
    return list(found.values()), replays


def _every(settings: Settings, reason: str | None) -> "list[tuple[Reject, Replay]]":
    """The first of all that are worth sending in again, with what they would become."""
    replays = Replays()
    for reject in read_rejects(settings):
        replays.note(reject)
    left = (
        reject
        for reject in read_rejects(settings)
        if reject.place not in replays.became and (reason is None or reject.reason == reason)
    )
    chosen: list[tuple[Reject, Replay]] = []
    while len(chosen) < REPLAY_MAX and (part := list(islice(left, REPLAY_MAX))):
        chosen += [told for told in _foretold(settings, part) if told[1].becomes in ("taken", "rejected")]
    return chosen[:REPLAY_MAX]


def _told(settings: Settings, rejects: Sequence[Reject], replays: Replays) -> list[ParkedRecord]:
    """Rejects with what became of them."""

    async def question(reader: Reader, _: object) -> list[ParkedRecord]:
        return [await _parked(reader, reject, settings.topic_shipments, replays) for reject in rejects]

    return ask(settings, question)


async def _parked(reader: Reader, reject: Reject, topic: str, replays: Replays) -> ParkedRecord:
    known, outcome = await _known(reader, reject, topic)
    return ParkedRecord(
        place=reject.place,
        reason=reject.reason,
        detail=reject.detail,
        event_key=reject.event_key,
        parked_at=reject.parked_at,
        size_bytes=len(reject.value or b""),
        replay_of=reject.replay_of,
        rejected_again=replays.became.get(reject.place),
        known=known,
        outcome=outcome,
    )


async def _known(reader: Reader, reject: Reject, topic: str) -> tuple[Literal["same", "other"] | None, Outcome | None]:
    """Whether the ledger holds an event of a reject's key, if that says the same, and what it made of it."""
    try:
        event = reject.event(topic)
    except RejectedRecord:  # its key may have been read all the same; a source hardly ever holds a #
        source, _, event_id = (reject.event_key or "").partition("#")
        decision = await reader.decision(source, event_id)
        return ("other", decision.outcome) if decision is not None else (None, None)
    decision = await reader.decision(event.source, event.id)
    if decision is None:
        return None, None
    return "same" if decision.event_sha256 == event.content_sha256() else "other", decision.outcome


def _foretold(settings: Settings, rejects: Sequence[Reject]) -> "list[tuple[Reject, Replay]]":
    """Rejects with what they would become if they were sent in now."""

    async def question(reader: Reader, _: object) -> list[tuple[Reject, Replay]]:
        policy = await policy_in_force(reader)
        return [(reject, await _foretell(reader, reject, settings.topic_shipments, policy)) for reject in rejects]

    return ask(settings, question)


async def _foretell(reader: Reader, reject: Reject, topic: str, policy: Policy) -> Replay:
    def becomes(what: Literal["taken", "repeated", "rejected", "left"], told: str) -> Replay:
        return Replay(place=reject.place, event_key=reject.event_key, becomes=what, told=told)

    if not reject.whole:
        return becomes("left", "it does not lie here whole; the original lies where its place says, if anywhere")
    known, outcome = await _known(reader, reject, topic)
    if known == "same":
        return becomes("repeated", f"the ledger holds it already: {outcome}")
    try:
        event = reject.event(topic, now())
        judge(event, policy)
    except RejectedRecord as rejected:
        return becomes("rejected", f"{rejected.reason}: {rejected.detail}")
    except Exception as failure:  # noqa: BLE001  a fault of ours: a worker would reject it too
        return becomes("rejected", f"internal_error: {failure!r}")
    if known == "other":
        return becomes("rejected", "conflict: the ledger holds an event of this key with another content")
    return becomes("taken", _in_short(await assessment_of(reader, event, policy, now())))


def _in_short(decision: Decision) -> str:
    parts = [f"{charge.tpp:+,} TPP on {charge.account} in {charge.period}" for charge in decision.charges]
    parts += [f"line {held.line + 1} is held: {held.reason}" for held in decision.held]
    return "; ".join(parts) or "nothing is charged"


def _send(settings: Settings, rejects: Iterable[Reject]) -> None:
    producer = LazyProducer(settings)
    try:
        producer.send_all(settings.topic_shipments, (reject.outgoing() for reject in rejects))
    finally:
        producer.close()
