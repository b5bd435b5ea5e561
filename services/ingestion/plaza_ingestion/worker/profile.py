"""What the cells of one column have in common, learned window by window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import convert, text_buffers
from plaza_ingestion.worker.records import Ints
from plaza_ingestion.worker.steps.texts import BLANKS, trim
from plaza_ingestion.worker.time_guesses import TimeGuess, guesses, reader_of

MISSING_TOKENS: Final = (
    *("NA", "N/A", "#N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "Null", "None", "none"),
    *("-", "--", "---"),
    *(
        " ",
        "  ",
        "   ",
        "\u3000",
    ),  # a load does not trim unless a step says so: blank is not empty
    *("/", "\\N", "—", "——", "无", "空", "无数据", "缺失", "缺测", "未知", "暂无"),
)
"""Texts that people write for "no value"."""

_LONG_NUMBER: Final = "^[+-]?[0-9]{16,}$"
"""A double, and so a spreadsheet, holds 15 digits; a longer whole number is an identifier."""
_A_FEW: Final = 64
_MOST_DISTINCT: Final = 4096
_ZERO, _NINE = b"09"


@dataclass(slots=True)
class ColumnProfile:
    """A fold over the windows of a file: `learn` each, then ask."""

    declared: tuple[str, ...] = ()
    """Texts that whoever asked says mean "no value", beside `MISSING_TOKENS`."""
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
    padded: bool = False
    """A text has blanks around it: from the window on in which that shows, texts are learned without."""
    distinct: set[str] | None = field(default_factory=set)
    """The different values; None when they are too many."""
    shortest: int | None = None
    """Fewest bytes of a value."""
    longest: int = 0
    times: tuple[TimeGuess, ...] | None = None
    """Ways to read all values so far as a time, the strictest first; None before the first value."""
    _tokens: pa.StringArray = field(init=False)
    _fits: set[str] = field(default_factory=lambda: {"integer", "number", "boolean", "date", "timestamp"})
    _last: int | None = None
    _steps_by_one: bool = True

    def __post_init__(self) -> None:
        self._tokens = pa.array((*MISSING_TOKENS, *self.declared), pa.string())

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
    def fixed_digits(self) -> int:
        """How many digits every value has, when all are whole numbers of one length from two up; else 0."""
        if "integer" not in self._fits or self.low is None or self.high is None or self.longest < 2:
            return 0
        same = self.shortest == self.longest and 10 ** (self.longest - 1) <= self.low
        return self.longest if same and self.high < 10**self.longest else 0

    @property
    def digits_are_a_code(self) -> bool:
        """All values could be numbers, and some are written as no quantity is."""
        return bool(self._fits & {"integer", "number"}) and (self.leading_zeros or self.long_numbers)

    def learn(self, cells: pa.StringArray) -> pa.StringArray:
        """Takes in the cells of the next window (none null) and gives them as a proposal reads them."""
        cells = self._without_padding(cells)
        offsets, _ = text_buffers(cells)
        empty = int(np.count_nonzero(np.diff(offsets) == 0))
        is_token = pc.is_in(cells, value_set=self._tokens)
        tokens = cells.filter(is_token)
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
        if self.times is None or self.times or self.distinct is not None or "integer" in self._fits:
            values = cells.filter(pc.and_(pc.invert(is_token), pc.not_equal(cells, "")))
            self._learn_values(values)
        return cells

    def _without_padding(self, cells: pa.StringArray) -> pa.StringArray:
        trimmed = trim(cells)
        if trimmed is cells:
            return cells
        # A cell of blanks alone is a missing token like others.
        self.padded |= (
            pc.any(pc.and_(pc.not_equal(cells, trimmed), pc.not_equal(trimmed, ""))).as_py() is True
        )
        return trimmed if self.padded else cells

    def _learn_values(self, values: pa.StringArray) -> None:
        if not len(values):
            return
        if self.times is None:
            self.times = guesses(values[0].as_py())
        self.times = tuple(guess for guess in self.times if _reads(guess, values))
        lengths = np.diff(text_buffers(values)[0])
        low = int(lengths.min())
        self.shortest = low if self.shortest is None else min(self.shortest, low)
        self.longest = max(self.longest, int(lengths.max()))
        if self.distinct is not None:
            # Most columns of many values show it at once.
            self.distinct.update(pc.unique(values.slice(0, 2 * _MOST_DISTINCT)).to_pylist())
            if len(self.distinct) <= _MOST_DISTINCT:
                self.distinct.update(pc.unique(values).to_pylist())
            if len(self.distinct) > _MOST_DISTINCT:
                self.distinct = None

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


def _reads(guess: TimeGuess, values: pa.StringArray) -> bool:
    reader = reader_of(guess)
    return not reader.read(values.slice(0, _A_FEW), ()).bad.any() and not reader.read(values, ()).bad.any()


def is_blank(text: str) -> bool:
    """Whether a text consists of blanks, so that trimming makes it empty."""
    return not text.strip(BLANKS)
