"""The exit codes of all commands: 0 done, 1 found something wrong, 2 wrong call, 69 a part is away, 70 stopped.

A command whose reader has gone, as in `quota-ledger alerts | head -1`, ends as any program does there: with 141.
"""

from ledger.errors import LedgerError, LedgerUnavailable, PositionLost, WrongCall

FOUND_WRONG = 1
READER_GONE = 141
AWAY = 69
_OF_ERRORS: tuple[tuple[type[LedgerError], int], ...] = ((WrongCall, 2), (LedgerUnavailable, AWAY), (PositionLost, 70))


def exit_code_of(failure: LedgerError) -> int:
    """With what a command ends that fails so: 70 is for stopping to lose nothing."""
    return next((code for kind, code in _OF_ERRORS if isinstance(failure, kind)), FOUND_WRONG)
