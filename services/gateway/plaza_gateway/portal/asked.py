"""What an address or a form asks for, read leniently: what makes no sense is left out."""

from __future__ import annotations

import re
from typing import Final, get_args

from starlette.datastructures import QueryParams

from plaza_gateway.portal.views import FacetName, RowsQuery, SearchQuery

LONGEST_WORDS: Final = 200
"""Characters of a search that are used; the rest is cut off."""
LONGEST_FILTER: Final = 1_000
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", ":", "null", "!null")
"""Of the form's condition; `:` is "contains"."""
_DEEPEST_PAGE: Final = 100_000
_DEEPEST_ROWS: Final = 500
_MOST_CHOSEN: Final = 50
_LONGEST_VALUE: Final = 100
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)


def search_query(address: QueryParams) -> SearchQuery:
    """Words, chosen values of each facet, page."""
    names: tuple[FacetName, ...] = get_args(FacetName)
    chosen = dict.fromkeys(
        (name, value)
        for name in names
        for value in address.getlist(name)
        if value.strip() and len(value) <= _LONGEST_VALUE
    )
    return SearchQuery(
        words=" ".join(address.get("q", "").split())[:LONGEST_WORDS],
        chosen=tuple(chosen)[:_MOST_CHOSEN],
        page=_page(address, _DEEPEST_PAGE),
    )


def rows_query(address: QueryParams) -> tuple[RowsQuery, bool]:
    """What is asked of a release's rows, and whether it came from the form: then there is a shorter address for it."""
    as_form = any(name in address for name in ("f", "o", "v", "column"))
    named = [*address.get("columns", "").split(","), *address.getlist("column")]
    query = RowsQuery(
        filter=_both(address.get("filter", "").strip(), _condition(address))[:LONGEST_FILTER],
        columns=tuple(dict.fromkeys(name for name in named if _FIELD.fullmatch(name)))[:200],
        order_by=address.get("order_by", "").strip()[:200],
        page=1 if as_form else _page(address, _DEEPEST_ROWS),
    )
    return query, as_form


def _condition(address: QueryParams) -> str:
    """The form's own condition in the language of filters."""
    field, operator, value = (address.get(name, "").strip() for name in ("f", "o", "v"))
    if not _FIELD.fullmatch(field) or operator not in OPERATORS:
        return ""
    if operator in ("null", "!null"):
        return f"{field} {'=' if operator == 'null' else '!='} null"
    if not value:
        return ""
    written = value if _NUMBER.fullmatch(value) and operator != ":" else _quoted(value)
    return f"{field}:{written}" if operator == ":" else f"{field} {operator} {written}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _both(first: str, second: str) -> str:
    """Both conditions; AND and OR are not mixed without parentheses."""
    if not first or not second:
        return first or second
    return f"({first}) AND {second}" if " OR " in first else f"{first} AND {second}"


def _page(address: QueryParams, deepest: int) -> int:
    """A page from an address; what is no number is page 1."""
    text = address.get("page", "")
    return min(max(int(text), 1), deepest) if text.isascii() and text.isdigit() and len(text) < 9 else 1
