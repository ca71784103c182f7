"""Events for tests, right in every field that a test does not name."""

import json
from datetime import UTC, date, datetime

from ledger.rules.assess import assess
from ledger.rules.describe import describe
from ledger.rules.families import Member, settle_family
from ledger.rules.follower import original_of, own_key
from ledger.rules.judge import judge
from ledger.rules.related import Related
from schemas.cloudevents import read_event


def shipment_document(
    *,
    id="evt-1",  # noqa: A002  as the field is called
    source="/tests",
    type="shipment.shipped",  # noqa: A002
    shipped_at="2026-03-01T22:10:00Z",
    destination="IN",
    vendor="NVIDIA",
    model="H100 SXM",
    quantity=64,
    lines=None,
    **data,
):
    """A structured CloudEvent as a producer would write it: 64 H100 for India, unless told otherwise."""
    lines = [{"vendor": vendor, "model": model, "quantity": quantity}] if lines is None else lines
    data = {"shipment_id": f"S-{id}", "shipped_at": shipped_at, "destination": destination, "lines": lines, **data}
    return {"specversion": "1.0", "id": id, "source": source, "type": type, "data": data}


def encoded(document):
    """Its bytes."""
    return json.dumps(document, ensure_ascii=False).encode()


def raw_shipment(**told):
    """The bytes of a shipment."""
    return encoded(shipment_document(**told))


def a_shipment(**told):
    """Itself, read."""
    return read_event(raw_shipment(**told), default_source="/tests")


def a_line(model="H100 SXM", quantity=64, vendor="NVIDIA", **more):
    return {"vendor": vendor, "model": model, "quantity": quantity, **more}


def on(day):
    """Noon of a day, as a producer writes it; days may be dates or ISO texts."""
    return f"{date.fromisoformat(day) if isinstance(day, str) else day}T12:00:00Z"


def booked(policy, **told):
    """The TPP that a shipment is charged with, by (account, period)."""
    return {(due.account, due.period): due.tpp for due in assess(a_shipment(**told), policy).charges}


def noticed(policy, **told):
    """The notices a shipment gives rise to, by kind."""
    assessment = assess(a_shipment(**told), policy)
    notices = {notice.kind: notice for notice in assessment.notices}
    assert len(notices) == len(assessment.notices), "one notice a kind: the alert's id is made of kind and event"
    return notices


def alone(event, judged):
    """An event that is tied to no other."""
    key = own_key(event)
    original = original_of(event) or key
    family = None
    if event.type != "ledger.adjusted":
        family = settle_family(original, [Member(event, judged)], at=datetime(2000, 1, 1, tzinfo=UTC))
    return Related(event=key, original=original, family=family, statements=[judged])


def described(event, policy, *, used=0, balances=None, recorded_at=None, outcome=None):
    """The decision on an event that is tied to no other; `used` TPP are posted before it wherever it charges."""
    judged = judge(event, policy)
    before = {(due.account, due.period): (used, 0) for due in judged.charges} if balances is None else balances
    return describe(
        event,
        judged,
        policy,
        related=alone(event, judged),
        outcome=outcome,
        booked=judged.charges,
        balances=before,
        alerts=[],
        recorded_at=recorded_at,
    )
