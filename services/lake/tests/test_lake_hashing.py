from __future__ import annotations

import hashlib
import math
import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_lake.hashing import ContentHasher
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema

SCHEMA = TableSchema(tuple(Column(f"c_{kind}", kind) for kind in FieldType))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CELLS: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.STRING: st.text(max_size=5),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.NUMBER: st.floats(),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: st.dates(),
    FieldType.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    FieldType.BYTES: st.binary(max_size=5),
}
ROWS = st.lists(
    st.fixed_dictionaries({c.name: st.none() | _CELLS[c.type] for c in SCHEMA.columns}), max_size=12
)


def reference(rows: list[dict[str, Any]], schema: TableSchema) -> str:
    """ADR 0005 read literally, one value at a time."""
    text = b"plaza-content-hash 1\n" + struct.pack(">I", len(schema.columns))
    tags = {kind: bytes([number]) for number, kind in enumerate(FieldType, start=1)}
    for column in schema.columns:
        text += struct.pack(">I", len(column.name)) + column.name.encode() + tags[column.type]
    for row in rows:
        for column in schema.columns:
            value = row[column.name]
            text += b"\0" if value is None else tags[column.type] + _value(value, column.type)
    return hashlib.sha256(text).hexdigest()


def _value(value: Any, kind: FieldType) -> bytes:
    match kind:
        case FieldType.STRING:
            return struct.pack(">I", len(value.encode())) + value.encode()
        case FieldType.BYTES:
            return struct.pack(">I", len(value)) + value
        case FieldType.INTEGER:
            return struct.pack(">q", value)
        case FieldType.NUMBER:
            if math.isnan(value):
                return bytes.fromhex("7ff8000000000000")
            return struct.pack(">d", 0.0 if value == 0 else value)
        case FieldType.BOOLEAN:
            return b"\1" if value else b"\0"
        case FieldType.DATE:
            return struct.pack(">i", (value - date(1970, 1, 1)).days)
        case FieldType.TIMESTAMP:
            return struct.pack(">q", (value - EPOCH) // timedelta(microseconds=1))


def _hash(rows: list[dict[str, Any]], schema: TableSchema = SCHEMA, cut: int | None = None) -> str:
    hasher = ContentHasher(schema)
    whole = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(schema))
    for part in [whole] if cut is None else [whole.slice(0, cut), whole.slice(cut)]:
        hasher.update(part)
    assert hasher.result().rows == len(rows)
    return hasher.result().sha256


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 12))
def test_the_fast_encoding_is_the_written_one(rows: list[dict[str, Any]], cut: int) -> None:
    assert _hash(rows) == _hash(rows, cut=min(cut, len(rows))) == reference(rows, SCHEMA)


VECTOR_SCHEMA = TableSchema(
    (
        Column("station", FieldType.STRING),
        Column("hour", FieldType.INTEGER),
        Column("pm2_5", FieldType.NUMBER),
        Column("valid", FieldType.BOOLEAN),
        Column("day", FieldType.DATE),
        Column("time", FieldType.TIMESTAMP),
        Column("original", FieldType.BYTES),
    ),
    key=("station", "hour"),
)
VECTOR: list[dict[str, Any]] = [
    {
        "station": "东城",
        "hour": -1,
        "pm2_5": -0.0,
        "valid": True,
        "day": date(2013, 3, 1),
        "time": datetime(2013, 3, 1, 0, 0, 0, 1, tzinfo=UTC),
        "original": b"\x00\xff",
    },
    dict.fromkeys(VECTOR_SCHEMA.names) | {"station": "", "hour": 2**62, "pm2_5": math.nan, "original": b""},
]


def test_the_vector_of_adr_0005() -> None:
    assert _hash(VECTOR, VECTOR_SCHEMA) == "429daeff9c99fd9abd912ff61945c701c03a8b769915fe1010ba45c0bf11f14f"
    assert _hash([], VECTOR_SCHEMA) == "96cda7a0908d072a2a5e332306c67453d25912d682681c2bc4a2b6b1001b68ae"


def test_absent_empty_and_order_are_different() -> None:
    schema = TableSchema((Column("a", FieldType.STRING), Column("b", FieldType.STRING)))
    tables = [
        [],
        [{"a": None, "b": None}],
        [{"a": "", "b": None}],
        [{"a": None, "b": ""}],
        [{"a": "x", "b": "y"}],
        [{"a": "y", "b": "x"}],
        [{"a": "xy", "b": ""}],
        [{"a": "x", "b": "y"}, {"a": "y", "b": "x"}],
        [{"a": "y", "b": "x"}, {"a": "x", "b": "y"}],
    ]
    assert len({_hash(rows, schema) for rows in tables}) == len(tables)


def test_names_and_types_belong_to_what_is_hashed() -> None:
    def of(name: str, kind: FieldType) -> str:
        return _hash([{name: None}], TableSchema((Column(name, kind),)))

    assert len({of("a", FieldType.STRING), of("b", FieldType.STRING), of("a", FieldType.BYTES)}) == 3


def test_hidden_bytes_under_a_null_do_not_count() -> None:
    schema = TableSchema((Column("a", FieldType.STRING),))
    clean = pa.array(["x", None, "y"], pa.string())
    dirty = pa.Array.from_buffers(
        pa.string(),
        3,
        [pa.py_buffer(b"\x05"), pa.py_buffer(struct.pack("<4i", 0, 1, 4, 5)), pa.py_buffer(b"x???y")],
    )
    assert dirty.to_pylist() == clean.to_pylist()
    hashes = set()
    for array in (clean, dirty):
        hasher = ContentHasher(schema)
        hasher.update(pa.RecordBatch.from_arrays([array], schema=arrow_schema(schema)))
        hashes.add(hasher.result().sha256)
    assert len(hashes) == 1


def test_a_batch_of_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        ContentHasher(SCHEMA).update(pa.record_batch({"a": [1]}))
