"""A query against the rows of one release, checked against its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza_lake.filter_text import parse_filter
from plaza_lake.ir import Expr, UnknownField
from plaza_lake.order_text import Order, parse_order
from plaza_lake.schema import Column, FieldType, TableSchema

MAX_SKIPPED: Final = 10_000
"""Rows that can be leafed through; who wants more takes the file."""
_TYPES: Final = {
    contract_pb2.FIELD_TYPE_INTEGER: FieldType.INTEGER,
    contract_pb2.FIELD_TYPE_NUMBER: FieldType.NUMBER,
    contract_pb2.FIELD_TYPE_BOOLEAN: FieldType.BOOLEAN,
    contract_pb2.FIELD_TYPE_DATE: FieldType.DATE,
    contract_pb2.FIELD_TYPE_TIMESTAMP: FieldType.TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What is asked of a release's rows."""

    schema: TableSchema
    """Of the release's file."""
    columns: tuple[str, ...]
    filter: Expr | None
    order: Order

    @classmethod
    def of(cls, schema: TableSchema, columns: Sequence[str], filter: str, order_by: str) -> RowQuery:
        """Raises FilterSyntax, UnknownField, BadOrder."""
        for name in columns:
            if schema.column(name) is None:
                raise UnknownField(name, schema.names)
        return cls(
            schema,
            tuple(columns) or schema.names,
            parse_filter(filter, schema),
            parse_order(order_by, schema),
        )

    @property
    def shown(self) -> TableSchema:
        """The columns of the answer, in their order."""
        return self.schema.select(self.columns)


def fields_of(header: Sequence[str], contract: contract_pb2.Contract) -> list[contract_pb2.Field]:
    """The fields of a file, as the release's contract knows them; a column that it does not know is text."""
    known = {field.name: field for field in contract.fields}
    text = contract_pb2.FIELD_TYPE_STRING
    return [known.get(name) or contract_pb2.Field(name=name, type=text) for name in header]


def schema_of(fields: Sequence[contract_pb2.Field]) -> TableSchema:
    """The columns that a filter and an order can name."""
    return TableSchema(tuple(Column(each.name, _TYPES.get(each.type, FieldType.STRING)) for each in fields))
