"""What can go wrong, by what helps: mend the call, wait, or stop. Bad records are `schemas.rejected_record`."""


class LedgerError(Exception):
    """Anything this product says went wrong."""


class WrongCall(LedgerError):  # noqa: N818  reads as what it is
    """The caller asked for something that cannot be: say it otherwise. Exit code 2."""


class WrongCursor(WrongCall):
    """A page was asked for by a cursor that is none of ours."""

    def __init__(self) -> None:
        super().__init__("cursor: write the one that the page before answered, or leave it out")


class LedgerUnavailable(LedgerError):  # noqa: N818
    """Redis or Kafka did not answer, and nothing is known to be decided: wait and try again. Exit code 69."""


class LedgerClosed(LedgerError):  # noqa: N818
    """The ledger is closed while a policy is adopted: wait, nothing was written."""


class PositionLost(LedgerError):  # noqa: N818
    """Going on could skip a record: stop, start again from the checkpoint. Exit code 70.

    Attributes:
        partition: `<topic>:<number>` where it was noticed; None if it concerns the whole log.
    """

    def __init__(self, message: str, partition: str | None = None) -> None:
        super().__init__(message)
        self.partition = partition


class PolicyChanged(LedgerError):  # noqa: N818
    """There is a newer adoption than those by which a run was judged: judge it again."""
