"""A list as CSV (RFC 4180), a column a field: a spreadsheet opens it and computes nothing that a sender wrote."""

import csv
import io
import json
import re
from typing import Annotated, Any, Literal, get_args

from fastapi import Query, Request
from pydantic import BaseModel

MEDIA_TYPE = "text/csv; charset=utf-8"

Format = Annotated[
    Literal["json", "csv"], Query(alias="format", description="`csv`: the items alone; `Link` names the next page")
]
"""The parameter `format`, as a route that lists takes it."""

DOCUMENTED: dict[str, Any] = {"content": {"text/csv": {"schema": {"type": "string"}}}}
"""Such a route's answer, for its OpenAPI `responses`."""

_SIGNS = "=+-@＝＋－＠"  # noqa: RUF001  spreadsheets take the wide ones too
_FORMULA = tuple(_SIGNS + "\t\r\n")
_IN_ANOTHER_CELL = re.compile(rf"([;\r\n]\s*)(?=[{re.escape(_SIGNS)}])")
"""Where a spreadsheet of a country that writes 1,5 for 3/2 begins a cell, quoted or not: there cells end with `;`."""

_APART = {"freshness"}

_UTF_8 = "\ufeff"
"""The byte order mark, without which Excel takes UTF-8 for something else: "Türkiye" would be none."""


def csv_text(answer: BaseModel) -> str:
    """The items of a list's answer, with the fields' names as the first line; nothing of it changes with freshness.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; null is an empty cell, and what is
    no single value is JSON.
    """
    (item_model,) = get_args(type(answer).model_fields["items"].annotation)
    columns = [name for name in item_model.model_fields if name not in _APART]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for item in answer.model_dump(mode="json", include={"items"})["items"]:
        writer.writerow([_cell(item[name]) for name in columns])
    return _UTF_8 + text.getvalue()


def csv_headers(request: Request, following: str | None) -> dict[str, str]:
    """The headers of such an answer: the address of the next page, if there is one."""
    headers = {"X-Content-Type-Options": "nosniff"}
    if following is not None:
        page = request.url.include_query_params(cursor=following)
        headers["Link"] = f'<{page.path}?{page.query}>; rel="next"'
    return headers


def not_computed(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA):  # spaces before it are passed over
        text = f"'{text}"
    return _IN_ANOTHER_CELL.sub(r"\1'", text)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return not_computed(value)
    if value is None:
        return ""
    told = json.dumps(value, ensure_ascii=False)
    return not_computed(told) if isinstance(value, list | dict) else told
