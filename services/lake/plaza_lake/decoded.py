"""A column of a data file in memory, decoded: to compare, sort and take rows by their position in the file.

Everything is compared as integers or floats. Texts are numbers of a sorted list of the different ones, so that a
comparison of texts is one of small numbers. Order and equality are those of `plaza_lake.ir`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plaza_lake.ir import Op, Scalar
from plaza_lake.schema import FieldType, arrow_type

Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]
"""Positions of rows."""
Numbers: TypeAlias = npt.NDArray[Any]
Some: TypeAlias = Rows | slice
"""Positions of rows, or all from one to another."""

_LISTED: Final = (FieldType.STRING, FieldType.BYTES)
"""Types whose different values are listed."""
_AS_INTEGERS: Final = {FieldType.TIMESTAMP: pa.int64(), FieldType.DATE: pa.int32()}
_FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1)
_SIGN: Final = np.int64(2**63 - 1)


class Parts:
    """A column as it comes, batch by batch."""

    def __init__(self, field_type: FieldType) -> None:
        self._type = field_type
        self._parts: list[pa.Array] = []
        self.nbytes = 0
        """What is held so far."""

    def add(self, array: pa.Array) -> None:
        """The next rows."""
        part = array.dictionary_encode() if self._type in _LISTED else array
        self._parts.append(part)
        self.nbytes += part.nbytes + (part.dictionary.nbytes if self._type in _LISTED else 0)

    def together(self) -> Decoded:
        """All of them. Nothing is left here: for a moment the column is there twice."""
        kind = arrow_type(self._type)
        if self._type in _LISTED:
            kind = pa.dictionary(pa.int32(), kind)
        whole = pa.chunked_array(self._parts, kind)
        self._parts, self.nbytes = [], 0
        return Decoded.of(self._type, whole)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One column of one file."""

    type: FieldType
    values: Numbers
    """By position; anything where the value is absent."""
    absent: Mask | None
    """None: no value is."""
    listed: pa.Array | None = None
    """Of texts and bytes: the different ones, sorted; `values` are positions in it."""
    has_nan: bool = False

    @classmethod
    def of(cls, field_type: FieldType, column: pa.ChunkedArray) -> Decoded:
        """From Arrow; texts may be dictionaries already."""
        absent = None
        if column.null_count:
            absent = column.is_null().to_numpy()
        if field_type in _LISTED:
            values, listed = _numbered(column)
            return cls(field_type, values, absent, listed)
        if field_type in _AS_INTEGERS:
            column = pa.chunked_array(
                [part.view(_AS_INTEGERS[field_type]) for part in column.chunks], _AS_INTEGERS[field_type]
            )
        if absent is not None:
            column = column.fill_null(False if field_type is FieldType.BOOLEAN else 0)
        # A copy: what the engine gave may be a part of something larger.
        values = np.array(column.to_numpy())
        nan = field_type is FieldType.NUMBER and bool(np.isnan(values).any())
        return cls(field_type, values, absent, has_nan=nan)

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        absent = 0 if self.absent is None else self.absent.nbytes
        return int(self.values.nbytes + absent + (0 if self.listed is None else self.listed.nbytes))

    def take(self, rows: Rows) -> pa.Array:
        """The values at these positions, as Arrow has them."""
        mask = None if self.absent is None else self.absent[rows]
        if self.listed is not None:
            places = pa.array(self.values[rows].astype(np.int64), mask=mask)
            return self.listed.take(places)
        found = pa.array(self.values[rows], mask=mask, from_pandas=False)
        return found.view(arrow_type(self.type)) if self.type in _AS_INTEGERS else found

    def keys(self, rows: Rows, descending: bool) -> Numbers:
        """Integers that sort as the values do; anything where the value is absent."""
        values = self.values[rows]
        if self.type is FieldType.NUMBER:
            values = _float_keys(values)
        elif values.dtype.kind != "i":
            values = values.astype(np.int64)
        return ~values if descending else values

    def compared(self, op: Op, value: Scalar, rows: Some) -> Mask:
        """Which of the rows compare so; anything where the value is absent."""
        values = self.values[rows]
        if self.listed is not None:
            assert isinstance(value, str), "typecheck comes before this"
            return _compared_texts(op, values, self.listed, value)
        number = _number(value)
        if self.type is FieldType.NUMBER and (self.has_nan or number != number):
            return _compared_with_nan(op, values, number)
        return _compared(op, values, number)

    def among(self, wanted: tuple[Scalar, ...], rows: Some) -> Mask:
        """Which of the rows have one of the values; anything where the value is absent."""
        values = self.values[rows]
        if self.listed is not None:
            return _looked_up(pc.is_in(self.listed, pa.array(wanted, self.listed.type)), values)
        numbers = [_number(value) for value in wanted]
        found = np.isin(values, np.array(numbers, values.dtype))
        if self.has_nan and any(number != number for number in numbers):
            found |= np.isnan(values)
        return found

    def containing(self, text: str, rows: Some) -> Mask:
        """Which of the rows hold a piece of text; anything where the value is absent."""
        assert self.listed is not None, "typecheck comes before this"
        return _looked_up(pc.match_substring(self.listed, text), self.values[rows])


