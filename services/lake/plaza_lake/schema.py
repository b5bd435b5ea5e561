"""What a table looks like: names, types, key; and the same thing said to Iceberg, Arrow and DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import pyarrow as pa
from plaza_kit.errors import FailedPrecondition, InvalidArgument
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

TableKind = Literal["rows", "quarantine"]
"""The two tables of a dataset: what was accepted, and what was refused with its reason."""


class FieldType(StrEnum):
    """The types that a column may have, in the words of the contract."""

    STRING = "string"
    INTEGER = "integer"
    """64 bits, signed."""
    NUMBER = "number"
    """IEEE 754 binary64."""
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """An instant, microseconds, UTC."""
    BYTES = "bytes"


_ICEBERG: Final[dict[FieldType, IcebergType]] = {
    FieldType.STRING: StringType(),
    FieldType.INTEGER: LongType(),
    FieldType.NUMBER: DoubleType(),
    FieldType.BOOLEAN: BooleanType(),
    FieldType.DATE: DateType(),
    FieldType.TIMESTAMP: TimestamptzType(),
    FieldType.BYTES: BinaryType(),
}
_ARROW: Final[dict[FieldType, pa.DataType]] = {
    FieldType.STRING: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    FieldType.BYTES: pa.binary(),
}
_DUCKDB: Final[dict[FieldType, str]] = {
    FieldType.STRING: "VARCHAR",
    FieldType.INTEGER: "BIGINT",
    FieldType.NUMBER: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.TIMESTAMP: "TIMESTAMPTZ",
    FieldType.BYTES: "BLOB",
}

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED: Final = frozenset({"filename", "file_row_number", "file_index"})
"""Names that DuckDB gives to columns of its own when it reads Parquet."""


class InvalidFieldName(InvalidArgument):
    """A column has a name that not every engine can carry."""


class InvalidSchema(InvalidArgument):
    """The columns and the key do not make a table."""


class UnsupportedColumn(FailedPrecondition):
    """A stored table has a column of a type that Plaza never writes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `required`: a row without a value is refused at load."""

    name: str
    type: FieldType
    required: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidFieldName(
                f"field name {self.name!r} is not [a-z][a-z0-9_]* of at most 63 characters",
                remedy="Use lower-case ASCII letters, digits and underscores; begin with a letter.",
                facts={"field": self.name},
            )
        if self.name in RESERVED:
            raise InvalidFieldName(
                f"field name {self.name!r} is reserved",
                remedy=f"Rename it; reserved are {', '.join(sorted(RESERVED))}.",
                facts={"field": self.name},
            )


@dataclass(frozen=True, slots=True)
class TableSchema:
    """Columns in the contract's order, and the names of the key (empty: the table has none)."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise InvalidSchema("a table needs at least one column", remedy="Declare its fields.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidSchema(f"fields declared twice: {', '.join(twice)}", remedy="Name each field once.")
        unknown = [name for name in self.key if name not in names]
        if unknown or len(set(self.key)) < len(self.key):
            raise InvalidSchema(
                f"key {', '.join(self.key)} must name declared fields, each once",
                remedy=f"Choose from: {', '.join(names)}.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def select(self, names: Iterable[str]) -> TableSchema:
        """The named columns in the order asked for; the key stays only when it is whole."""
        by_name = {column.name: column for column in self.columns}
        columns = tuple(by_name[name] for name in names)
        chosen = {column.name for column in columns}
        return TableSchema(columns, self.key if chosen.issuperset(self.key) else ())


QUARANTINE_SCHEMA: Final = TableSchema(
    columns=(
        Column("id", FieldType.STRING, required=True),
        Column("batch_id", FieldType.STRING, required=True),
        Column("file", FieldType.STRING, required=True),
        Column("line", FieldType.INTEGER, required=True),
        Column("field", FieldType.STRING),
        Column("reason", FieldType.STRING, required=True),
        Column("detail", FieldType.STRING, required=True),
        Column("original", FieldType.BYTES, required=True),
    ),
    key=("id",),
)
"""Refused rows: `line` is the first physical line of the record (header = 1), `field` is empty for a ragged
record, `original` holds the record's exact bytes, whatever their encoding."""


def iceberg_schema(schema: TableSchema) -> Schema:
    """A new Iceberg schema with fresh field ids, in column order.

    The key becomes Iceberg's identifier fields where Iceberg allows that: required, and not floating-point
    (Iceberg spec, "Identifier Field IDs").
    """
    fields = [
        NestedField(number, column.name, _ICEBERG[column.type], required=column.required)
        for number, column in enumerate(schema.columns, start=1)
    ]
    may_identify = {
        column.name for column in schema.columns if column.required and column.type is not FieldType.NUMBER
    }
    identifiers = [field.field_id for field in fields if field.name in schema.key]
    return Schema(*fields, identifier_field_ids=identifiers if may_identify.issuperset(schema.key) else [])


def iceberg_type(column: Column) -> IcebergType:
    """The Iceberg type of one column."""
    return _ICEBERG[column.type]


def schema_from_iceberg(schema: Schema, key: tuple[str, ...]) -> TableSchema:
    """The columns of a stored table. Raises `UnsupportedColumn` for a type that Plaza never writes."""
    by_type = {iceberg: ours for ours, iceberg in _ICEBERG.items()}
    columns = []
    for field in schema.fields:
        if field.field_type not in by_type:
            raise UnsupportedColumn(
                f"column {field.name} has the Iceberg type {field.field_type}",
                remedy="Only tables written by Plaza are read; load the data through ingestion.",
                facts={"field": field.name},
            )
        columns.append(Column(field.name, by_type[field.field_type], required=field.required))
    return TableSchema(tuple(columns), key)


def arrow_type(field_type: FieldType) -> pa.DataType:
    """The Arrow type that batches of this type have."""
    return _ARROW[field_type]


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """The Arrow schema of batches of this table. All nullable: so DuckDB writes and reads them."""
    return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in schema.columns])


def duckdb_type(field_type: FieldType) -> str:
    """The DuckDB name of the type, for casts and for staging."""
    return _DUCKDB[field_type]
