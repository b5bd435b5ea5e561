"""IR → sqlglot expressions → SQL. No SQL text is ever put together from pieces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlglot import exp

from plaza_lake.ir import (
    Aggregate,
    And,
    ColumnRef,
    Compare,
    Contains,
    Count,
    CountDistinct,
    CountWhere,
    Expr,
    In,
    IsNull,
    Literal,
    Max,
    Min,
    Not,
    Op,
    Or,
    Scalar,
)
from plaza_lake.schema import FieldType, TableSchema, duckdb_type

DIALECT: Final = "duckdb"

_COMPARISONS: Final[Mapping[Op, type[exp.Binary]]] = {
    Op.EQ: exp.EQ,
    Op.NE: exp.NEQ,
    Op.LT: exp.LT,
    Op.LE: exp.LTE,
    Op.GT: exp.GT,
    Op.GE: exp.GTE,
}
_IN_LIST_LIMIT: Final = 16
"""Above this a literal list is slow in DuckDB (300 values: 1.4 s); `IN (SELECT unnest(…))` is a hash join."""


def to_sql(node: exp.Expr) -> str:
    """The SQL text in DuckDB's dialect."""
    return node.sql(dialect=DIALECT)


def column(name: str, table: str | None = None) -> exp.Column:
    """A quoted column name."""
    return exp.column(name, table=table, quoted=True)


def literal(value: Scalar, field_type: FieldType) -> exp.Expr:
    """A value as a constant of exactly the column's type: written as text and cast, because a bare `0.1`
    would be a DECIMAL and a bare `-9223372036854775808` an overflow."""
    return exp.cast(exp.Literal.string(_text(value)), duckdb_type(field_type), dialect=DIALECT)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float):
        return repr(value)
    return str(value)


def render(node: Expr, schema: TableSchema, table: str | None = None) -> exp.Expr:
    """A checked expression (`ir.typecheck` has passed) over the columns of `schema`."""

    def ref(of: ColumnRef) -> exp.Column:
        return column(of.name, table)

    def constant(of: ColumnRef, value: Literal) -> exp.Expr:
        found = schema.column(of.name)
        assert found is not None, "typecheck comes before render"
        return literal(value.value, found.type)

    match node:
        case Compare(op, left, right):
            return _COMPARISONS[op](this=ref(left), expression=constant(left, right))
        case In(left, values):
            constants = [constant(left, value) for value in values]
            if len(constants) <= _IN_LIST_LIMIT:
                return exp.In(this=ref(left), expressions=constants)
            listed = exp.select(exp.func("unnest", exp.array(*constants, dialect=DIALECT), dialect=DIALECT))
            return exp.In(this=ref(left), query=listed.subquery())
        case IsNull(left):
            return exp.Is(this=ref(left), expression=exp.null())
        case Contains(left, text):
            return exp.func("contains", ref(left), literal(text, FieldType.STRING), dialect=DIALECT)
        case And(operands):
            return exp.and_(*(exp.paren(render(operand, schema, table)) for operand in operands))
        case Or(operands):
            return exp.or_(*(exp.paren(render(operand, schema, table)) for operand in operands))
        case Not(operand):
            return exp.Not(this=exp.paren(render(operand, schema, table)))


def render_aggregate(node: Aggregate, schema: TableSchema) -> exp.Expr:
    """One select-list item; all items of a query are answered by the same scan."""
    match node:
        case Count():
            return exp.Count(this=exp.Star())
        case CountWhere(where):
            condition = exp.Where(this=render(where, schema))
            return exp.Filter(this=exp.Count(this=exp.Star()), expression=condition)
        case CountDistinct(columns):
            # A struct is never null itself, so that absent values are counted like any other value.
            together = exp.Anonymous(this="row", expressions=[column(item.name) for item in columns])
            return exp.Count(this=exp.Distinct(expressions=[together]))
        case Min(of):
            return exp.Min(this=column(of.name))
        case Max(of):
            return exp.Max(this=column(of.name))


def same_key(key: tuple[str, ...], left: str, right: str) -> exp.Expr:
    """That two rows have the same key; absent values equal each other."""
    return exp.and_(
        *(exp.NullSafeEQ(this=column(name, left), expression=column(name, right)) for name in key)
    )


def ordered(order: tuple[tuple[str, bool], ...]) -> list[exp.Ordered]:
    """ORDER BY items from (column, descending) pairs; absent values last in both directions."""
    return [exp.Ordered(this=column(name), desc=desc, nulls_first=False) for name, desc in order]


def read_parquet(uris: list[str], *, row_numbers: bool = False) -> exp.Expr:
    """`read_parquet([...])` over exactly these files. Columns are matched by name; nothing is guessed from
    paths. With `row_numbers` two columns more: `filename`, and `file_row_number` counted from 0."""
    options = {
        "hive_partitioning": False,
        "union_by_name": True,
        "file_row_number": row_numbers,
        "filename": row_numbers,
    }
    named = [
        exp.EQ(this=exp.to_identifier(name), expression=exp.convert(value)) for name, value in options.items()
    ]
    files = exp.array(*(exp.Literal.string(uri) for uri in uris), dialect=DIALECT)
    return exp.Anonymous(this="read_parquet", expressions=[files, *named])


def columns_of_file(uri: str, schema: TableSchema) -> exp.Expr:
    """SELECT of these columns of one file, in the file's order; a column that the file does not have is absent."""
    nothing = exp.select(
        *(
            exp.alias_(exp.cast(exp.null(), duckdb_type(each.type), dialect=DIALECT), each.name, quoted=True)
            for each in schema.columns
        )
    ).where(exp.false())
    rows = exp.Union(
        this=exp.select("*").from_(read_parquet([uri])), expression=nothing, distinct=False, by_name=True
    )
    return exp.select(*(column(name) for name in schema.names)).from_(rows.subquery("file"))
