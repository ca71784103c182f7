"""A country's status from its balance: what is reserved counts where the policy says so, and is never available."""

import copy
from datetime import date

import pytest

from ledger.book.account import AccountBalance
from ledger.policy import Policy, load_policy
from ledger.rules.quota_status import quota_status
from schemas.quota_status import Freshness

CAP = 791_600_000
FRESH = Freshness(applied_at=None, lag_records=None, lag_s=None)


def annual(*, reserved_counts):
    document = copy.deepcopy(load_policy("annual-50k").document())
    document["policy"]["reserved_counts"] = reserved_counts
    return Policy(document)


@pytest.mark.parametrize(("reserved_counts", "ratio", "status"), [(False, 0.5, "open"), (True, 0.8, "near_cap")])
def test_reserved_quota_is_used_where_the_policy_says_so_and_never_available(reserved_counts, ratio, status):
    balance = AccountBalance("country:IN", "2026", posted_tpp=CAP // 2, reserved_tpp=CAP * 3 // 10)
    policy = annual(reserved_counts=reserved_counts)
    found = quota_status("IN", "2026", balance, policy, today=date(2026, 5, 1), freshness=FRESH)

    assert (found.used_ratio, found.status) == (ratio, status)
    assert (found.posted_tpp, found.reserved_tpp) == (CAP // 2, CAP * 3 // 10)
    assert found.available_tpp == CAP - CAP // 2 - CAP * 3 // 10
