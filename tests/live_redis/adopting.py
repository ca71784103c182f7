"""Adopting a policy on a Redis without Kafka: the record as `policy adopt` writes it, kept as a worker keeps it."""

from copy import deepcopy
from datetime import UTC, datetime

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.book.setting import adoption
from ledger.policy import policy_from_document

ADOPTED_AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
PLACE = "adoptions:0"
"""A partition of settings of its own, so that tests count their own offsets."""


async def adopt(redis, ledger, policy, *, begins=None, at=ADOPTED_AT, number=None, token="t", timestamp_ms=0):
    """Adopt a policy from `begins` on, by partition; returns all that were adopted."""
    kept = KeptSettings(redis, ledger)
    if number is None:
        number = await kept.adopted.number() + 1
    setting = adoption(policy, number, begins=begins or {}, adopted_at=at, token=token)
    await keep(redis, ledger, setting)
    return await kept.adopted.rules()


async def keep(redis, ledger, *settings):
    """Keep records that come next on the topic, each by itself."""
    kept, position = KeptSettings(redis, ledger), Position(redis, ledger)
    for setting in settings:
        prev = (await position.checkpoints([PLACE]))[PLACE]
        await kept.keep(PLACE, prev, prev + 1, [setting])


def variant(policy, name, *, caps=None, **stated):
    """A policy that says something else: caps by country, and any key of its file."""
    document = deepcopy(policy.document())
    text = document["policy"]
    entries = [{"countries": [country], "tpp": tpp, "source": "PRESS-50K"} for country, tpp in (caps or {}).items()]
    text |= {"id": name, "caps": [*text["caps"], *entries], **stated}
    return policy_from_document(document)
