"""Which of the policies that a ledger adopted speaks where.

What a record is charged follows from its place on the log: the policy that ruled when it came. Caps and alert levels
belong to the ledger as it is now: whatever is booked is measured by the policy in force, as it stands on the ledger's
day, so that a Redis that is filled again comes to the same levels in whatever order it reads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Protocol, TypeVar

from ledger.policy import Policy
from ledger.rules.assessment import ChargeDue
from ledger.rules.channels import account_limits, limits_of
from ledger.rules.levels import Limits
from schemas.adoption import Adoption


class _Placed(Protocol):
    """Something that lies on the log."""

    @property
    def offset(self) -> int: ...


_Record = TypeVar("_Record", bound=_Placed)


class Rulebook:
    """The adoptions of one ledger up to one of them.

    Args:
        number: how many adoptions were decided on; those that were given up count.
        adoptions: those that were made, oldest first; at least one.
        policy_of: SHA-256 -> the policy, for each of them.
    """

    def __init__(self, number: int, adoptions: Sequence[Adoption], policy_of: Callable[[str], Policy]) -> None:
        self.number = number
        self.adoptions = tuple(adoptions)
        self.policy = policy_of
        self.in_force = policy_of(self.adoptions[-1].policy_sha256)
        self.measured_since = lru_cache(maxsize=4096)(self._measured_since)

    def and_then(self, adoption: Adoption, policy: Policy) -> "Rulebook":
        """These adoptions and one more."""

        def policy_of(sha256: str) -> Policy:
            return policy if sha256 == adoption.policy_sha256 else self.policy(sha256)

        return Rulebook(adoption.number, [*self.adoptions, adoption], policy_of)

    def known_at(self, moment: datetime) -> "Rulebook":
        """Those that were made by then; the first where none was, for a ledger begins with it."""
        known = [adoption for adoption in self.adoptions if adoption.adopted_at <= moment]
        known = known or [self.adoptions[0]]
        return Rulebook(known[-1].number, known, self.policy)

    def ruling(self, partition: str, offset: int) -> Adoption:
        """The adoption whose policy charges the record at an offset: the newest that covers it."""
        first, *later = self.adoptions
        return next((adoption for adoption in reversed(later) if adoption.covers(partition, offset)), first)

    def stretches(self, partition: str, records: Sequence[_Record]) -> Iterator[tuple[Policy, Sequence[_Record]]]:
        """Records of one partition in order, cut where another policy begins to rule."""
        first, last = (self.ruling(partition, records[end].offset).number for end in (0, -1))
        if first == last:  # later offsets are never ruled by earlier adoptions
            yield self.policy(self.ruling(partition, records[0].offset).policy_sha256), records
            return
        for sha256, stretch in groupby(records, lambda one: self.ruling(partition, one.offset).policy_sha256):
            yield self.policy(sha256), list(stretch)

    def name_of(self, adoption: Adoption) -> str:
        """What tells an adoption from all others in ids: the SHA-256, and the number if it was adopted before."""
        sha256 = adoption.policy_sha256
        again = any(earlier.policy_sha256 == sha256 for earlier in self.adoptions if earlier.number < adoption.number)
        return f"{sha256} {adoption.number}" if again else sha256

    def _measured_since(self, account: str, period: str, today: date) -> str:
        """Since when an account's cap and levels are what they are on a day.

        The name of the adoption that brought them; followed by a day, if it was then that its policy changed the cap.
        """
        limits = account_limits(self.in_force, account, period, today)
        for adoption, before in zip(reversed(self.adoptions), (*self.adoptions[-2::-1], None), strict=True):
            adopted_on = adoption.adopted_at.date()
            changed_on = self.policy(adoption.policy_sha256).cap_changed_on(account, period, today)
            if changed_on is not None and (before is None or changed_on > adopted_on):
                return f"{self.name_of(adoption)} {changed_on}"
            today = min(today, adopted_on)
            if before is None or account_limits(self.policy(before.policy_sha256), account, period, today) != limits:
                return self.name_of(adoption)
        raise AssertionError("a ledger has a first adoption")

    def counting_by(self, period: str) -> Policy:
        """The newest adopted policy that counts by a period, for what was booked in it stays; else the one in force."""
        adopted = (self.policy(adoption.policy_sha256) for adoption in reversed(self.adoptions))
        return next((policy for policy in adopted if policy.counts_by(period)), self.in_force)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the accounts of a ledger are measured by: the caps and levels of the policy in force, as they are on a day.

    Attributes:
        rules: the adoptions.
        today: the ledger's day, UTC. A period that is over by then is measured as on its last day, one to come as on
            its first.
    """

    rules: Rulebook
    today: date

    def limits_of(self, charge: ChargeDue) -> Limits:
        """What the account of a charge is measured by; a share of holdings comes with the charge."""
        return limits_of(self.rules.in_force, charge, self.today)

    def limits(self, account: str, period: str) -> Limits:
        """What an account is measured by, as far as the policy says it."""
        return account_limits(self.rules.in_force, account, period, self.today)

    def since(self, account: str, period: str) -> str:
        """Since when an account's limits are what they are: a part of the ids of its alerts."""
        return self.rules.measured_since(account, period, self.today)
