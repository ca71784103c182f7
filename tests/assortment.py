"""Records of every sort, as a topic may hold them: all channels and classes, repeats, contradictions, broken ones.

The same for the same seed. Amounts are large enough that levels are crossed and limits passed.
"""

import json
import random

COUNTRIES = ("IN", "IL", "CH", "MY", "KH", "HK", "AE", "DE", "JP", "US", "CN", "MO")
DAYS = ("2020-12-22", "2023-11-17", "2025-05-13", "2025-05-20", "2025-07-01", "2026-02-02", "2026-02-03", "2027-06-01")
CHANNELS = ("license", "lpp", "nveu", "nveu", "uveu", "uveu", "aia", "none", None)
PARTS = (
    ("NVIDIA", "H100 SXM"),
    ("NVIDIA", "B200"),
    ("NVIDIA", "L4"),
    ("Huawei", "Ascend 910B"),
    ("Biren", "BR100"),
    ("Acme", "Mystery 9"),
)


def assortment(seed, count):
    """So many records' values."""
    chance = random.Random(seed)
    sent = []
    for number in range(count):
        dice = chance.random()
        if sent and dice < 0.1:
            value = chance.choice(sent)  # once more
        elif sent and dice < 0.15:
            said = json.loads(chance.choice(sent))
            value = json.dumps(dict(reversed(said.items()))).encode()  # once more, in other bytes
        elif sent and dice < 0.2:
            said = json.loads(chance.choice(sent))
            value = json.dumps(said | {"destination": chance.choice(COUNTRIES)}).encode()  # a contradiction, mostly
        elif dice < 0.25:
            value = chance.choice((b"nonsense", b"", b"[]", _event(chance, number, destination="UK"), b'{"id": "x"}'))
        else:
            value = _event(chance, number)
            sent.append(value)
        yield value


def _event(chance, number, **told):
    consignee = {"name": f"Buyer {chance.randrange(2)}", "country": chance.choice(COUNTRIES)}
    if chance.random() < 0.5:
        consignee["headquarters"] = chance.choice(COUNTRIES)
    if chance.random() < 0.3:
        consignee["ultimate_parent"] = {"id": f"lei:{chance.randrange(2)}", "country": chance.choice(COUNTRIES)}
    event = {
        "id": f"e-{number}",
        "type": chance.choice(("shipment.shipped",) * 8 + ("compute.used", "shipment.reserved")),
        "shipped_at": f"{chance.choice(DAYS)}T12:00:00Z",
        "destination": chance.choice(COUNTRIES),
        "lines": [_line(chance) for _ in range(chance.choice((1, 1, 3)))],
    }
    if chance.random() < 0.6:
        event["consignee"] = consignee
    if kind := chance.choice(CHANNELS):
        event["authorization"] = {"kind": kind, "holdings_tpp": chance.choice((None, 10**9, 10**11))}
    if chance.random() < 0.2:
        event["end_use"] = {"purpose": "training", "model_developer_country": chance.choice(("CN", "FR"))}
    return json.dumps(event | told).encode()


def _line(chance):
    vendor, model = chance.choice(PARTS)
    line = {"vendor": vendor, "model": model, "quantity": chance.choice((1, 100, 2_000, 60_000))}
    return line | {"tpp_each": chance.choice((900, 20_000))} if chance.random() < 0.2 else line
