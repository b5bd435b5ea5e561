"""Rows that were judged alike, counted by the engine, added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plaza_lake.access import Access
from plaza_lake.ir import Count, CountWhere, Min
from plaza_lake.judgements import ROW_BITS, WORD, Mergeable


@dataclass(frozen=True, slots=True)
class Position:
    """A row of a version, until its files are written again."""

    file: str
    row: int
    """From 0."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found. Rows are counted that the grant opens."""

    version: int
    snapshot_id: int
    rows: int
    clean: int
    """Rows that fail nowhere."""
    passed: tuple[int, ...]
    """By judgement."""
    failed: tuple[int, ...]
    combinations: tuple[tuple[tuple[int, ...], int], ...]
    """Judgements that fail together, by number, and how many rows; the most frequent first."""
    examples: tuple[tuple[Position, ...], ...]
    """By judgement the first failing rows."""
    values: dict[str, object]
    """Aggregates by the names that were asked."""


class Groups:
    """Groups of rows with the same words, added up as they come."""

    def __init__(self, judgements: int, words: int, aggregates: Sequence[Mergeable], examples: int) -> None:
        self._judgements = judgements
        self._words = words
        self._aggregates = aggregates
        self._wanted = examples
        self._rows = self._clean = 0
        self._failed = [0] * judgements
        self._judged = [0] * judgements
        self._values: list[list[object]] = [[] for _ in aggregates]
        self._first: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * judgements
        self._groups: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        rows = _integers(batch.column("_rows"))
        failed = [_integers(batch.column(f"_failed{word}")) for word in range(self._words)]
        judged = [_integers(batch.column(f"_judged{word}")) for word in range(self._words)]
        fails = np.zeros(len(rows), bool)
        for each in failed:
            fails |= each != 0
        self._rows += int(rows.sum())
        self._clean += int(rows[~fails].sum())
        for number in range(self._judgements):
            word, bit = divmod(number, WORD)
            self._failed[number] += int(rows[(failed[word] >> bit & 1).astype(bool)].sum())
            self._judged[number] += int(rows[(judged[word] >> bit & 1).astype(bool)].sum())
        for number in range(len(self._aggregates)):
            self._values[number] += batch.column(f"_a{number}").drop_null().to_pylist()
        if fails.any():
            self._keep(failed, rows, fails)
            if self._wanted:
                self._keep_first(batch.column("_first"), failed)

    def _keep(
        self, failed: list[NDArray[np.int64]], rows: NDArray[np.int64], fails: NDArray[np.bool_]
    ) -> None:
        columns = {f"w{word}": pa.array(each[fails]) for word, each in enumerate(failed)}
        self._groups.append(pa.table(columns | {"n": pa.array(rows[fails])}))

    def _keep_first(self, lists: pa.Array, failed: list[NDArray[np.int64]]) -> None:
        positions = _integers(lists.flatten())
        of_group = np.asarray(cast(pa.ListArray, lists).value_parent_indices().to_numpy())
        for number in range(self._judgements):
            word, bit = divmod(number, WORD)
            mine = positions[(failed[word][of_group] >> bit & 1).astype(bool)]
            if len(mine):
                self._first[number] = np.sort(np.concatenate([self._first[number], mine]))[: self._wanted]

    def judged(self, access: Access, aggregates: Mapping[str, Mergeable], combinations: int) -> Judged:
        return Judged(
            version=access.version.version,
            snapshot_id=access.version.snapshot_id,
            rows=self._rows,
            clean=self._clean,
            passed=tuple(all_ - bad for all_, bad in zip(self._judged, self._failed, strict=True)),
            failed=tuple(self._failed),
            combinations=self._combined(combinations),
            examples=tuple(positions_of(first, access.paths) for first in self._first),
            values={
                name: merged(node, found)
                for (name, node), found in zip(aggregates.items(), self._values, strict=True)
            },
        )

    def _combined(self, most: int) -> tuple[tuple[tuple[int, ...], int], ...]:
        if not self._groups:
            return ()
        names = [f"w{word}" for word in range(self._words)]
        groups = pa.concat_tables(self._groups).group_by(names).aggregate([("n", "sum")])
        order: list[tuple[str, str]] = [("n_sum", "descending"), *((name, "ascending") for name in names)]
        kept = groups.sort_by(order).slice(0, most).to_pylist()
        return tuple(
            (numbers_in([row[name] for name in names], self._judgements), row["n_sum"]) for row in kept
        )


def numbers_in(words: Sequence[int], judgements: int) -> tuple[int, ...]:
    """The judgements whose bits are set, by number."""
    return tuple(n for n in range(judgements) if words[n // WORD] >> n % WORD & 1)


def positions_of(at: NDArray[np.int64], paths: Sequence[str]) -> tuple[Position, ...]:
    """The places that numbers of file and row stand for."""
    low = (1 << ROW_BITS) - 1
    return tuple(Position(paths[each >> ROW_BITS], each & low) for each in at.tolist())


def _integers(values: pa.Array) -> NDArray[np.int64]:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)


def merged(node: Mergeable, parts: Sequence[object]) -> object:
    """The aggregate of the whole; of parts without a value nothing is given."""
    if isinstance(node, Count | CountWhere):
        return sum(cast(Sequence[int], parts))
    if not parts:
        return None
    # NaN is the greatest, wherever the engine met it.
    ordered = sorted(parts, key=lambda value: (value != value, value))
    return ordered[0] if isinstance(node, Min) else ordered[-1]
