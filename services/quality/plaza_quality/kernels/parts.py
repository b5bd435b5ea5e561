"""Judgements over the rows of a part of a file by kernels, by the engine, and by hashes of keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from plaza_lake import row_bits
from plaza_lake.judgements import ByExpression, First, columns_of_judgement
from plaza_lake.render import to_sql
from plaza_lake.row_bits import Bits
from sqlglot import exp

from plaza_quality.kernels.checks import Kernel
from plaza_quality.kernels.columns import FAILS, PASSES, SILENT, Flags, Verdict, present_in
from plaza_quality.kernels.hashing import Keys, Seeds, hashed

Task = Kernel | ByExpression | First
"""A judgement as it is done here: by a kernel, by the engine part by part, or by hashes of keys."""
_PART: Final = "part"


@dataclass(frozen=True, slots=True)
class Said:
    """What one task says of the rows of a file. Of a key (`First`) only which rows have none."""

    failed: int = 0
    silent: int = 0
    failed_bits: Bits | None = None
    """None: no row."""
    silent_bits: Bits | None = None
    changes_at: int | None = None
    """Smallest value that fails, of a kernel with an edge."""
    keys: Keys | None = None


@dataclass(frozen=True, slots=True)
class FileSaid:
    """What all tasks say of one file."""

    rows: int
    said: tuple[Said, ...]


class PartEngine:
    """The engine over rows in memory, one for each thread; it can open nothing."""

    def __init__(self) -> None:
        self._local = threading.local()

    def answered(self, rows: pa.Table, items: Sequence[exp.Expr]) -> pa.Table:
        """What a select list says of these rows. Raises duckdb.Error."""
        opened = self._opened()
        opened.register(_PART, rows)
        try:
            answer = opened.sql(to_sql(exp.select(*items).from_(exp.to_table(_PART)))).to_arrow_table()
        finally:
            opened.unregister(_PART)
        assert answer is not None, "a SELECT has a result"
        return answer

    def _opened(self) -> duckdb.DuckDBPyConnection:
        opened = getattr(self._local, "engine", None)
        if opened is None:
            opened = duckdb.connect(
                ":memory:",
                config={
                    "threads": "1",
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "allow_community_extensions": "false",
                },
            )
            opened.execute("SET GLOBAL TimeZone = 'UTC'")
            opened.execute("SET enable_external_access = false")
            opened.execute("SET lock_configuration = true")
            self._local.engine = opened
        return opened


class PartJudge:
    """Judges parts, several at a time."""

    def __init__(self, tasks: Sequence[Task], seeds: Seeds) -> None:
        self._tasks = tuple(tasks)
        self._seeds = seeds
        self._engine = PartEngine()
        self._by_engine = [number for number, task in enumerate(tasks) if isinstance(task, ByExpression)]
        self.columns = tuple(dict.fromkeys(name for task in tasks for name in _columns(task)))

    def __call__(self, rows: pa.Table) -> FileSaid:
        """What all tasks say of these rows. Raises duckdb.Error, pyarrow.ArrowInvalid."""
        said = {number: self._said(number, rows, verdict) for number, verdict in self._verdicts(rows)}
        for number, task in enumerate(self._tasks):
            if isinstance(task, First):
                said[number] = self._keys(rows, task.columns)
        return FileSaid(rows.num_rows, tuple(said[number] for number in range(len(self._tasks))))

    def _said(self, number: int, rows: pa.Table, verdict: Verdict) -> Said:
        fails = verdict == FAILS
        failed = int(np.count_nonzero(fails))
        silent = len(verdict) - failed - int(np.count_nonzero(verdict == PASSES))
        task = self._tasks[number]
        edge = (
            task.edge(rows, fails) if failed and isinstance(task, Kernel) and task.edge is not None else None
        )
        return Said(
            failed,
            silent,
            row_bits.packed(fails) if failed else None,
            row_bits.packed(verdict == SILENT) if silent else None,
            edge,
        )

    def _keys(self, rows: pa.Table, names: tuple[str, ...]) -> Said:
        columns = [rows.column(name) for name in names]
        one, two = (hashed(columns, seed) for seed in (self._seeds.one, self._seeds.two))
        present = any_present(columns)
        if present is None or present.all():
            return Said(keys=Keys(one, two))
        one[~present] = two[~present] = 0
        silent = len(present) - int(np.count_nonzero(present))
        return Said(silent=silent, silent_bits=row_bits.packed(~present), keys=Keys(one, two))

    def _verdicts(self, rows: pa.Table) -> Iterator[tuple[int, Verdict]]:
        for number, task in enumerate(self._tasks):
            if isinstance(task, Kernel):
                yield number, task.judge(rows)
        if self._by_engine:
            items = []
            for number in self._by_engine:
                task = self._tasks[number]
                assert isinstance(task, ByExpression), "they were chosen"
                items.append(exp.alias_(task.expression.copy(), f"_v{number}", quoted=True))
            answer = self._engine.answered(rows, items)
            for number in self._by_engine:
                yield number, _three_valued(answer.column(f"_v{number}"))


def together(parts: Sequence[FileSaid], tasks: int) -> FileSaid:
    """What is said of parts that follow each other, as of one file."""
    if len(parts) == 1:
        return parts[0]
    rows = [part.rows for part in parts]
    return FileSaid(sum(rows), tuple(_joined([part.said[n] for part in parts], rows) for n in range(tasks)))


def _joined(said: Sequence[Said], rows: Sequence[int]) -> Said:
    edges = [each.changes_at for each in said if each.changes_at is not None]
    keys = [each.keys for each in said if each.keys is not None]
    return Said(
        sum(each.failed for each in said),
        sum(each.silent for each in said),
        row_bits.joined([(each.failed_bits, count) for each, count in zip(said, rows, strict=True)]),
        row_bits.joined([(each.silent_bits, count) for each, count in zip(said, rows, strict=True)]),
        min(edges, default=None),
        Keys(np.concatenate([k.one for k in keys]), np.concatenate([k.two for k in keys])) if keys else None,
    )


def _columns(task: Task) -> Iterator[str]:
    if isinstance(task, Kernel):
        yield from task.columns
    else:
        yield from columns_of_judgement(task)


def any_present(columns: Sequence[pa.ChunkedArray]) -> Flags | None:
    """Where some value is; None: everywhere."""
    total: Flags | None = None
    for column in columns:
        present = present_in(column)
        if present is None:
            return None
        total = present if total is None else total | present
    return total


def _three_valued(column: pa.ChunkedArray) -> Verdict:
    found = np.full(len(column), SILENT, np.uint8)
    known = present_in(column)
    holds = np.asarray(column.fill_null(False).to_numpy(), np.bool_)
    found[holds] = PASSES
    found[~holds if known is None else known & ~holds] = FAILS
    return found
