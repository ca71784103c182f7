"""resolve: a person's word on held lines, written as events. Which lines those are, it lists."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import typer

from ledger.book.family import Family
from ledger.book.read import Reader
from ledger.errors import LedgerError, WrongCall
from ledger.rules.adoptions import Rulebook
from ledger.rules.follower import EventKey
from ledger.rules.held import held_lots, waits_for_word, word_counts, word_is_wanted
from schemas.shipment_event import Line
from schemas.unsettled import HeldItems, HeldList
from streams.acts import resolution
from streams.api.answers import adopted_rules
from streams.cli.acts import Act, Acts, carry_out, look_at
from streams.cli.ledger_here import ask, settings_here
from streams.cli.tables import decision_table, held_table, show, show_json


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(resolve)


def resolve(
    source: Annotated[str | None, typer.Argument(help="The held event's source.")] = None,
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id under that source.")] = None,
    *,
    model: Annotated[str | None, typer.Option(help="The part, as the event states it.")] = None,
    tpp_each: Annotated[int | None, typer.Option(min=1, help="The TPP of one item.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why: a data sheet, an answer of the maker.")] = None,
    approved_by: Annotated[str | None, typer.Option(help="Who else agreed.")] = None,
    vendor: Annotated[str | None, typer.Option(help="The part's maker, where the model alone is not enough.")] = None,
    all_held: Annotated[bool, typer.Option("--all-held", help="Every held line of this part.")] = False,
    list_held: Annotated[bool, typer.Option("--list", help="Only list the held lines.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would come to; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One document, with the field names of HTTP.")] = False,
) -> None:
    """Say what held items are, so that they are booked, at the shipment's own date.

    One event is resolved by its source and id, every held line of a part with --all-held. What is said goes onto the
    topic as shipment.resolved events. Said again, it changes nothing; of several words on a part the last stands.
    """
    if list_held:
        settings = settings_here()
        found = ask(settings, lambda reader, _: _held(reader))
        show_json(found) if json else show(held_table(found))
        return
    if all_held == (event_id is not None):
        raise WrongCall("name one event by its source and id, or write --all-held; --list shows what is held")
    if model is None or tpp_each is None or actor is None or reason is None:
        raise WrongCall("state --model, --tpp-each, --actor and --reason; --list shows what is held")
    word: Line = {"vendor": vendor, "model": model, "tpp_each": tpp_each}
    settings = settings_here()
    one = (source, event_id) if source is not None and event_id is not None else None

    async def plan(reader: Reader, _: object) -> list[Act]:
        rules = await adopted_rules(reader)
        if one is None:
            families = [family async for family in _families(reader, rules) if word_is_wanted(family.settlement, word)]
        else:
            families = [await _known(reader, rules, one)]
            _refuse_useless(families[0], word)
        said = [
            resolution(
                family.original,
                [member.event for member in family.members],
                word=word,
                actor=actor,
                reason=reason,
                approved_by=approved_by,
            )
            for family in families
        ]
        return [await look_at(reader, event, rules.in_force) for event in said]

    acts = ask(settings, plan)
    if not acts:
        typer.echo(f"no line is held for want of the TPP of {model}; nothing is written", err=True)
    told = Acts(written=False, items=[act.told for act in acts]) if dry_run else carry_out(settings, acts)
    show_json(told) if json else show(decision_table(told.items))
    if not json:
        typer.echo(_in_short(acts, dry_run=dry_run), err=True)


async def _held(reader: Reader) -> HeldList:
    """Every held line."""
    rules = await adopted_rules(reader)
    return HeldList(items=[item async for family in _families(reader, rules) for item in _items(family)])


async def _families(reader: Reader, rules: Rulebook) -> AsyncIterator[Family]:
    """Every family with held lines."""
    _, held = await reader.unsettled()
    for name in held:
        yield await reader.family((name.source, name.id), rules)


def _items(family: Family) -> list[HeldItems]:
    settlement, (source, event_id) = family.settlement, family.original
    if settlement.standing is None:
        return []
    data = settlement.standing.event.data
    return [
        HeldItems(
            source=source,
            id=event_id,
            shipment_id=data.get("shipment_id"),
            country=data.get("destination") or "",
            line=lot.number,
            vendor=lot.line.get("vendor"),
            model=lot.line.get("model"),
            part=lot.item.part,
            quantity=lot.left,
            reason=reason,
            resolvable=waits_for_word(lot),
        )
        for lot, reason in held_lots(settlement)
    ]


async def _known(reader: Reader, rules: Rulebook, key: EventKey) -> Family:
    family = await reader.family(key, rules)
    if not family.known:
        raise LedgerError(f"{key[0]}#{key[1]} is not in the ledger: not sent, not read yet, or parked in the rejects")
    return family


def _refuse_useless(family: Family, word: Line) -> None:
    """Refuse a word that nothing would follow: the part is misspelt, or nothing is held for want of its TPP."""
    settlement, (source, event_id) = family.settlement, family.original
    if not word_counts(settlement, word):
        parts = [lot.line.get("model") or lot.item.part for lot, _ in held_lots(settlement) if waits_for_word(lot)]
        held = f"held for want of that are {', '.join(parts)}" if parts else "nothing of it is held for want of that"
        raise WrongCall(f"{source}#{event_id} has no line of {word.get('model')} without a known TPP; {held}")


def _in_short(acts: Sequence[Act], *, dry_run: bool) -> str:
    fresh = sum(not act.known for act in acts)
    said = f"; {len(acts) - fresh:,} were said before" if fresh < len(acts) else ""
    return f"{fresh:,} {'would be' if dry_run else 'are'} written{said}"
