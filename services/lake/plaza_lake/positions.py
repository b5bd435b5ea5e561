"""Every row where it lies: the rows that a grant leaves, each with its position."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from plaza_lake.access import Access
from plaza_lake.render import DIALECT, column, read_parquet, render
from plaza_lake.schema import TableSchema, duckdb_type

ROW_BITS: Final = 40
"""A position is the number of the file, then so many bits for the row in it."""


def scanned(access: Access, *, positions: bool = True) -> exp.Select:
    """The rows that a grant leaves, with the position of each."""
    position = exp.BitwiseOr(
        this=exp.paren(
            exp.BitwiseLeftShift(
                this=exp.cast(exp.column("file_index"), "BIGINT", dialect=DIALECT),
                expression=exp.Literal.number(ROW_BITS),
            )
        ),
        expression=exp.column("file_row_number"),
    )
    names = [column(name) for name in access.granted.names]
    if not access.paths:
        return _no_rows(access.granted, positions)
    items = [*names, exp.alias_(position, "_position", quoted=True)] if positions else names
    select = exp.select(*items).from_(read_parquet(list(access.paths), row_numbers=positions))
    return select if access.row_filter is None else select.where(render(access.row_filter, access.schema))


def _no_rows(schema: TableSchema, positions: bool) -> exp.Select:
    typed = [(each.name, duckdb_type(each.type)) for each in schema.columns] + [
        ("_position", "BIGINT")
    ] * positions
    nothing = (
        exp.alias_(exp.cast(exp.null(), kind, dialect=DIALECT), name, quoted=True) for name, kind in typed
    )
    return exp.select(*nothing).where(exp.false())
