"""Adopting a policy, step by step. Each step may be repeated, by this process or another, and any may be the last.

    catch up    keep what lies on `quota.settings`; the newest adoption may be the one that is wanted
    close       nothing is posted any more; workers wait in place
    write       from where each partition ends now, the policy rules: a record on `quota.settings` says so
    catch up    that record opens the ledger again under the new policy, whoever keeps it first

The first record of an adoption's number decides, be it of another process or one that gives the adoption up. So an
adoption that was interrupted is finished by repeating it, and no order of events makes two of it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.book.setting import Setting, adoption, given_up
from ledger.errors import LedgerError, LedgerUnavailable, WrongCall
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from schemas.adoption import Adoption, Closure
from streams.kafka.log_reader import LogReader
from streams.kafka.producer import LazyProducer, Outgoing
from streams.keep_settings import keep_topic
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptPolicy:
    """One attempt to adopt a policy, or to give an adoption up.

    Attributes:
        token: letters and digits that no other attempt has.
        now: the clock.
        actor: who adopts.
        reason: why.
    """

    settings: Settings
    kept: KeptSettings
    position: Position
    log_reader: LogReader
    producer: LazyProducer
    token: str
    now: Callable[[], datetime]
    actor: str | None = None
    reason: str | None = None

    async def adopt(self, policy: Policy) -> tuple[Adoption, Literal["adopted", "in force"]]:
        """Adopt a policy, or finish its adoption.

        Returns:
            The adoption that put it in force, and whether that is news.

        Raises:
            LedgerError: the adoption of another policy is under way, or was faster, or somebody gave this one up.
            WrongCall: the policy with its chips is larger than the topic takes.
            LedgerUnavailable: Redis or Kafka does not answer; once the ledger is closed it stays so until somebody
                repeats this or gives it up.
        """
        while True:
            decided = await self.kept.adopted.number()  # read first, so that what the rules do not tell yet is noticed
            rules = await self.catch_up()
            if rules is None:
                raise WrongCall("this ledger is new: its first worker adopts QUOTA_POLICY; set that, and start one")
            if rules.in_force.sha256 == policy.sha256:
                await self._refuse_under_way()
                return rules.adoptions[-1], "in force"
            if (closure := await self.close(policy, decided + 1)) is None:
                continue
            try:
                if await self.write(policy, closure):
                    return self._decided(await self.catch_up(), closure), "adopted"
            except LedgerUnavailable as failure:
                raise LedgerUnavailable(f"{failure}. Meanwhile {closure.sentence()}") from None

    async def give_up(self) -> Closure:
        """Open the ledger again without adopting what it was closed for.

        Returns:
            What was given up.

        Raises:
            WrongCall: the ledger is not closed for any.
            LedgerError: it is too late: the policy was adopted.
        """
        closed = await self.kept.adopted.closure()
        rules = await self.catch_up()
        under_way = await self.kept.adopted.closure()
        if under_way is not None:
            await self.send(given_up(under_way.number, given_up_at=self.now(), token=self.token))
            closed, rules = under_way, await self.catch_up()
        if closed is None:
            raise WrongCall("no adoption is under way: there is nothing to give up")
        if rules and any(made.number == closed.number for made in rules.adoptions):
            raise LedgerError(
                f"too late: the adoption of {closed.policy_id} was written already, and is finished now; to go back, "
                "adopt the policy before"
            )
        return closed

    async def catch_up(self) -> Rulebook | None:
        """Keep all that lies on the topic of settings; returns the adoptions, None before the first."""
        await keep_topic(self.settings, self.kept, self.log_reader)
        return await self.kept.adopted.rules()

    async def close(self, policy: Policy, number: int) -> Closure | None:
        """Close the ledger, or find it closed for this policy.

        Args:
            policy: what it is closed for.
            number: the adoption's, one more than were decided on.

        Returns:
            What it is closed for; None if something was decided meanwhile: catch up first.

        Raises:
            LedgerError: it is closed for another policy.
        """
        wanted = Closure(number=number, policy_id=policy.id, policy_sha256=policy.sha256, since=self.now())
        closure = await self.kept.close(wanted)
        if closure is not None and closure.policy_sha256 != policy.sha256:
            raise LedgerError(closure.sentence())
        return closure

    async def write(self, policy: Policy, closure: Closure) -> bool:
        """Write that the policy rules what comes onto the topic of shipments from now on.

        Returns:
            Whether that is written; not if Redis forgot meanwhile that it is closed.

        Raises:
            WrongCall: the record is larger than the topic takes; the adoption is given up.
        """
        begins = await self.ends()
        if await self.kept.adopted.closure() != closure:
            return False
        setting = adoption(
            policy,
            closure.number,
            begins=begins,
            adopted_at=self.now(),
            token=self.token,
            actor=self.actor,
            reason=self.reason,
        )
        try:
            await self.send(setting)
        except WrongCall:
            await self.send(given_up(closure.number, given_up_at=self.now(), token=self.token))
            await self.catch_up()
            raise
        return True

    async def ends(self) -> dict[str, int]:
        """Where the shipments end; nothing behind that is settled, for the ledger is closed."""
        ends = await asyncio.to_thread(self.log_reader.ends, self.settings.topic_shipments)
        settled = await self.position.checkpoints(list(ends))
        return {partition: max(end, settled[partition] + 1) for partition, end in ends.items()}

    async def send(self, setting: Setting) -> None:
        """Put a record on the topic of settings."""
        records: list[Outgoing] = [(setting.key.encode(), setting.value, [])]
        await asyncio.to_thread(self.producer.send_all, self.settings.topic_settings, records)

    def _decided(self, rules: Rulebook | None, closure: Closure) -> Adoption:
        """The adoption for which the ledger was closed, unless another record was faster to decide."""
        made = {adoption.number: adoption for adoption in rules.adoptions} if rules else {}
        if closure.number not in made:
            raise LedgerError(f"the adoption of {closure.policy_id} was given up meanwhile; the policy is as before")
        adoption = made[closure.number]
        if adoption.policy_sha256 != closure.policy_sha256:
            raise LedgerError(f"{adoption.policy_id} was adopted meanwhile; repeat this if it is still wanted")
        return adoption

    async def _refuse_under_way(self) -> None:
        if closure := await self.kept.adopted.closure():
            raise LedgerError(closure.sentence())
