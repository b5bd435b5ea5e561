"""What columns of a sample have to do with each other. What is found here is a candidate: rows that were not drawn may
say otherwise, so it is counted over all of them before anybody believes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.ir import Scalar

Codes = NDArray[np.int64]

_QUICK_ROWS: Final = 5_000
"""Looked at first: most pairs of columns have nothing to do with each other, and few rows tell."""
_MOST_COLUMNS: Final = 40
"""Pairs and triples are looked for among so many columns."""
_MOST_COMPOSITES: Final = 400
_MOST_KEYS: Final = 6
_MOST_DEPENDENCIES: Final = 60
_GROUP: Final = 5
"""Rows of a value on average, for it to be said to determine another."""
_CATEGORIES: Final = 20
_SUPPORT: Final = 50
"""Rows of a category, for something to be said about it."""
_ORDERED: Final = (FieldType.INTEGER, FieldType.NUMBER, FieldType.DATE, FieldType.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Ordered:
    """`lower` is hardly ever above `upper`, and that is not plain from their bounds."""

    lower: str
    upper: str


@dataclass(frozen=True, slots=True)
class Present:
    """`field` has a value wherever `category` has one of these, and often has none elsewhere."""

    category: str
    values: tuple[Scalar, ...]
    field: str


@dataclass(frozen=True, slots=True)
class Rising:
    """`field` rises with `time` within each series."""

    field: str
    time: str
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relations:
    """All that was found."""

    keys: tuple[tuple[str, ...], ...]
    dependencies: tuple[tuple[str, str], ...]
    ordered: tuple[Ordered, ...]
    present: tuple[Present, ...]


class Sample:
    """Rows of a version, ready to be asked."""

    def __init__(self, rows: pa.Table, schema: TableSchema, distinct: Mapping[str, int], total: int) -> None:
        """`distinct`, `total`: over all rows of the version."""
        self._rows, self._schema, self._distinct, self._total = rows, schema, distinct, total
        self._codes: dict[str, Codes] = {}

    def codes(self, name: str) -> Codes:
        """A number for each different value, -1 without one."""
        if name not in self._codes:
            found = pc.dictionary_encode(self._rows.column(name).combine_chunks()).indices
            self._codes[name] = found.fill_null(-1).to_numpy().astype(np.int64)
        return self._codes[name]

    def relations(self) -> Relations:
        """All kinds."""
        if self._rows.num_rows < 2:
            return Relations((), (), (), ())
        return Relations(
            tuple(self._keys()), tuple(self._dependencies()), tuple(self._in_order()), tuple(self._present())
        )

    def _keys(self) -> Iterator[tuple[str, ...]]:
        """Single columns, then pairs and triples of which no part is a key already. Measured numbers are left out: that
        two never agree is chance."""
        full = [
            name for name in self._names() if self._distinct[name] > 1 and not (self.codes(name) < 0).any()
        ]
        found: list[tuple[str, ...]] = []
        tried = 0
        for size in (1, 2, 3):
            for names in combinations(full[:_MOST_COLUMNS], size):
                if any(set(names) >= set(key) for key in found) or self._at_most(names) < 0.999 * self._total:
                    continue
                tried += 1
                if tried > _MOST_COMPOSITES or len(found) >= _MOST_KEYS:
                    break
                if self._repeats(names, _QUICK_ROWS) == 0 and self._repeats(names) == 0:
                    found.append(names)
        yield from found

    def _at_most(self, names: Sequence[str]) -> float:
        product = 1.0
        for name in names:
            product *= self._distinct[name]
        return product

    def _repeats(self, names: Sequence[str], rows: int | None = None) -> int:
        together = _together([self.codes(name)[:rows] for name in names])
        return len(together) - len(np.unique(together))

    def _dependencies(self) -> Iterator[tuple[str, str]]:
        """Which column says what stands in which other: every value of it comes with one value of the other, and comes
        often enough to tell. One that is constant, or tells every row apart, says nothing."""
        telling = [
            name
            for name in self._names()
            if 1 < self._distinct[name] <= self._total / _GROUP and not (self.codes(name) < 0).any()
        ][:_MOST_COLUMNS]
        told = [name for name in self._names() if self._distinct[name] > 1][:_MOST_COLUMNS]
        found = 0
        for one in telling:
            for other in told:
                if one == other or self._distinct[other] > self._distinct[one] or found >= _MOST_DEPENDENCIES:
                    continue
                if self._says(one, other, _QUICK_ROWS) and self._says(one, other):
                    found += 1
                    yield one, other

    def _says(self, one: str, other: str, rows: int | None = None) -> bool:
        left, right = self.codes(one)[:rows], self.codes(other)[:rows]
        values = len(np.unique(left))
        return len(left) >= 2 * values and len(np.unique(_together([left, right]))) == values

    def mapping(self, one: str, other: str) -> tuple[tuple[Scalar, Scalar], ...]:
        """Of a dependency: each value with the one that comes with it, in order; those with none left out."""
        pairs = self._rows.select([one, other]).group_by([one, other]).aggregate([])
        pairs = pairs.filter(pc.is_valid(pairs.column(other))).sort_by(one)
        return tuple(zip(pairs.column(one).to_pylist(), pairs.column(other).to_pylist(), strict=True))

    def _in_order(self) -> Iterator[Ordered]:
        for kinds in ((FieldType.INTEGER, FieldType.NUMBER), (FieldType.DATE,), (FieldType.TIMESTAMP,)):
            names = [each.name for each in self._schema.columns if each.type in kinds][:_MOST_COLUMNS]
            for one, other in combinations([name for name in names if self._distinct[name] > 2], 2):
                if (found := self._order_of(one, other)) is not None:
                    yield found

    def _order_of(self, one: str, other: str) -> Ordered | None:
        both = pc.and_(pc.is_valid(self._rows.column(one)), pc.is_valid(self._rows.column(other)))
        pairs = self._rows.select([one, other]).filter(both)
        left, right = (_numbers(pairs.column(name)) for name in (one, other))
        finite = np.isfinite(left) & np.isfinite(right)
        left, right = left[finite], right[finite]
        if len(left) < _SUPPORT:
            return None
        below, above = float((left <= right).mean()), float((left >= right).mean())
        if max(below, above) < 0.99 or min(below, above) > 0.9 or not _comparable(left, right):
            return None
        return Ordered(one, other) if below >= above else Ordered(other, one)

    def _present(self) -> Iterator[Present]:
        """Categories for which a field always has a value that one in five rows of the others lacks."""
        categories = [
            each.name
            for each in self._schema.columns
            if each.type in (FieldType.STRING, FieldType.BOOLEAN)
            and 1 < self._distinct[each.name] <= _CATEGORIES
        ]
        gaps = [
            name for name in self._schema.names if 0 < int((self.codes(name) < 0).sum()) < self._rows.num_rows
        ]
        for category, field in product(categories, gaps):
            if category != field and (values := self._always(category, field)):
                yield Present(category, values, field)

    def _always(self, category: str, field: str) -> tuple[Scalar, ...]:
        places, absent = self.codes(category), self.codes(field) < 0
        total, gaps = (
            np.bincount(places + 1),
            np.bincount(places[absent] + 1, minlength=int(places.max()) + 2),
        )
        full = (gaps == 0) & (total >= _SUPPORT)
        full[0] = False  # rows without a category
        rest = total[~full].sum()
        if not full.any() or rest < _SUPPORT or gaps.sum() < 0.2 * rest:
            return ()
        firsts = [int(np.argmax(places == code - 1)) for code in np.flatnonzero(full).tolist()]
        values: list[Scalar] = [self._rows.column(category)[first].as_py() for first in firsts]
        return tuple(sorted(values))

    def rising(self, time: str, series: tuple[str, ...]) -> Iterator[Rising]:
        """Integers and moments that rise with a time column wherever it rises."""
        rows = self._rows.filter(pc.is_valid(self._rows.column(time)))
        order = pc.sort_indices(rows, [(name, "ascending") for name in (*series, time)])
        ordered = rows.take(order)
        same = np.ones(max(len(ordered) - 1, 0), bool)
        for name in series:
            found = (
                pc.dictionary_encode(ordered.column(name).combine_chunks()).indices.fill_null(-1).to_numpy()
            )
            same &= found[1:] == found[:-1]
        for each in self._schema.columns:
            if each.type not in (FieldType.INTEGER, FieldType.TIMESTAMP, FieldType.DATE) or each.name == time:
                continue
            column = ordered.column(each.name)
            if (
                each.name in series
                or column.null_count
                or self._distinct[each.name] * _GROUP < self._total / 10
            ):
                continue
            numbers = _numbers(column)
            if (
                same.sum() >= _SUPPORT
                and (np.diff(numbers)[same] >= 0).all()
                and (np.diff(numbers)[same] > 0).any()
            ):
                yield Rising(each.name, time, series)

    def _names(self) -> list[str]:
        return [each.name for each in self._schema.columns if each.type is not FieldType.NUMBER]


def _together(codes: Sequence[Codes]) -> Codes:
    """One number for each different combination."""
    total = codes[0]
    for more in codes[1:]:
        _, total = np.unique(total, return_inverse=True)
        total = total * (int(more.max(initial=0)) + 2) + more + 1
    return total


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.to_numpy(), np.float64)


def _comparable(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    """That they measure the same thing: they lie in the same place and go up and down together. Otherwise that one is
    below the other says no more than that one is small."""
    low_left, mid_left, high_left = np.quantile(left, (0.05, 0.5, 0.95))
    low_right, mid_right, high_right = np.quantile(right, (0.05, 0.5, 0.95))
    if not (low_left <= mid_right <= high_left and low_right <= mid_left <= high_right):
        return False
    with np.errstate(all="ignore"):
        return bool(np.corrcoef(left, right)[0, 1] >= 0.4)
