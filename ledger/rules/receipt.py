"""The sentences of a decision: what the event says, what it charged, and how it stands among those tied to it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ledger.policy import Policy
from ledger.rules.assessment import SHOWN_MAX, AssessedLine, Assessment, ChargeDue
from ledger.rules.follower import Following
from ledger.rules.opening import opening
from ledger.rules.related import Related
from ledger.rules.tier import TIER_3
from schemas.decision import Charge, ChargeState, Status
from schemas.shipment_event import EventType, ShipmentEvent

_CLOSING: dict[Status, str] = {
    "prohibited": "shipments to Tier 3 are prohibited",
    "unlimited": "there is no cap",
    "exceeded": "over the cap",
    "exhausted": "the cap is used up",
    "near_cap": "near the cap",
    "open": "within the cap",
}
_COUNTED: dict[EventType, str] = {"shipment.reserved": "reserved", "compute.used": "not booked"}
_STATE: dict[ChargeState, str] = {"posted": "booked", "reserved": "reserved"}


def receipt(
    event: ShipmentEvent,
    judged: Assessment | Following,
    policy: Policy,
    *,
    related: Related,
    lines: Sequence[AssessedLine],
    booked: Sequence[ChargeDue],
    charges: Sequence[Charge],
    license_needed: bool | None,
) -> list[str]:
    """What a person is told of a decision.

    Args:
        event: what was stated.
        judged: what it is by itself.
        policy: under which.
        related: how it stands among the events that it is tied to.
        lines: its lines, as they count now.
        booked: all that it changed on accounts.
        charges: the same, as it is shown.
        license_needed: None where the policy does not say.
    """
    original = _printed(related.original)
    sentences = [opening(event, judged, original)]
    if event.type == "shipment.corrected":
        sentences.append(f"It states {original} anew.")
    sentences += _lines(event, lines, related)
    sentences += [_charge_in_words(charge, policy) for charge in charges]
    if sum(1 for due in booked if due.tpp) > len(charges):
        sentences.append("It counts in every later quarter too.")
    if isinstance(judged, Assessment):
        sentences += _of_the_goods(judged, license_needed, booked=bool(charges or related.share.charges))
    elif not charges and not related.share.charges:
        sentences.append("Nothing is booked.")
    sentences += _use(event, related)
    sentences += related.share.told
    sentences += _among_others(event, related, booked, policy)
    if isinstance(judged, Assessment):
        sentences += [f"Alert: {notice.message}" for notice in judged.notices]
    return sentences


def _lines(event: ShipmentEvent, lines: Sequence[AssessedLine], related: Related) -> Iterator[str]:
    """Each line: what it is, and, of the statement that stands, how much of it is left."""
    family, stated = related.family, event.data.get("lines") or ()
    held = dict(family.held) if family is not None and related.stands else {}
    left = {lot.number: lot.left for lot in family.lots} if family is not None and related.stands else {}
    for number, line in enumerate(lines):
        quantity = stated[number].get("quantity") or 0
        if event.type in ("shipment.returned", "shipment.cancelled"):
            said = f"{quantity:,} x {line.part}"
        elif event.type == "shipment.resolved":
            said = f"{line.part} has {line.tpp_each or 0:,} TPP, {line.eccn or 'below 3A090'}"
        else:
            said = _line_in_words(line, quantity, held.get(number), _COUNTED.get(event.type, "booked"))
            if left.get(number, quantity) < quantity:
                said += f"; {left[number]:,} of {quantity:,} are left"
        yield f"Line {number + 1}: {said}."


def _line_in_words(line: AssessedLine, quantity: int, held: str | None, counted: str) -> str:
    if held is not None:
        return f"{line.part} is held, {held}"
    if line.tpp is None or not line.tpp_each:
        return f"{line.part} has no TPP that counts"
    evidence = "as stated" if line.evidence == "stated" else f"evidence {line.evidence}"
    return (
        f"{quantity:,} x {line.part} at {line.tpp_each:,} TPP ({evidence}) are {line.tpp:,} TPP, "
        f"{line.eccn or 'below 3A090'}, {counted if line.booked else 'not booked'}"
    )


def _charge_in_words(charge: Charge, policy: Policy) -> str:
    sign = "-" if charge.tpp < 0 else "+"
    state = " (reserved)" if charge.state == "reserved" else ""
    name = f"{_name_of(charge.account, policy)} {charge.period}{state}"
    moved = f"{name}: {charge.before_tpp:,} {sign} {abs(charge.tpp):,} = {charge.after_tpp:,} TPP"
    if charge.cap_tpp:
        moved += f", {charge.after_tpp / charge.cap_tpp:.1%} of {charge.cap_tpp:,}"
    return f"{moved}: {_CLOSING[charge.status]}."


def _of_the_goods(assessment: Assessment, license_needed: bool | None, *, booked: bool) -> Iterator[str]:  # noqa: FBT001  three answers
    if not booked and assessment.case.channel not in assessment.case.policy.debit_country:
        yield f"The channel {assessment.case.channel} does not debit the country."
    if not booked:
        yield "Use is noted and never booked." if assessment.noted else "Nothing is booked."
    if assessment.tier == TIER_3 and assessment.items:
        yield "Prohibited: the destination or the buyer's headquarters is in Tier 3."
    if license_needed is not None:
        yield f"A licence is {'' if license_needed else 'not '}required."


def _use(event: ShipmentEvent, related: Related) -> Iterator[str]:
    """What became of the reservation that a shipment names."""
    family = related.reservation
    if family is None:
        return
    key = _printed((event.data.get("original_source") or event.source, event.data.get("original_id") or ""))
    if family.standing is None:
        yield f"{key}, which it names, is not known, or is none that can be used."
    elif related.use.charges:
        used, left = -related.use.charges[0].tpp, family.charges[0].tpp if family.charges else 0
        yield f"It uses {used:,} TPP of the reservation {key}, of which {left:,} TPP are left now."
    else:
        yield f"It uses nothing of {key}: that holds nothing for it."


def _among_others(event: ShipmentEvent, related: Related, booked: Sequence[ChargeDue], policy: Policy) -> Iterator[str]:
    """How the event stands now that others are known, and what is left of the whole."""
    family = related.family
    if family is None or family.standing is None or family.standing.event.type == "compute.used":
        return
    corrects = event.type == "shipment.corrected" and booked
    if not corrects and related.share.outcome in ("applied", "held", "void"):
        comes_to = _net([*related.share.charges, *related.use.charges])
        if comes_to != _net(booked):
            moved = ", ".join(
                f"{tpp:+,} TPP on {_name_of(account, policy)} {period}{' (reserved)' if state == 'reserved' else ''}"
                for (account, period, state), tpp in comes_to.items()
            )
            if booked:
                yield f"With all that is known now it comes to {moved or 'nothing'}: the rest was booked with others."
            else:
                yield f"It came to {moved} with another event, by which that is booked."
    changes = [
        f"{_printed(key)} {share.charges[0].tpp:+,} TPP"
        for key, share in family.shares.items()
        if share.charges and key != related.event
    ]
    if related.stands and changes:
        more = f" and {len(changes) - SHOWN_MAX} more" if len(changes) > SHOWN_MAX else ""
        yield f"Changed by {', '.join(changes[:SHOWN_MAX])}{more}."
    if family.expired_tpp:
        yield f"The reservation has expired: {family.expired_tpp:,} TPP that it still held are free."
    if len(family.shares) > 1:
        original = _printed(related.original)
        if family.charges:
            left = family.charges[0]
            yield f"{left.tpp:,} TPP of {original} are {_STATE[left.state]} now."
        else:
            yield f"Nothing of {original} stands now."


def _net(charges: Iterable[ChargeDue]) -> dict[tuple[str, str, ChargeState], int]:
    total: Counter[tuple[str, str, ChargeState]] = Counter()
    for charge in charges:
        total[charge.account, charge.period, charge.state] += charge.tpp
    return {place: tpp for place, tpp in total.items() if tpp}


def _name_of(account: str, policy: Policy) -> str:
    kind, _, country = account.partition(":")
    return policy.countries[country].name if kind == "country" and country in policy.countries else account


def _printed(key: tuple[str, str]) -> str:
    return f"{key[0]}#{key[1]}"
