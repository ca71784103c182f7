"""An adoption: since when a policy rules. The API answers it; on `quota.settings` its document lies beside it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Adoption(BaseModel):
    """One policy, adopted once. Adopted again later, it is another adoption."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    number: int = Field(description="counts a ledger's adoptions; one that was given up leaves a gap")
    policy_id: str
    policy_sha256: str
    adopted_at: AwareDatetime
    begins: dict[str, int] = Field(
        alias="from",
        description="by `<topic>:<partition>`, the first offset whose records are judged by it; 0 where none is named",
    )
    actor: str | None = Field(default=None, description="who adopted it, if that was said")
    reason: str | None = Field(default=None, description="why, if that was said")

    def covers(self, partition: str, offset: int) -> bool:
        """Whether it was in force, or was to be, when the record at an offset came onto the topic."""
        return self.begins.get(partition, 0) <= offset


class Closure(BaseModel):
    """What a ledger is closed for: the adoption that is under way."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(description="the adoption's, once it is made")
    policy_id: str
    policy_sha256: str
    since: AwareDatetime

    def sentence(self) -> str:
        """What to say of it, and what to do if it lasts."""
        return (
            f"the ledger is closed since {self.since:%Y-%m-%d %H:%M:%S} UTC for the adoption of {self.policy_id} "
            f"(SHA-256 {self.policy_sha256[:12]}): nothing is posted until that is done. If it was interrupted, repeat "
            "`quota-ledger policy adopt` with that policy, or give it up with --abort"
        )
