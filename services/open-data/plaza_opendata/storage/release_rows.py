"""Rows of a release, read from its own published file: that never changes, so neither does an answer. Blocking.

The file is the Parquet, or the CSV where the release has no other. Either way the rows have the columns' types, and
their places in the file, which are the same in both.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import pyarrow as pa
import pyarrow.parquet as pq
from plaza.common.v1 import contract_pb2
from plaza_kit.paging import BadPageToken
from plaza_lake import engine
from plaza_lake.ir import ColumnRef, Compare, Expr, IsNull, Literal, Op, Scalar, conjunction
from plaza_lake.keyset import after_position
from plaza_lake.render import DIALECT, column, ordered, read_parquet, render
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema, arrow_type, duckdb_type
from plaza_lake.tables import Lake
from sqlglot import exp

from plaza_opendata.domain.row_query import RowQuery, fields_of, schema_of
from plaza_opendata.storage.batches import even
from plaza_opendata.storage.files import FileDamaged

_LINE: Final = "_line"
"""Place of a row in the file, from 0; no field's name begins with an underscore."""
_TOTAL: Final = "_total"
_TYPES: Final = {arrow_type(each): each for each in FieldType}


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows that is open for reading."""

    path: Path
    schema: TableSchema
    is_parquet: bool

    @classmethod
    def of(cls, path: Path, file_name: str, contract: contract_pb2.Contract) -> RowFile:
        """A CSV's columns have the types that the contract gives them. Raises FileDamaged."""
        is_parquet = file_name.endswith(".parquet")
        try:
            schema = _parquet_schema(path) if is_parquet else schema_of(fields_of(_header(path), contract))
        except (FileNotFoundError, StopIteration, UnicodeDecodeError, pa.ArrowInvalid, KeyError) as error:
            raise FileDamaged(
                f"the file {file_name} cannot be read",
                remedy="restore the release store from its backup; the recorded hash tells whether it is right",
                facts={"file": file_name},
            ) from error
        return cls(path, schema, is_parquet)


def _parquet_schema(path: Path) -> TableSchema:
    return TableSchema(tuple(Column(each.name, _TYPES[each.type]) for each in pq.read_schema(path)))


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file))


def count(lake: Lake, file: RowFile, query: RowQuery) -> int:
    """How many rows the filter lets through."""
    total = _passed(file, query).select(exp.alias_(exp.Count(this=exp.Star()), _TOTAL))
    [counted] = engine.rows(lake, total, [str(file.path)])
    return cast(int, counted[_TOTAL])


def numbered(lake: Lake, file: RowFile, query: RowQuery, skip: int, limit: int) -> list[pa.RecordBatch]:
    """Some rows of a query's answer, after `skip` others. Equal rows of an order stay in the order of the file."""
    page = _select(file, query, query.columns).limit(limit).offset(skip)
    schema = arrow_schema(query.shown)
    return list(engine.stream(lake, page, [str(file.path)], schema, kept=True))


def page(lake: Lake, file: RowFile, query: RowQuery, start: int, limit: int) -> tuple[pa.Table, int]:
    """Rows of a query's answer from a start on, 0 for the first, and where the next page starts; 0 for nowhere."""
    asked = _select(file, query, (*query.columns, _LINE)).limit(limit + 1)
    if start:
        asked = asked.where(_behind(query, _position(lake, file, query, start - 1), start))
    schema = arrow_schema(query.shown).append(pa.field(_LINE, pa.int64()))
    found = pa.Table.from_batches(engine.stream(lake, asked, [str(file.path)], schema, kept=True), schema)
    shown = found.slice(0, limit)
    last = shown.num_rows - 1
    following = shown.column(_LINE)[last].as_py() + 1 if found.num_rows > limit else 0
    return shown.select(list(query.columns)), following


def batches(lake: Lake, file: RowFile, query: RowQuery) -> Iterator[pa.RecordBatch]:
    """All rows of a query's answer, always cut in the same places."""
    schema = arrow_schema(query.shown)
    return even(engine.stream(lake, _select(file, query, query.columns), [str(file.path)], schema))


def _select(file: RowFile, query: RowQuery, columns: Sequence[str]) -> exp.Select:
    return (
        _passed(file, query)
        .select(*(column(name) for name in columns))
        .order_by(*ordered(query.order), column(_LINE))
    )


def _passed(file: RowFile, query: RowQuery) -> exp.Select:
    found = _rows(file)
    return found if query.filter is None else found.where(render(query.filter, query.schema))


def _position(lake: Lake, file: RowFile, query: RowQuery, line: int) -> tuple[Scalar | None, ...]:
    """A row's values of the columns of the order."""
    if not query.order:
        return ()
    names = [name for name, _ in query.order]
    row = _rows(file).select(*(column(name) for name in names))
    here = exp.EQ(this=column(_LINE), expression=exp.Literal.number(line))
    for found in engine.rows(lake, row.where(here), [str(file.path)]):
        return tuple(cast("Scalar | None", found[name]) for name in names)
    raise BadPageToken(
        "page_token: was not given out for this request", remedy="take next_page_token from the answer before"
    )


def _behind(query: RowQuery, position: tuple[Scalar | None, ...], start: int) -> exp.Expr:
    """True for rows that sort behind a position, and for those of its values from a line on."""
    later = exp.GTE(this=column(_LINE), expression=exp.Literal.number(start))
    if not query.order:
        return later
    equal: list[Expr] = [
        IsNull(ColumnRef(name)) if value is None else Compare(Op.EQ, ColumnRef(name), Literal(value))
        for (name, _), value in zip(query.order, position, strict=True)
    ]
    same = conjunction(*equal)
    assert same is not None, "the order has columns"
    behind = after_position(query.order, position)
    return exp.or_(
        exp.paren(render(behind, query.schema)),
        exp.paren(exp.and_(exp.paren(render(same, query.schema)), later)),
    )


def _rows(file: RowFile) -> exp.Select:
    """All rows, numbered."""
    return exp.select().from_((_parquet_rows if file.is_parquet else _csv_rows)(file).subquery("f"))


def _parquet_rows(file: RowFile) -> exp.Select:
    return exp.select(
        *(column(name) for name in file.schema.names), exp.alias_(column("file_row_number"), _LINE)
    ).from_(read_parquet([str(file.path)], row_numbers=True))


def _csv_rows(file: RowFile) -> exp.Select:
    """Nothing is guessed: the file was written by us. Its texts are read back as what they were written from."""
    types = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.Literal.string(name), expression=exp.Literal.string("VARCHAR"))
            for name in file.schema.names
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
            exp.Literal.string(str(file.path)),
            *(exp.EQ(this=exp.to_identifier(name), expression=value) for name, value in options.items()),
        ],
    )
    typed = [
        exp.alias_(
            exp.cast(column(each.name), duckdb_type(each.type), dialect=DIALECT), each.name, quoted=True
        )
        for each in file.schema.columns
    ]
    number = exp.Sub(this=exp.Window(this=exp.RowNumber()), expression=exp.Literal.number(1))
    return exp.select(*typed, exp.alias_(number, _LINE)).from_(source)
