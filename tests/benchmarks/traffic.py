"""The events of the benchmark and what each is to be charged: the same for the same kind and count.

Two kinds. `full` is the event of the contract with every field that a shipment has, about 1 kB; `minimal` is a bare one
with nothing but what is required. Ids, quantities, days, countries and names vary. No event gives rise to an alert by
itself, and lines are so small that a hundred thousand events pass no level of a cap either.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from ledger.policy import Policy

KINDS = ("full", "minimal")
POLICY = "annual-50k"

_FIRST_DAY = date(2026, 1, 1)
_DAYS = 90
_SOURCES = ("/logistics/acme", "/logistics/boreal", "/erp/cordoba", "/erp/dunmore/eu-west", "/forwarder/eiger")
_COUNTRIES = (
    *("IN", "SG", "MY", "BR", "MX", "CH", "PL", "ID", "TH", "TR", "ZA", "AT", "PT", "CZ", "CL", "HU", "GR", "PH", "KE"),
    *("JP", "DE", "GB", "KR", "FR", "TW", "CA", "NL", "AU", "NO", "SE"),
)
_PARTS = {
    ("NVIDIA", "H100 SXM"): "HGX H100 8-GPU boards",
    ("NVIDIA", "H200 SXM"): "HGX H200 8-GPU boards",
    ("NVIDIA", "B200"): "DGX B200 systems, rails included",
    ("NVIDIA", "A100 SXM"): "HGX A100 8-GPU boards, refurbished",
    ("AMD", "Instinct MI300X"): "MI300X OAM modules on universal baseboards",
}
_NAMES = ("Example", "Northwind", "Société Méridienne", "Kestrel", "Blue Harbour", "Ōmi", "Tessera", "Łódź")
_TRADES = ("Cloud", "Compute", "Data Centres", "Research Institute", "Telecom", "Systems")
_SITES = ("Plot 7, Navi Mumbai", "Hall 3, Lot 12, Science Park", "Building 40, North Campus", "Dock 9, Harbour Road")


@dataclass(frozen=True, slots=True)
class Shipped:
    """One event as its producer knows it: the record's value, and what it ships where."""

    value: bytes
    destination: str
    day: date
    vendor: str
    model: str
    quantity: int


def shipments(kind: str, count: int) -> Iterator[Shipped]:
    """The first `count` events of a kind."""
    chance = random.Random(f"{kind} events")
    for number in range(count):
        vendor, model = chance.choice(list(_PARTS))
        day = _FIRST_DAY + timedelta(days=chance.randrange(_DAYS))
        shipped_at = f"{day}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:{chance.randrange(60):02d}Z"
        destination, quantity = chance.choice(_COUNTRIES), chance.randint(1, 8)
        event_id = f"evt-{chance.getrandbits(32):08x}-{number:07d}"
        if kind == "full":
            line = {"vendor": vendor, "model": model, "quantity": quantity, "description": _PARTS[vendor, model]}
            event = _full(chance, event_id, shipped_at, destination, line)
        else:
            line = {"model": model, "quantity": quantity}
            event = {"id": event_id, "shipped_at": shipped_at, "destination": destination, "lines": [line]}
        value = json.dumps(event, ensure_ascii=False).encode()
        yield Shipped(value, destination, day, vendor, model, quantity)


def charge_due(shipped: Shipped, policy: Policy) -> tuple[str, int]:
    """What one event must change: `country:<code>|<period>`, and by how much TPP."""
    part = policy.catalogue.find(shipped.vendor, shipped.model)
    return f"country:{shipped.destination}|{policy.period_of(shipped.day)}", part.tpp * shipped.quantity


def _full(chance, event_id, shipped_at, destination, line):
    name = f"{chance.choice(_NAMES)} {chance.choice(_TRADES)} {chance.randrange(400)}"
    parent = f"{chance.choice(_NAMES)} Group"
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": chance.choice(_SOURCES),
        "type": "shipment.shipped",
        "time": shipped_at,
        "datacontenttype": "application/json",
        "data": {
            "shipment_id": f"S-{chance.randrange(10**8):08d}",
            "shipped_at": shipped_at,
            "origin": chance.choice(("US", "TW", "MY")),
            "destination": destination,
            "exporter": {"name": f"{chance.choice(_NAMES)} Systems", "country": "US"},
            "consignee": {
                "name": name,
                "country": destination,
                "headquarters": destination,
                "id": f"lei:{chance.getrandbits(64):020d}",
                "role": chance.choice(("end_user", "cloud_provider")),
                "ultimate_parent": {
                    "name": parent,
                    "country": destination,
                    "id": f"lei:{chance.getrandbits(64):020d}",
                },
            },
            "bill_to": {"name": name, "country": destination},
            "authorization": {
                "kind": "license",
                "number": f"D{chance.randrange(10**6):06d}",
                "holdings_tpp": None,
            },
            "lines": [line | dict.fromkeys(("part_number", "sku", "declared_as", "eccn", "tpp_each"))],
            "end_use": {
                "purpose": chance.choice(("training", "inference")),
                "model": f"{name} {chance.randrange(1, 9)}B",
                "model_developer_country": destination,
                "site": chance.choice(_SITES),
            },
        },
    }
