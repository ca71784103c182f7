"""A record of the topic `quota.settings`, and what those say by which a policy is adopted or an adoption given up."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.errors import LedgerError, WrongCall
from ledger.policy import Policy, policy_from_document
from schemas.adoption import Adoption, Closure

_DECIDES = re.compile(r"policy:([0-9]+)(?::[0-9a-z]+)?")
"""The key of a record that decides on an adoption: its number, and what tells records of one number apart. If they
shared a key, compaction would leave the last of them; it is the first that decides."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One record of the topic: `<kind>:<id>`, its JSON value, None to delete it, and its Kafka time."""

    key: str
    value: bytes | None
    timestamp_ms: int = 0

    @property
    def decides(self) -> bool:
        """Whether its key is that of a record that decides on an adoption."""
        return _DECIDES.fullmatch(self.key) is not None

    @property
    def has_a_last_word(self) -> bool:
        """Whether the last record on a thing is all that counts: subscriptions and keys, not decisions or gaps."""
        return self.key.partition(":")[0] in {"webhook", "key"}


def adoption(
    policy: Policy,
    number: int,
    *,
    begins: Mapping[str, int],
    adopted_at: datetime,
    token: str,
    actor: str | None = None,
    reason: str | None = None,
) -> Setting:
    """The record by which a policy is adopted.

    Args:
        policy: the policy.
        number: one more than were decided on.
        begins: by partition of the shipments, the first offset that it rules; empty for a ledger's first.
        adopted_at: when.
        token: letters and digits that no other record of this number bears.
        actor: who adopts it.
        reason: why.
    """
    told = {"sha256": policy.sha256, "adopted_at": adopted_at.isoformat(), "from": dict(begins)}
    said = {"actor": actor, "reason": reason}
    return _decision(number, token, told | said | {"document": policy.document()})


def given_up(number: int, *, given_up_at: datetime, token: str) -> Setting:
    """The record by which an adoption is given up; arguments as `adoption`."""
    return _decision(number, token, {"given_up_at": given_up_at.isoformat()})


def _decision(number: int, token: str, told: Mapping[str, Any]) -> Setting:
    value = json.dumps({"number": number, **told}, sort_keys=True, ensure_ascii=False).encode()
    return Setting(f"policy:{number:05}:{token}", value)


@dataclass(frozen=True, slots=True)
class AdoptionMade:
    """An adoption, and the policy that it is of."""

    adoption: Adoption
    policy: Policy

    def closure(self) -> Closure:
        """What the ledger is closed for until the adoption is taken over."""
        return Closure(
            number=self.adoption.number,
            policy_id=self.adoption.policy_id,
            policy_sha256=self.adoption.policy_sha256,
            since=self.adoption.adopted_at,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a record decides on an adoption.

    Attributes:
        number: the adoption's.
        made: the adoption; None if it is given up.
        timestamp_ms: the record's Kafka time.
    """

    number: int
    made: AdoptionMade | None
    timestamp_ms: int


def read_decision(setting: Setting) -> Decision | None:
    """Read a record that decides on an adoption, the inverse of `adoption` and `given_up`; None if it is no such.

    Raises:
        LedgerError: it is one, but this version cannot read its policy; passed over, another would rule.
    """
    named = _DECIDES.fullmatch(setting.key)
    if named is None:
        return None
    number = int(named[1])
    try:
        told = json.loads(setting.value or b"")
        if "given_up_at" in told:
            return Decision(number, None, setting.timestamp_ms)
        document = told["document"]
        adoption = Adoption(
            number=number,
            policy_id="",
            policy_sha256=told["sha256"],
            adopted_at=told["adopted_at"],
            begins=told["from"],
            actor=told.get("actor"),
            reason=told.get("reason"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        policy = policy_from_document(document)
    except (WrongCall, ValueError, KeyError, TypeError) as failure:
        raise LedgerError(f"the policy of {setting.key} cannot be read by this version: {failure!r}; upgrade") from None
    if policy.sha256 != adoption.policy_sha256:
        raise LedgerError(f"the policy of {setting.key} has another SHA-256 than was adopted: {adoption.policy_sha256}")
    return Decision(
        number, AdoptionMade(adoption.model_copy(update={"policy_id": policy.id}), policy), setting.timestamp_ms
    )
