"""Rows of a release, read from its own published CSV: the file never changes, so neither does an answer. Blocking."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from plaza_lake import engine
from plaza_lake.render import DIALECT, column, render
from plaza_lake.schema import TableSchema, duckdb_type
from plaza_lake.tables import Lake
from sqlglot import exp

from plaza_opendata.domain.row_query import RowQuery
from plaza_opendata.storage.files import FileDamaged
from plaza_opendata.storage.rows import PreviewCells

_LINE: Final = "_line"
"""Place of a row in the file; no field's name begins with an underscore."""
_TOTAL: Final = "_total"


def header(path: Path) -> list[str]:
    """Names of the columns. Raises FileDamaged."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file))
    except (FileNotFoundError, StopIteration, UnicodeDecodeError) as error:
        raise FileDamaged(
            f"the file {path.name} cannot be read",
            remedy="restore the release store from its backup; the recorded hash tells whether it is right",
            facts={"file": path.name},
        ) from error


def read(lake: Lake, path: Path, query: RowQuery) -> tuple[PreviewCells, int]:
    """A page, cells as the file has them, and how many rows the filter lets through. Equal rows of an order stay in
    the order of the file."""
    passed = _from(path, query.schema)
    if query.filter is not None:
        passed = passed.where(_typed(render(query.filter, query.schema), query.schema))
    order: list[exp.Expr] = [
        exp.Ordered(this=_typed(column(name), query.schema), desc=desc, nulls_first=False)
        for name, desc in query.order
    ]
    page = (
        passed.select(*(column(name) for name in query.columns))
        .order_by(*order, column(_LINE))
        .limit(query.limit)
        .offset(query.skip)
    )
    total = passed.select(exp.alias_(exp.Count(this=exp.Star()), _TOTAL))
    [counted] = engine.rows(lake, total, [str(path)])
    found = engine.rows(lake, page, [str(path)])
    cells = [[None if row[name] is None else str(row[name]) for name in query.columns] for row in found]
    return cells, int(str(counted[_TOTAL]))


def _from(path: Path, schema: TableSchema) -> exp.Select:
    """All rows as texts, numbered. Nothing is guessed: the file was written by us."""
    types = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.Literal.string(name), expression=exp.Literal.string("VARCHAR"))
            for name in schema.names
        ]
    )
    options = {
        "auto_detect": exp.false(),
        "header": exp.true(),
        "delim": exp.Literal.string(","),
        "quote": exp.Literal.string('"'),
        "escape": exp.Literal.string('"'),
        "nullstr": exp.Literal.string(""),
        # An empty text is written in quotes, an absent value is not there at all.
        "allow_quoted_nulls": exp.false(),
        # More threads number the rows of their own pieces.
        "parallel": exp.false(),
        "columns": types,
    }
    source = exp.Anonymous(
        this="read_csv",
        expressions=[
            exp.Literal.string(str(path)),
            *(exp.EQ(this=exp.to_identifier(name), expression=value) for name, value in options.items()),
        ],
    )
    number = exp.Window(this=exp.RowNumber())
    inner = exp.select(*(column(name) for name in schema.names), exp.alias_(number, _LINE)).from_(source)
    return exp.select().from_(inner.subquery("f"))


def _typed(node: exp.Expr, schema: TableSchema) -> exp.Expr:
    """Texts of the file as values of their columns' types, where they are compared."""

    def cast(part: exp.Expr) -> exp.Expr:
        if not isinstance(part, exp.Column):
            return part
        found = schema.column(part.name)
        assert found is not None, "the query was checked against the schema"
        return exp.cast(part.copy(), duckdb_type(found.type), dialect=DIALECT)

    return node.transform(cast)
