from __future__ import annotations

import pyarrow as pa
import pytest
from plaza_lake.schema import (
    QUARANTINE_SCHEMA,
    Column,
    FieldType,
    InvalidFieldName,
    InvalidSchema,
    TableSchema,
    arrow_schema,
    iceberg_schema,
    schema_from_iceberg,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow

EVERY_TYPE = TableSchema(
    tuple(Column(f"c_{kind}", kind, required=kind is FieldType.STRING) for kind in FieldType),
    key=("c_string",),
)


@pytest.mark.parametrize("name", ["PM2.5", "2nd", "", "a-b", "a b", "_a", "东城", "a" * 64, 'a"', "a\n"])
def test_names_that_not_every_engine_carries_are_refused(name: str) -> None:
    with pytest.raises(InvalidFieldName):
        Column(name, FieldType.STRING)


def test_names_that_duckdb_gives_itself_are_refused() -> None:
    with pytest.raises(InvalidFieldName, match="reserved"):
        Column("filename", FieldType.STRING)


@pytest.mark.parametrize(
    ("names", "key"), [((), ()), (("a", "a"), ()), (("a",), ("b",)), (("a",), ("a", "a"))]
)
def test_columns_and_key_must_make_a_table(names: tuple[str, ...], key: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSchema):
        TableSchema(tuple(Column(name, FieldType.STRING) for name in names), key)


@pytest.mark.parametrize("schema", [EVERY_TYPE, QUARANTINE_SCHEMA])
def test_iceberg_gives_the_same_schema_back(schema: TableSchema) -> None:
    assert schema_from_iceberg(iceberg_schema(schema), schema.key) == schema


def test_arrow_types_are_those_that_iceberg_readers_make() -> None:
    theirs = schema_to_pyarrow(iceberg_schema(EVERY_TYPE), include_field_ids=False)
    as_small = [
        pa.string() if t == pa.large_string() else pa.binary() if t == pa.large_binary() else t
        for t in theirs.types
    ]
    assert as_small == arrow_schema(EVERY_TYPE).types


def test_a_part_keeps_the_key_only_when_it_is_whole() -> None:
    schema = TableSchema(tuple(Column(name, FieldType.STRING) for name in "abc"), key=("a", "b"))
    assert schema.select(("b", "a")).key == ("a", "b")
    assert schema.select(("b", "a")).names == ("b", "a")
    assert schema.select(("b", "c")).key == ()


def test_the_key_identifies_in_iceberg_where_iceberg_allows_it() -> None:
    assert iceberg_schema(QUARANTINE_SCHEMA).identifier_field_ids == [1]
    optional = TableSchema((Column("a", FieldType.STRING),), key=("a",))
    assert iceberg_schema(optional).identifier_field_ids == []
