"""Records that nobody meant: random bytes, and good or bad bodies changed here and there.

    python -m tests.fuzzing --records 100000 --seed 7      reads and judges them, under three policies

Each is an event or is rejected with a reason. Anything else is a fault of the reader or of a rule, and is shown.
"""

import argparse
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from random import Random

from ledger.policy import load_policy
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.rejected_record import REJECT_REASONS, RejectedRecord
from tests.bad_bodies import bad_bodies
from tests.builders import encoded, shipment_document
from tests.histories import history

RECORDED_AT = datetime(2027, 3, 1, tzinfo=UTC)
POLICIES = [load_policy(name) for name in ("annual-50k", "diffusion-2025", "december-2024")]
REASONS = {*REJECT_REASONS} - {"conflict", "internal_error"}
"""For which a record by itself is rejected."""

LARGEST = 4096
"""Bytes of a body that is worth changing."""

ODD = (
    None, True, False, 0, 1, -1, 2**50, 2**50 + 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**40, 0.0, 1.5,
    1e308, "", " ", "IN", "CN", "US", "UK", "XK", "xx", "\u202eNI", "\0", "\uff21scend 910B", "\u0410scend", "昇腾",
    "2026-02-30T00:00:00Z", "2026-03-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "é" * 300,
    [], [[]], [None], {}, {"": None}, [{}], [{"quantity": 1}], {"id": "a"}, "lpp", "uveu", "nveu", "4E091", "2026",
)  # fmt: skip
PIECES = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"\\", b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"\xc2\x85",
    b"9" * 400, b"1e999", b"-0", b" ", b"\n", b'"id":', b'"specversion":"1.0",', b'"payload":{}', b'"lines":[{}],',
)  # fmt: skip


def fuzzed(random: Random) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """One record: its value and its headers."""
    kind = random.random()
    if kind < 0.1:
        value = random.randbytes(random.randrange(200))
    elif kind < 0.6:
        value = encoded(_changed_document(random))
    else:
        value = random.choice(_BODIES) if random.random() < 0.5 else encoded(_document(random))
        for _ in range(random.randint(1, 4)):
            value = _changed_bytes(random, value)
    return value, _headers(random) if random.random() < 0.15 else []


def reason_of(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> str | None:
    """Why the reader, or a policy, rejects a record; None if it is an event. Whatever else it raises is a fault."""
    try:
        event = read_event(value, headers, default_source="/kafka/shipments", recorded_at=RECORDED_AT)
        event.content()
        for policy in POLICIES:
            judge(event, policy)
    except RejectedRecord as rejected:
        return rejected.reason if rejected.detail.encode("utf-8", "replace") else "says nothing"
    return None


_BODIES = [body.value for body in bad_bodies() if len(body.value) <= LARGEST]


def _document(random):
    if random.random() < 0.3:
        return shipment_document(id=f"f{random.randrange(10**6)}", quantity=random.randint(1, 9))
    return random.choice(history(random, 3))


def _changed_document(random):
    """A good event of which some fields are other, gone, twice as deep or new."""
    document = _document(random)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = [*_places(document)]
        holder, name = random.choice(places)
        what = random.random()
        if what < 0.25 and isinstance(holder, dict):
            del holder[name]
        elif what < 0.35 and isinstance(holder, dict):
            holder[random.choice(("id", "type", "data", "lines", "shipped_at", "x", "y", "z"))] = _odd(random)
        elif what < 0.45:
            holder[name] = [holder[name]]
        else:
            holder[name] = _odd(random, like=holder[name] if random.random() < 0.7 else None)
    return document


def _odd(random, like=None):
    """Something odd; of the same type, it has a chance to pass."""
    same = [odd for odd in ODD if type(odd) is type(like)]
    return deepcopy(random.choice(same or ODD if like is not None else ODD))


def _places(value) -> Iterator[tuple]:
    """Every place of a document at which something stands."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in list(pairs):
        yield value, name
        yield from _places(inner)


def _changed_bytes(random, value):
    at = random.randrange(len(value) + 1)
    to = min(len(value), at + random.randint(0, 12))
    match random.randrange(5):
        case 0:
            return value[:at]
        case 1:
            return value[:at] + random.choice(PIECES) + value[to:]
        case 2:
            return value[:at] + random.randbytes(random.randint(1, 4)) + value[to:]
        case 3:
            return value[:at] + value[to:]
        case _:
            return value[:at] + value[at:to] * 2 + value[to:]


def _headers(random):
    names = ("ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "source", "content-type", "quota-reason")
    texts = (None, b"", b"1.0", b"shipment.shipped", b"/acme", b"a", b"\xff", b"a\x00", b"soon", b"e" * 1100)
    return [(name, random.choice(texts)) for name in random.sample(names, random.randint(1, 5))]


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    random, found = Random(wanted.seed), Counter()
    for _ in range(wanted.records):
        value, headers = fuzzed(random)
        try:
            found[reason_of(value, headers)] += 1
        except Exception:  # noqa: BLE001  that is what is looked for
            traceback.print_exc()
            print(f"NEITHER, seed {wanted.seed}: {value!r}, headers {json.dumps(headers, default=repr)}")
            return 1
    print(f"seed {wanted.seed}: of {wanted.records} records {found.pop(None, 0)} are events; rejected are")
    for reason, count in found.most_common():
        print(f"{count:8} {reason}")
    return 0 if found.keys() <= REASONS else 1


if __name__ == "__main__":
    sys.exit(main())
