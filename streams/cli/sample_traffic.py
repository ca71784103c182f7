"""Events to try the ledger with: the sample that the package carries, and plausible traffic in any number.

Nothing here is sent or printed. The flows named F… are reported ones, told with their references; everything else is
invented.
"""

import json
import math
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ledger.policy import DATA

COUNTRIES = {
    "IN": 14, "AE": 12, "SA": 11, "SG": 9, "MY": 9, "BR": 5, "MX": 4, "CH": 4, "PL": 4, "IL": 4, "ID": 4, "TH": 4,
    "VN": 3, "TR": 3, "ZA": 2, "PH": 2, "KZ": 2, "QA": 2, "AT": 2, "PT": 2, "CZ": 2, "CL": 2, "EG": 1, "NG": 1, "KE": 1,
    "JP": 8, "DE": 7, "GB": 7, "KR": 6, "FR": 6, "TW": 5, "CA": 5, "NL": 4, "AU": 4, "NO": 3, "SE": 3, "IE": 3,
    "CN": 0.5, "HK": 0.3, "RU": 0.2,
}  # fmt: skip
"""Where traffic goes, by weight: what is sold, not who is allowed to buy."""

PARTS = {
    ("NVIDIA", "H100 SXM"): 20, ("NVIDIA", "H200 SXM"): 18, ("NVIDIA", "B200"): 14, ("NVIDIA", "GB200"): 8,
    ("NVIDIA", "GB300"): 6, ("NVIDIA", "B300"): 5, ("NVIDIA", "A100 SXM"): 5, ("NVIDIA", "L40S"): 6,
    ("NVIDIA", "L4"): 4, ("NVIDIA", "RTX PRO 6000 Blackwell"): 3, ("NVIDIA", "DGX/HGX H100 8-GPU"): 2,
    ("AMD", "Instinct MI300X"): 6, ("AMD", "Instinct MI355X"): 3, ("Intel", "Gaudi 3"): 2, ("NVIDIA", "A10"): 2,
    ("Huawei", "Ascend 910B"): 0.3,
}  # fmt: skip
"""What is shipped, by weight; every name stands in the catalogue."""

QUANTITY_MAX = 32
"""The largest number of items in one shipment of traffic; small ones are as frequent as large ones.

A thousand such shipments on top of the sample leave every country under its cap.
"""


def sample_events(*, today: date) -> list[dict[str, Any]]:
    """The sample: reported flows, Cambodia's change of tier, and an invented India near its cap.

    Args:
        today: the day of printing, in UTC. India's events lie between 1 January and its first moment, and carry it in
            their ids, so that another day's print is another climb.

    Returns:
        Structured CloudEvents, ready for JSON.
    """
    lines = (DATA / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    return [_dated(json.loads(line), today) for line in lines]


def traffic(count: int, seed: int, today: date) -> Iterator[dict[str, Any]]:
    """Plausible traffic of the current year up to `today`: the same for the same arguments.

    Args:
        count: how many events; a larger count begins with the events of a smaller one.
        seed: ids carry it, so that two seeds never contradict each other.
        today: the day of printing, in UTC; ids carry it too.
    """
    chance = random.Random(seed)  # noqa: S311  nothing secret is made of it
    countries, country_weights = list(COUNTRIES), list(COUNTRIES.values())
    parts, part_weights = list(PARTS), list(PARTS.values())
    start, span = _year_so_far(today)
    for number in range(count):
        name = f"T-{today:%Y%m%d}-{seed}-{number:07d}"
        country = chance.choices(countries, country_weights)[0]
        vendor, model = chance.choices(parts, part_weights)[0]
        quantity = round(math.exp(chance.uniform(0, math.log(QUANTITY_MAX))))
        yield _event(
            name,
            _rfc3339(start + timedelta(seconds=int(span.total_seconds() * chance.random()))),
            {
                "origin": "CN" if vendor == "Huawei" else "US",
                "destination": country,
                "consignee": {"name": f"Buyer {chance.randint(1, 40)} of {country}", "country": country},
                "lines": [{"vendor": vendor, "model": model, "quantity": quantity}],
            },
        )


def _dated(event: dict[str, Any], today: date) -> dict[str, Any]:
    """A template that tells a share of the year instead of a time, made an event."""
    if "elapsed" not in event:
        return event
    start, span = _year_so_far(today)
    moment = _rfc3339(start + timedelta(seconds=int(span.total_seconds() * event["elapsed"])))
    name = f"{event['id']}-{today:%Y%m%d}"
    dated = {**event, "id": name, "time": moment}
    dated["data"] = {**event["data"], "shipment_id": name, "shipped_at": moment}
    del dated["elapsed"]
    return dated


def _event(name: str, moment: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/sample/traffic",
        "type": "shipment.shipped",
        "time": moment,
        "datacontenttype": "application/json",
        "reference": "Invented: traffic to try the ledger with.",
        "data": {"shipment_id": name, "shipped_at": moment, **data},
    }


def _year_so_far(today: date) -> tuple[datetime, timedelta]:
    """The year's first moment, and how long it has lasted when `today` begins; nothing on 1 January."""
    start = datetime(today.year, 1, 1, tzinfo=UTC)
    return start, datetime(today.year, today.month, today.day, tzinfo=UTC) - start


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