def _numbered(column: pa.ChunkedArray) -> tuple[Numbers, pa.Array]:
    """Positions in the sorted list of different values, and the list."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    order = pc.sort_indices(whole.dictionary)
    listed = whole.dictionary.take(order)
    places = np.empty(max(len(listed), 1), np.min_scalar_type(len(listed)))
    places[order.to_numpy()] = np.arange(len(listed))
    return places[whole.indices.fill_null(0).to_numpy()], listed


def _float_keys(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Integers in the order of the numbers: -0.0 is 0.0, every NaN is the same and greater than the others."""
    bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.int64)
    return np.where(bits < 0, bits ^ _SIGN, bits)


def _compared_texts(op: Op, values: Numbers, listed: pa.Array, value: str) -> Mask:
    before = bisect_left(_Texts(listed), value)
    through = bisect_right(_Texts(listed), value, before)
    match op:
        case Op.EQ | Op.NE if before == through:
            return np.full(len(values), op is Op.NE)
        case Op.EQ | Op.NE:
            return _compared(op, values, before)
        case Op.LT | Op.GE:
            return _compared(op, values, before)
        case Op.LE:
            return values < through
        case Op.GT:
            return values >= through


def _looked_up(listed: pa.BooleanArray, values: Numbers) -> Mask:
    """What holds for the different values, for each row. Where all are absent there are none."""
    by_value: Mask = listed.to_numpy(zero_copy_only=False)
    return by_value[values] if len(by_value) else np.zeros(len(values), np.bool_)


class _Texts:
    """A list of texts as `bisect` reads it. Python compares texts in the order of their UTF-8 bytes."""

    def __init__(self, listed: pa.Array) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return len(self._listed)

    def __getitem__(self, at: int) -> str:
        return str(self._listed[at].as_py())


def _compared_with_nan(op: Op, values: Numbers, number: float) -> Mask:
    nan = np.isnan(values)
    if number == number:
        found = _compared(op, values, number)
        return found | nan if op in (Op.GT, Op.GE) else found
    match op:
        case Op.EQ | Op.GE:
            return nan
        case Op.NE | Op.LT:
            return ~nan
        case Op.LE:
            return np.ones(len(values), np.bool_)
        case Op.GT:
            return np.zeros(len(values), np.bool_)


def _number(value: Scalar) -> Any:
    """As the column holds it."""
    match value:
        case datetime():
            return (value - _FIRST_INSTANT) // timedelta(microseconds=1)
        case date():
            return (value - _FIRST_DAY).days
        case _:
            return value


def _compared(op: Op, values: Numbers, number: Any) -> Mask:
    found: Mask = _COMPARE[op](values, number)
    return found


_COMPARE: Final[dict[Op, np.ufunc]] = {
    Op.EQ: np.equal,
    Op.NE: np.not_equal,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.GT: np.greater,
    Op.GE: np.greater_equal,
}
