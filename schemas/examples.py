"""Calls of the endpoint and what a ledger answered to them, for the documents: `examples.json`. Real, by a test."""

import json
from importlib.resources import files
from typing import Any, NotRequired, TypedDict


class Example(TypedDict):
    """One call: `path` is the template of its address, `request` what was sent where that is shown."""

    method: str
    path: str
    status: int
    answer: Any
    request: NotRequired[Any]


def examples() -> list[Example]:
    """All of them."""
    found: list[Example] = json.loads(files("schemas").joinpath("examples.json").read_text(encoding="utf-8"))
    return found


def example_alert() -> dict[str, Any]:
    """One of the alerts that were told: a country came near its cap."""
    [told] = [example["answer"]["items"] for example in examples() if example["path"] == "/v1/alerts"]
    alert: dict[str, Any] = next(alert for alert in told if alert["kind"] == "quota.near_cap")
    return alert
