"""What is counted of one column, part by part: each figure of parts makes the figure of the whole.

Memory is bounded whatever the column holds. What is kept of every part (a count, a mean) is a few numbers; different
values are kept up to a bound, beyond it the frequent ones only; how many they are is told by the smallest of their
hashes (k minimum values: Bar-Yossef and others, RANDOM 2002; estimate (k - 1) / largest of them, standard error
1 / sqrt(k - 2)), which is exact as long as they are fewer than k.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from plaza_lake.fields import FieldType
from plaza_lake.ir import Scalar
from plaza_lake.schema import arrow_type

from plaza_quality.kernels.columns import codes
from plaza_quality.kernels.hashing import hashed

LONGEST: Final = 100
"""Characters of a text that are kept."""
_SEED: Final = np.uint64(0x5DEECE66D1CE4E5B)
"""Any: nobody gains by making these hashes collide."""
_NUMERIC: Final = (FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN)


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What was counted of a column over all rows."""

    nulls: int
    empty_texts: int
    not_finite: int
    distinct: int
    distinct_exact: bool
    minimum: Scalar | None
    maximum: Scalar | None
    mean: float | None
    deviation: float | None
    shortest: int
    longest: int
    characters: int
    """Of all texts together."""
    values: tuple[tuple[Scalar, int], ...]
    """Different finite values with their rows, the most frequent first, equally frequent ones by order."""
    values_exact: bool
    """All values are there, each with all its rows."""


@dataclass(slots=True)
class _Moments:
    """Of one part: numbers, their mean, the sum of squares around it."""

    count: int
    mean: float
    squares: float

    def plus(self, other: _Moments) -> _Moments:
        # Chan, Golub, LeVeque 1979.
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        squares = self.squares + other.squares + apart * apart * self.count * other.count / count
        return _Moments(count, mean, squares)


