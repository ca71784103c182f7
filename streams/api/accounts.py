"""GET /v1/accounts: the meters that a policy keeps beside the countries' quotas."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, date
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response

from ledger.book.account import AccountBalance
from ledger.book.read import Reader
from ledger.errors import WrongCursor
from ledger.rules.quota_status import meter_status
from schemas.fields import Form
from schemas.meter_status import MeterKind, MeterList
from streams.api.answers import check_country, policy_in_force
from streams.api.csv_answer import DOCUMENTED, Format
from streams.api.freshness import TAGGED, tagged
from streams.api.parameters import COUNTRY_FORM, Limit, cursor_form
from streams.api.parts import PartsHere
from streams.api.problems import documented

router = APIRouter(prefix="/v1/accounts", tags=["quotas"])

_PERIODS = "`2026` (lpp), `2026-Q1` (nveu), `total` (uveu)"
_Period = Annotated[str, Form("^([0-9]{4}(-Q[1-4])?|total)$", f"write one such as {_PERIODS}".replace("`", ""))]
_KINDS: tuple[MeterKind, ...] = get_args(MeterKind)


@router.get("", response_model=MeterList, responses=TAGGED | {200: DOCUMENTED} | documented(422))
async def list_accounts(
    request: Request,
    parts: PartsHere,
    *,
    kind: Annotated[MeterKind | None, Query(description="only of this meter")] = None,
    period: Annotated[_Period | None, Query(description=f"only of this one: {_PERIODS}")] = None,
    country: Annotated[
        str | None,
        Query(
            description="only those whose name ends in it: installations and holders there, parents known by name",
            json_schema_extra={"pattern": COUNTRY_FORM},
        ),
    ] = None,
    cursor: Annotated[str | None, cursor_form(4096, "^[A-Za-z0-9_-]+$")] = None,
    limit: Limit = 100,
    form: Format = "json",
) -> Response:
    """Every meter that anything was ever booked on, by account and period."""
    after = ("", "") if cursor is None else _place(cursor)
    today = parts.clock().astimezone(UTC).date()
    if country is not None:
        check_country(await policy_in_force(parts.reader), country)
    found = await meter_list(parts.reader, kind, period, today, country=country, after=after, limit=limit)
    return tagged(request, found, found.freshness, as_csv=form == "csv")


async def meter_list(
    reader: Reader,
    kind: MeterKind | None,
    period: str | None,
    today: date,
    *,
    country: str | None,
    after: tuple[str, str],
    limit: int,
) -> MeterList:
    """A page of meters behind a place, which is an account and a period; None asks for every kind, period or country.

    Raises:
        LedgerUnavailable: Redis does not answer, or no policy is adopted yet.
    """
    policy = await policy_in_force(reader)
    freshness = await reader.freshness()  # before the balances: it may tell less than they hold, never more
    kinds = _KINDS if kind is None else (kind,)
    found = [
        (place, meter, balance)
        for balance in await reader.accounts()
        for meter in kinds
        if balance.account.startswith(f"{meter}:") and period in (None, balance.period)
        if country in (None, balance.account.rpartition(":")[2])
        if (place := _place_of(balance)) > after
    ]
    found.sort(key=lambda one: one[0])
    items = [meter_status(meter, *place, balance, policy, today=today) for place, meter, balance in found[:limit]]
    following = _cursor(*found[limit - 1][0]) if len(found) > limit else None
    return MeterList(items=items, next=following, freshness=freshness)


def _place_of(balance: AccountBalance) -> tuple[str, str]:
    return balance.account, balance.period


def _cursor(account: str, period: str) -> str:
    return urlsafe_b64encode(f"{account}|{period}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, str]:
    with suppress(binascii.Error, ValueError):
        account, _, period = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().rpartition("|")
        if _cursor(account, period) == cursor:
            return account, period
    raise WrongCursor
