"""What a table looks like (`fields`), said to Iceberg, Arrow and DuckDB."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from plaza_kit.errors import FailedPrecondition
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

from plaza_lake.fields import QUARANTINE_SCHEMA as QUARANTINE_SCHEMA
from plaza_lake.fields import RESERVED as RESERVED
from plaza_lake.fields import Column as Column
from plaza_lake.fields import FieldType as FieldType
from plaza_lake.fields import InvalidFieldName as InvalidFieldName
from plaza_lake.fields import InvalidSchema as InvalidSchema
from plaza_lake.fields import TableKind as TableKind
from plaza_lake.fields import TableSchema as TableSchema

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


class UnsupportedColumn(FailedPrecondition):
    """A stored table has a column of a type that Plaza never writes."""


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
