"""What the cells of one column have in common, learned window by window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import convert, text_buffers
from plaza_ingestion.worker.records import Ints

MISSING_TOKENS: Final = (
    *("NA", "N/A", "#N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "Null", "None", "none"),
    *("-", "--", "---"),
    *(
        " ",
        "  ",
        "   ",
        "\u3000",
    ),  # a load does not trim: blank is not empty
    *("/", "\\N", "—", "——", "无", "空", "无数据", "缺失", "缺测", "未知", "暂无"),
)
"""Texts that people write for "no value"."""

_LONG_NUMBER: Final = "^[+-]?[0-9]{16,}$"
"""A double, and so a spreadsheet, holds 15 digits; a longer whole number is an identifier."""
_A_FEW: Final = 64
_TOKENS: Final = pa.array(MISSING_TOKENS)
_ZERO, _NINE = b"09"


@dataclass(slots=True)
class ColumnProfile:
    """A fold over the windows of a file: `learn` each, then ask."""

    rows: int = 0
    empty: int = 0
    values: int = 0
    """Cells that are neither empty nor a missing token."""
    tokens: set[str] = field(default_factory=set)
    """Missing tokens that occur."""
    leading_zeros: bool = False
    """A number begins with a zero and another digit; known only while the column could be numbers."""
    long_numbers: bool = False
    """A whole number has more than 15 digits; known only while the column could be numbers."""
    spelled_booleans: bool = False
    """A boolean is written in letters, not only as 0 and 1."""
    low: int | None = None
    high: int | None = None
    """Range of the values, while they are integers."""
    _fits: set[str] = field(default_factory=lambda: {"integer", "number", "boolean", "date", "timestamp"})
    _last: int | None = None
    _steps_by_one: bool = True

    @property
    def counts_rows(self) -> bool:
        """Every value is an integer, greater by one than the value before."""
        return "integer" in self._fits and self._steps_by_one and bool(self.values)

    @property
    def type_name(self) -> str:
        """The narrowest type that takes every cell but the missing ones."""
        if not self.values:
            return "string"
        if "boolean" in self._fits and self.spelled_booleans:
            return "boolean"
        if self.digits_are_a_code:
            return "string"
        order = ("integer", "number", "date", "timestamp")
        return next((name for name in order if name in self._fits), "string")

    @property
    def digits_are_a_code(self) -> bool:
        """All values could be numbers, and some are written as no quantity is."""
        return bool(self._fits & {"integer", "number"}) and (self.leading_zeros or self.long_numbers)

    def learn(self, cells: pa.StringArray) -> None:
        """Takes in the cells of the next window (none null)."""
        offsets, _ = text_buffers(cells)
        empty = int(np.count_nonzero(np.diff(offsets) == 0))
        tokens = cells.filter(pc.is_in(cells, value_set=_TOKENS))
        found = tuple(sorted(pc.unique(tokens).to_pylist()))
        self.rows += len(cells)
        self.empty += empty
        self.values += len(cells) - empty - len(tokens)
        self.tokens.update(found)
        # An integer is a number as well: `number` is tried from the window on in which `integer` fails.
        for name in ("boolean", "date", "timestamp", "integer", "number"):
            if name in self._fits and not (name == "number" and "integer" in self._fits):
                self._try(cells, name, found)
        if self._fits & {"integer", "number"}:
            self._learn_digits(cells)

    def _try(self, cells: pa.StringArray, name: str, tokens: tuple[str, ...]) -> None:
        if convert(cells.slice(0, _A_FEW), name, tokens).bad.any():
            self._fits.discard(name)  # most columns show at once what they are not
            return
        column = convert(cells, name, tokens)
        if column.bad.any():
            self._fits.discard(name)
        elif name == "integer":
            self._learn_range(column.values.drop_null().to_numpy())
        elif name == "boolean" and not self.spelled_booleans:
            spellings = pc.unique(cells.filter(pa.array(~column.missing)))
            self.spelled_booleans = any(not text.isdigit() for text in spellings.to_pylist())

    def _learn_range(self, values: Ints) -> None:
        if not len(values):
            return
        self.low = min(int(values.min()), self.low if self.low is not None else int(values[0]))
        self.high = max(int(values.max()), self.high if self.high is not None else int(values[0]))
        before = int(values[0]) - 1 if self._last is None else self._last
        self._steps_by_one &= bool((np.diff(values, prepend=before) == 1).all())
        self._last = int(values[-1])

    def _learn_digits(self, cells: pa.StringArray) -> None:
        offsets, data = text_buffers(cells)
        lengths = np.diff(offsets)
        begin = offsets[:-1][lengths >= 2]
        second = data[begin + 1]
        self.leading_zeros |= bool(((data[begin] == _ZERO) & (second >= _ZERO) & (second <= _NINE)).any())
        longer = cells.filter(pa.array(lengths > 15))
        self.long_numbers |= pc.any(pc.match_substring_regex(longer, _LONG_NUMBER)).as_py() is True
