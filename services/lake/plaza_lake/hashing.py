"""The content hash of a version: what the rows say, whatever files and order they lie in.

The encoding is fixed in docs/adr/0005-content-hash.md, with a test vector; it must never change under this
name. It is unambiguous: every value has a type tag, every text its length, absent differs from empty.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from plaza_kit.grants import GrantVerifier

from plaza_lake.ir import Expr
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.schema import FieldType, TableSchema, arrow_schema
from plaza_lake.tables import Lake

DOMAIN: Final = b"plaza-content-hash 1\n"
TAGS: Final = {
    FieldType.STRING: 1,
    FieldType.INTEGER: 2,
    FieldType.NUMBER: 3,
    FieldType.BOOLEAN: 4,
    FieldType.DATE: 5,
    FieldType.TIMESTAMP: 6,
    FieldType.BYTES: 7,
}
"""Tag of a present value; 0 stands for an absent one of any type."""

_CANONICAL_NAN: Final = np.uint64(0x7FF8000000000000)

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Indexes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ContentHash:
    """SHA-256 in hex over `rows` canonical rows."""

    sha256: str
    rows: int


def content_hash(
    lake: Lake,
    verifier: GrantVerifier,
    grant_token: str,
    columns: tuple[str, ...] | None = None,
    filter: Expr | None = None,
) -> ContentHash:
    """The hash of the rows that the grant permits, in canonical order. Of a whole version only under a grant
    for all columns and rows; a part's hash is the hash of that part. Raises as `read_rows`."""
    query = RowQuery(columns=columns, filter=filter, canonical=True)
    with read_rows(lake, verifier, grant_token, query) as stream:
        hasher = ContentHasher(stream.schema)
        for batch in stream.batches:
            hasher.update(batch)
    return hasher.result()


class ContentHasher:
    """Hashes rows as they pass by, in the order in which they pass: equal to `content_hash` for a stream that
    was asked for with `RowQuery(canonical=True)`."""

    def __init__(self, schema: TableSchema) -> None:
        self._schema = schema
        self._arrow = arrow_schema(schema)
        self._digest = hashlib.sha256(_header(schema))
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch. Raises `ValueError` if its columns are not the schema's."""
        if batch.schema.remove_metadata() != self._arrow:
            raise ValueError(f"batch has schema {batch.schema}, expected {self._arrow}")
        if batch.num_rows:
            self._digest.update(_encode(batch, self._schema).data)
            self._rows += batch.num_rows

    def result(self) -> ContentHash:
        """The hash so far."""
        return ContentHash(self._digest.hexdigest(), self._rows)


def _header(schema: TableSchema) -> bytes:
    parts = [DOMAIN, len(schema.columns).to_bytes(4, "big")]
    for column in schema.columns:
        name = column.name.encode()
        parts += [len(name).to_bytes(4, "big"), name, bytes([TAGS[column.type]])]
    return b"".join(parts)


def _encode(batch: pa.RecordBatch, schema: TableSchema) -> _Bytes:
    """All rows of a batch, encoded one after the other, without a Python step per cell: each column says how
    long its cells are, then writes them all at their places."""
    cells = [_Cells(array, column.type) for array, column in zip(batch.columns, schema.columns, strict=True)]
    lengths = np.stack([cell.lengths for cell in cells], axis=1)
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    encoded: _Bytes = np.empty(int(ends[-1, -1]), np.uint8)
    for position, cell in enumerate(cells):
        cell.write(encoded, ends[:, position] - lengths[:, position])
    return encoded


class _Cells:
    """One column of a batch: tag, then for texts and bytes the length in 4 bytes, then the value."""

    def __init__(self, array: pa.Array, field_type: FieldType) -> None:
        self._tag = TAGS[field_type]
        self._present: npt.NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
        values = array.drop_null()
        self._payload: _Bytes = np.empty(0, np.uint8)
        self._sizes: _Indexes = np.zeros(len(values), np.int64)
        if field_type in (FieldType.STRING, FieldType.BYTES):
            self._payload, self._sizes = _variable(values)
            self._fixed = _big_endian(self._sizes, ">u4")
        else:
            self._fixed = _fixed(values, field_type)
        self.lengths: _Indexes = np.ones(len(array), np.int64)
        self.lengths[self._present] += self._fixed.shape[1] + self._sizes

    def write(self, encoded: _Bytes, starts: _Indexes) -> None:
        encoded[starts] = np.where(self._present, self._tag, 0)
        places = starts[self._present] + 1
        width = self._fixed.shape[1]
        encoded[places[:, None] + np.arange(width)] = self._fixed
        if len(self._payload):
            sources = np.cumsum(self._sizes) - self._sizes
            shift = np.repeat(places + width - sources, self._sizes)
            encoded[shift + np.arange(len(self._payload))] = self._payload


def _variable(values: pa.Array) -> tuple[_Bytes, _Indexes]:
    """The bytes of all values behind each other, and the length of each."""
    _, offset_buffer, data = values.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[values.offset : values.offset + len(values) + 1]
    if not len(values) or data is None:
        return np.empty(0, np.uint8), np.zeros(len(values), np.int64)
    payload: _Bytes = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return payload, (offsets[1:] - offsets[:-1]).astype(np.int64)


def _fixed(values: pa.Array, field_type: FieldType) -> _Bytes:
    match field_type:
        case FieldType.BOOLEAN:
            return _big_endian(values.cast(pa.uint8()).to_numpy(), ">u1")
        case FieldType.DATE:
            return _big_endian(values.cast(pa.int32()).to_numpy(), ">i4")
        case FieldType.NUMBER:
            # Adding 0.0 makes -0.0 positive; a NaN may carry any payload, so that all become one.
            numbers = values.to_numpy() + 0.0
            bits = numbers.view(np.uint64)
            return _big_endian(np.where(np.isnan(numbers), _CANONICAL_NAN, bits), ">u8")
        case _:
            return _big_endian(pc.cast(values, pa.int64()).to_numpy(), ">i8")


def _big_endian(numbers: npt.NDArray[np.generic], code: str) -> _Bytes:
    encoded = np.ascontiguousarray(numbers.astype(code))
    return encoded.view(np.uint8).reshape(-1, encoded.dtype.itemsize)
