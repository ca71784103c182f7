"""Pure folds over events: what would be, and what must have been. Nothing is written, no clock is read.

named        which events of the stream others name
projection   one policy over a stream of events -> its balances, levels and alerts
simulate     two of them side by side
report       what differs between them
verify       what a ledger must hold, recomputed from its records
"""
