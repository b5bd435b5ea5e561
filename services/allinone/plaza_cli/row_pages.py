"""Rows as the API gives them in JSON, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from .client import Api, Parameters
from .failures import BrokenOff, StrangeAnswer

_LARGEST_PAGE = 10_000


class Number(str):
    """A number with the digits the server wrote: none is lost on the way to the reader."""


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page. Numbers in `rows` are `Number`."""

    version: int
    columns: list[str]
    rows: list[list[Any]]
    more: bool
    """Whether rows follow that are not in this page."""
    headers: httpx.Headers


def read_pages(api: Api, path: str, query: Parameters, limit: int | None) -> Iterator[RowPage]:
    """At most `limit` rows. Raises `BrokenOff` for a page that does not come whole, `StrangeAnswer`."""
    left, token = limit, ""
    while True:
        size = _LARGEST_PAGE if left is None else min(left, _LARGEST_PAGE)
        asked = {**query, "format": "json", "pageSize": size, **({"pageToken": token} if token else {})}
        page, following = _read(api, path, asked, left)
        if following == token and token:
            raise StrangeAnswer(f"{path}: the server gave the same page twice", remedy="Report this.")
        token = following
        yield page
        if left is not None:
            left -= len(page.rows)
        if not token or left == 0:
            return


def write_document(pages: Iterator[RowPage], write: Callable[[bytes], object]) -> None:
    """All pages as one JSON document: `version`, `agreement` and `delivery` when there are any, `columns`, `rows`.

    Written as the pages come; the document is complete when this returns.
    """
    between = b""
    for page in pages:
        if not between:
            write(_opening(page))
            between = b"\n"
        for row in page.rows:
            write(between + _row(row).encode("utf-8", "backslashreplace"))
            between = b",\n"
    write(b"\n]}\n")


def _opening(page: RowPage) -> bytes:
    members: dict[str, object] = {"version": page.version}
    for name in ("agreement", "delivery"):
        if page.headers.get(f"plaza-{name}"):
            members[name] = page.headers[f"plaza-{name}"]
    members["columns"] = page.columns
    return json.dumps(members, ensure_ascii=False)[:-1].encode("utf-8", "backslashreplace") + b', "rows": ['


def _row(row: list[Any]) -> str:
    return (
        "["
        + ", ".join(
            str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
            for value in row
        )
        + "]"
    )


def _read(api: Api, path: str, query: Parameters, left: int | None) -> tuple[RowPage, str]:
    with api.stream(path, query) as response:
        try:
            body = response.read()
        except httpx.HTTPError as error:
            raise BrokenOff(f"a page of rows broke off: {error}", remedy="Run the command again.") from error
        headers = response.headers
    try:
        document = json.loads(body, parse_float=Number, parse_int=Number)
        rows = [list(row) for row in document["rows"]]
        token = str(document.get("nextPageToken") or "")
        kept = rows if left is None else rows[:left]
        columns = [_column(one) for one in document["columns"]]
        more = bool(token) or len(kept) < len(rows)
        return RowPage(int(document["version"]), columns, kept, more, headers), token
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StrangeAnswer(f"{path}: the answer is not a page of rows", remedy="Report this.") from error


def _column(one: Any) -> str:
    # A column is its name, or an object that tells more about it.
    return str(one["name"]) if isinstance(one, dict) else str(one)