class Tally:
    """Of one column. Parts may be added by several threads at a time."""

    def __init__(self, type: FieldType, *, values: int, hashes: int) -> None:
        """At most so many different values are kept, and so many hashes."""
        self._type = type
        self._most, self._hashes_kept = values, hashes
        self._lock = threading.Lock()
        self._nulls = self._empty = self._not_finite = self._characters = 0
        self._shortest, self._longest = 2**62, 0
        self._moments: dict[tuple[int, int], _Moments] = {}
        self._minimum: Scalar | None = None
        self._maximum: Scalar | None = None
        self._hashes = np.empty(0, np.uint64)
        self._hashes_all = True
        self._values: list[pa.Table] = []
        self._pending = 0
        self._values_all = True

    def add(self, place: tuple[int, int], column: pa.ChunkedArray) -> None:
        """One part more; `place` puts parts in order, so that sums do not depend on which was counted first."""
        for number, chunk in enumerate(column.chunks):
            found, counts = self._different(chunk)
            hashes = hashed([pa.chunked_array([found])], _SEED) if len(found) else np.empty(0, np.uint64)
            finite, kept = self._finite(found, counts)
            with self._lock:
                self._nulls += chunk.null_count
                self._not_finite += int(counts.sum() - kept.sum())
                self._add_hashes(hashes)
                if not len(finite):
                    continue
                self._add_bounds(finite)
                if self._type is FieldType.STRING:
                    finite = self._add_lengths(finite, kept)
                elif self._type in _NUMERIC:
                    self._moments[place[0], place[1] + number] = _moments(finite, kept)
                self._add_values(finite, kept)

    def _different(self, chunk: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """The different present values, and how often each is there."""
        if isinstance(chunk, pa.DictionaryArray):
            places = codes(chunk)
            counts = np.bincount(places[places >= 0], minlength=len(chunk.dictionary)).astype(np.int64)
            return chunk.dictionary.filter(pa.array(counts > 0)), counts[counts > 0]
        present = chunk.drop_null()
        if pa.types.is_floating(present.type):
            numbers, counts = np.unique(present.to_numpy() + 0.0, return_counts=True)
            return pa.array(numbers), counts.astype(np.int64)
        counted = pc.value_counts(present)
        return counted.field("values"), counted.field("counts").to_numpy()

    def _finite(self, found: pa.Array, counts: NDArray[np.int64]) -> tuple[pa.Array, NDArray[np.int64]]:
        if not pa.types.is_floating(found.type):
            return found, counts
        finite = np.isfinite(found.to_numpy())
        return found.filter(pa.array(finite)), counts[finite]

    def _add_hashes(self, hashes: NDArray[np.uint64]) -> None:
        if len(self._hashes) == self._hashes_kept:
            below = hashes[hashes <= self._hashes[-1]]
            self._hashes_all = self._hashes_all and len(below) == len(hashes)
            hashes = below
        if not len(hashes):
            return
        # Sorted: for so many different numbers that costs a tenth of what np.unique does.
        together = np.sort(np.concatenate([self._hashes, hashes]))
        together = together[np.concatenate([[True], together[1:] != together[:-1]])]
        self._hashes_all = self._hashes_all and len(together) <= self._hashes_kept
        self._hashes = together[: self._hashes_kept]

    def _add_bounds(self, found: pa.Array) -> None:
        bounds = pc.min_max(found)
        least, greatest = bounds["min"].as_py(), bounds["max"].as_py()
        if self._minimum is None or least < self._minimum:
            self._minimum = least
        if self._maximum is None or greatest > self._maximum:
            self._maximum = greatest

    def _add_lengths(self, found: pa.Array, counts: NDArray[np.int64]) -> pa.Array:
        lengths = pc.utf8_length(found).to_numpy().astype(np.int64)
        self._empty += int(counts[lengths == 0].sum())
        self._shortest = min(self._shortest, int(lengths.min()))
        self._longest = max(self._longest, int(lengths.max()))
        self._characters += int((lengths * counts).sum())
        return pc.utf8_slice_codeunits(found, 0, LONGEST) if lengths.max() > LONGEST else found

    def _add_values(self, found: pa.Array, counts: NDArray[np.int64]) -> None:
        if not self._values_all:
            # Too many already: what one part has once is not frequent.
            often = counts > 1
            found, counts = found.filter(pa.array(often)), counts[often]
        self._values.append(pa.table({"v": found.cast(arrow_type(self._type)), "n": counts}))
        self._pending += len(found)
        if self._pending > 2 * self._most:
            merged = self._merged()
            if merged.num_rows > self._most:
                # The rare ones go: a value that comes back counts from then on, so its rows are a lower bound.
                self._values_all = False
                merged = merged.take(pc.select_k_unstable(merged, self._most // 4, [("n", "descending")]))
            self._values, self._pending = [merged], merged.num_rows

    def _merged(self) -> pa.Table:
        together = pa.concat_tables(self._values)
        grouped = together.group_by("v", use_threads=False).aggregate([("n", "sum")])
        return grouped.rename_columns(["v", "n"])

    def facts(self) -> ColumnFacts:
        """Of all parts together."""
        mean = deviation = None
        if self._moments:
            total = None
            with np.errstate(all="ignore"):
                for place in sorted(self._moments):
                    part = self._moments[place]
                    total = part if total is None else total.plus(part)
            assert total is not None, "there is a part"
            mean = total.mean if math.isfinite(total.mean) else None
            spread = total.squares / total.count
            deviation = math.sqrt(spread) if math.isfinite(spread) and spread >= 0 else None
        values = self._listed()
        return ColumnFacts(
            nulls=self._nulls,
            empty_texts=self._empty,
            not_finite=self._not_finite,
            distinct=self._distinct(),
            distinct_exact=self._hashes_all,
            minimum=self._minimum,
            maximum=self._maximum,
            mean=mean,
            deviation=deviation,
            shortest=self._shortest if self._longest or self._empty else 0,
            longest=self._longest,
            characters=self._characters,
            values=values,
            values_exact=self._values_all and self._longest <= LONGEST,
        )

    def _distinct(self) -> int:
        if self._hashes_all:
            return len(self._hashes)
        return round((len(self._hashes) - 1) / (int(self._hashes[-1]) / 2**64))

    def _listed(self) -> tuple[tuple[Scalar, int], ...]:
        if not self._values:
            return ()
        merged = self._merged().sort_by([("n", "descending"), ("v", "ascending")])
        if merged.num_rows > self._most:
            self._values_all = False
            merged = merged.slice(0, self._most // 4)
        return tuple(zip(merged.column("v").to_pylist(), merged.column("n").to_pylist(), strict=True))


def _moments(found: pa.Array, counts: NDArray[np.int64]) -> _Moments:
    with np.errstate(all="ignore"):
        numbers = found.cast(pa.int8()).to_numpy() if pa.types.is_boolean(found.type) else found.to_numpy()
        numbers = numbers.astype(np.float64)
        total = int(counts.sum())
        mean = float((numbers * counts).sum() / total)
        return _Moments(total, mean, float(((numbers - mean) ** 2 * counts).sum()))
