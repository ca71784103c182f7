"""Accepted gaps as records of `quota.settings`. What one does to a checkpoint is `keep_settings.lua`'s."""

from ledger.book.setting import Setting
from schemas.accepted_gap import AcceptedGap

KIND = "gap"


def gap_setting(gap: AcceptedGap) -> Setting:
    """The record by which a gap is accepted. Each gap has a key of its own, so that compaction leaves all of them."""
    return Setting(f"{KIND}:{gap.partition}:{gap.first}-{gap.last}", gap.model_dump_json().encode())


def read_gap(setting: Setting) -> AcceptedGap | None:
    """Read such a record, the inverse of `gap_setting`; None of any other.

    Raises:
        ValueError: it is of this kind, but says something else.
    """
    if setting.key.partition(":")[0] != KIND or setting.value is None:
        return None
    return AcceptedGap.model_validate_json(setting.value)
