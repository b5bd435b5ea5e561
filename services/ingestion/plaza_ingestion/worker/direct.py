"""Columns read straight from a window's bytes by Arrow's own readers, without a column of text between.

`convert.parse` stays the definition. Arrow reads integers and numbers by the same rules but for a little more:
blanks around them, hexadecimal, nan, inf. Where a window holds anything of that kind, or Arrow refuses a cell or
a record, there is no answer, and the window is judged by its texts. So nothing that is refused is explained from
here, and what is answered is what the texts would give (property test: `test_ingestion_worker_direct.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.batches import Batch, Joined
from plaza_ingestion.worker.bitmaps import bitmap, next_places, odd_places, previous_places
from plaza_ingestion.worker.cells import read_typed
from plaza_ingestion.worker.convert import ARROW_TYPES, Column, convert
from plaza_ingestion.worker.encodings import UTF8, Encoding
from plaza_ingestion.worker.plan import Dialect, FieldSpec, LoadPlan
from plaza_ingestion.worker.records import CR, LF, Bools, Ints

_DIRECT: Final = ("integer", "number")
_LONGEST_REST: Final = 32


class DirectColumns:
    """Reads the fields of a file whose texts no step looks at. Safe to call from several threads."""

    def __init__(
        self, plan: LoadPlan, width: int, columns: Mapping[str, int], by_text: Collection[str]
    ) -> None:
        """`columns`: the place of each field in the file. `by_text`: fields whose texts steps change or read."""
        specs = [spec for spec in plan.fields if spec.source]
        self._dialect = plan.dialect
        self._width = width
        self._at = {spec.name: columns[spec.name] for spec in specs}
        self._tokens = sorted({token for spec in specs for token in ("", *spec.missing)})
        self._specs = {spec.name: spec for spec in specs}
        self._fewer_tokens = {spec.name for spec in specs if len({"", *spec.missing}) < len(self._tokens)}
        self._sees_all = len(self._at) == width
        self._serves = not by_text and any(spec.type in _DIRECT for spec in specs)
        self._rest = 0
        self._next_rest = 1

    def read_unchecked(self, batch: Batch) -> Mapping[str, Column] | None:
        """The columns of all records of a batch that is not `checked`, which its cells make up for: what is no
        character is in a text, where it is seen, or in what Arrow takes for no number."""
        if not self._sees_all or not batch.cells_tell(self._dialect):
            return None
        try:
            return self.read(batch, np.arange(len(batch.records)))
        except UnicodeDecodeError:
            return None

    def read(self, batch: Batch, good: Ints) -> Mapping[str, Column] | None:
        """The column of each field for the records `good`; None where only their texts can tell."""
        if not self._serves or self._resting():
            return None
        joined = batch.joined(good, self._dialect)
        if joined is None:
            return None
        found = self._read(joined, len(good))
        # Only the speed depends on this: in a file full of refused rows the attempt is not made every time.
        if found is None:
            self._rest = self._next_rest
            self._next_rest = min(self._next_rest * 2, _LONGEST_REST)
        else:
            self._next_rest = 1
        return found

    def _resting(self) -> bool:
        if self._rest <= 0:
            return False
        self._rest -= 1
        return True

    def _read(self, joined: Joined, rows: int) -> Mapping[str, Column] | None:
        tokens = _tokens_in(self._tokens, joined.encoding)
        if tokens is None or _may_be_read_otherwise(joined.data, self._dialect):
            return None
        types = {
            self._at[name]: ARROW_TYPES[spec.type] if spec.type in _DIRECT else pa.binary()
            for name, spec in self._specs.items()
        }
        table = read_typed(joined.data, self._width, types, tokens, self._dialect)
        if table is None or table.num_rows != rows:
            return None
        nothing_bad = np.zeros(rows, dtype=np.bool_)
        found: dict[str, Column] = {}
        for name, values in zip(self._specs, table.itercolumns(), strict=True):
            column = self._column(self._specs[name], values.combine_chunks(), joined, nothing_bad)
            if column is None:
                return None
            found[name] = column
        return found

    def _column(self, spec: FieldSpec, values: pa.Array, joined: Joined, nothing_bad: Bools) -> Column | None:
        if values.null_count and spec.name in self._fewer_tokens:
            return self._by_text(spec, joined)  # is a cell empty, or another field's word for nothing?
        if spec.type not in _DIRECT:
            values = _decoded(values, joined.encoding)
            if spec.type != "string":
                return _unless_bad(convert(values.fill_null(""), spec.type))
        elif spec.type == "number" and not _all_finite(values):
            return None
        missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else nothing_bad
        return Column(values, missing, nothing_bad)

    def _by_text(self, spec: FieldSpec, joined: Joined) -> Column | None:
        types = {self._at[spec.name]: pa.binary()}
        table = read_typed(joined.data, self._width, types, None, self._dialect)
        assert table is not None, "every cell is a text"
        cells = table.column(0).combine_chunks()
        return _unless_bad(convert(_decoded(cells, joined.encoding), spec.type, spec.missing))


def _unless_bad(column: Column) -> Column | None:
    return None if column.bad.any() else column


def _tokens_in(tokens: Sequence[str], encoding: Encoding) -> list[str] | None:
    """The tokens as the file's bytes say them; None when that is not certain."""
    if encoding is not UTF8 and not all(token.isascii() for token in tokens):
        return None
    return list(tokens)


def _may_be_read_otherwise(data: bytes, dialect: Dialect) -> bool:
    """Whether a cell could begin or end with a blank, or begin like a hexadecimal number."""
    signs = np.frombuffer(data, dtype=np.uint8)
    if hexadecimal := [sign for sign in b"xX" if sign in data]:
        behind_zero = next_places(bitmap(signs, ord("0")))
        if any((bitmap(signs, sign) & behind_zero).any() for sign in hexadecimal):
            return True
    blanks = [sign for sign in b" \t" if sign in data and sign != dialect.delimiter_byte]
    if not blanks:
        return False
    quotes = bitmap(signs, dialect.quote_byte)
    ends = bitmap(signs, LF) | bitmap(signs, CR) | bitmap(signs, dialect.delimiter_byte)
    edges = quotes | (ends & ~odd_places(quotes))
    beside = next_places(edges) | previous_places(edges)
    inner = all(not (bitmap(signs, sign) & beside).any() for sign in blanks)
    return not inner or data[0] in blanks or data[-1] in blanks


def _all_finite(values: pa.Array) -> bool:
    return pc.all(pc.is_finite(values)).as_py() in (True, None)  # None: no value at all


def _is_ascii(values: pa.BinaryArray) -> bool:
    _, offsets, data = values.buffers()
    if data is None:
        return True
    ends = np.frombuffer(offsets, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return bool((np.frombuffer(data, dtype=np.int8)[ends[0] : ends[-1]] >= 0).all())


def _checked(values: pa.Array) -> pa.Array:
    """Valid UTF-8, as texts."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise UnicodeDecodeError(UTF8.name, b"", 0, 0, str(error)) from error


def _decoded(values: pa.Array, encoding: Encoding) -> pa.Array:
    """The same texts in UTF-8, each different one decoded once. Raises `UnicodeDecodeError`."""
    if encoding is UTF8 or _is_ascii(values):
        return _checked(values)
    different = values.dictionary_encode()
    texts = [text.decode(encoding.name) for text in different.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(different.indices)
