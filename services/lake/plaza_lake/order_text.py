"""The order of rows as people write it: `station, observed_at desc` (AIP-132)."""

from __future__ import annotations

import re
from typing import Final

from plaza_kit.errors import InvalidArgument

from plaza_lake.ir import UnknownField
from plaza_lake.schema import TableSchema

Order = tuple[tuple[str, bool], ...]
"""Columns to sort by, and whether descending. Absent values come last in both directions."""

_TERM: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\s+(desc))?", re.ASCII)


class BadOrder(InvalidArgument):
    """`order_by` cannot be read."""


def parse_order(text: str, schema: TableSchema) -> Order:
    """`field` or `field desc`, separated by commas (AIP-132). Raises BadOrder, UnknownField."""
    order: dict[str, bool] = {}
    for term in text.split(",") if text.strip() else []:
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise _bad_order(f"{term.strip()!r} is not a field, nor a field and `desc`")
        if schema.column(match[1]) is None:
            raise UnknownField(match[1], schema.names)
        if match[1] in order:
            raise _bad_order(f"{match[1]} is named twice")
        order[match[1]] = match[2] is not None
    return tuple(order.items())


def _bad_order(problem: str) -> BadOrder:
    return BadOrder(
        f"order_by: {problem}",
        remedy="write for example: station, observed_at desc",
        facts={"field": "order_by"},
    )
