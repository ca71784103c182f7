"""Which events of a stream are named by others: found by a first look at the whole of it.

What a return takes back is in the event that it names, which may have come long before. A second look remembers the
events that are named, and no others.
"""

from collections.abc import Iterable

from ledger.digests import digest_of_key
from ledger.rules.follower import original_of
from schemas.shipment_event import ShipmentEvent


def may_name_another(value: bytes) -> bool:
    """Whether a record's bytes can be those of an event that names another: most cannot, and need not be read."""
    return b"original_id" in value or b"\\u" in value


def named_by(events: Iterable[ShipmentEvent]) -> set[bytes]:
    """The digests of the keys that some events name."""
    originals = (original_of(event) for event in events)
    return {digest_of_key(*original) for original in originals if original is not None}
