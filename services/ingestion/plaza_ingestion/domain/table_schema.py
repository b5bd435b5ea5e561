"""The contract's fields and key as a table of the lake, and which of two rows with one key stays."""

from __future__ import annotations

from typing import Final, NamedTuple

from plaza.common.v1 import contract_pb2
from plaza_lake.schema import Column, FieldType, TableSchema

_TYPES: Final = {
    contract_pb2.FIELD_TYPE_STRING: FieldType.STRING,
    contract_pb2.FIELD_TYPE_INTEGER: FieldType.INTEGER,
    contract_pb2.FIELD_TYPE_NUMBER: FieldType.NUMBER,
    contract_pb2.FIELD_TYPE_BOOLEAN: FieldType.BOOLEAN,
    contract_pb2.FIELD_TYPE_DATE: FieldType.DATE,
    contract_pb2.FIELD_TYPE_TIMESTAMP: FieldType.TIMESTAMP,
}


class Latest(NamedTuple):
    """Of rows with the same key that with the greatest value of a field stays."""

    field: str
    step: str
    """Name of the step that says so; may be empty."""


def table_schema(contract: contract_pb2.Contract) -> TableSchema:
    """Fields in the contract's order. A key field is required, whatever its own flag says: the worker refuses
    a row without a value there. Raises InvalidFieldName, InvalidSchema."""
    key = tuple(contract.key)
    columns = tuple(
        Column(field.name, _TYPES[field.type], required=field.required or field.name in key)
        for field in contract.fields
    )
    return TableSchema(columns, key)


def keep_latest(contract: contract_pb2.Contract) -> Latest | None:
    """As the contract declares it, which it does once at most."""
    for step in contract.steps:
        if step.WhichOneof("kind") == "keep_latest":
            return Latest(step.keep_latest.field, step.name)
    return None
