"""Judgements over data files by kernels, all of them in one scan: the same verdicts as `plaza_lake.judge`, sooner."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from plaza_lake import row_bits
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.judgements import ByExpression, First, Judgement, Member, Values, columns_of_judgement
from plaza_lake.render import to_sql
from plaza_lake.row_bits import Bits
from plaza_lake.scan import Part, Scan, judge_parts
from plaza_lake.tables import Lake
from sqlglot import exp

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.kernels.checks import Kernel, among, kernel_of
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


def judge_files(lake: Lake, scan: Scan, tasks: Sequence[Task], seeds: Seeds) -> dict[int, FileSaid]:
    """Every task over every file of the scan, by number of the file.

    Blocking; takes 16 bytes for each row and key besides the columns of two row groups. Raises as
    `plaza_lake.scan.judge_parts`, and duckdb.Error for an expression that cannot be evaluated.
    """
    judge = _PartJudge(tasks, seeds)
    parts: dict[int, list[FileSaid]] = {number: [] for number in scan.metadata}
    for number, found in judge_parts(lake, scan, judge.columns or scan.schema.names[:1], judge):
        parts[number].append(found)
    return {number: _together(found, len(tasks)) for number, found in parts.items()}


def task_of(check: Check, judgement: Judgement, schema: TableSchema, around: Around) -> Task | None:
    """How a check is done here that is this judgement on the engine; None: only the engine can."""
    match judgement:
        case Member((name,), Values(known)):
            column = schema.column(name)
            return among(name, known) if column is not None and column.type is FieldType.STRING else None
        case ByExpression() | First():
            return kernel_of(check, schema, around) or judgement
    return None


class _PartJudge:
    """Judges parts, several at a time."""

    def __init__(self, tasks: Sequence[Task], seeds: Seeds) -> None:
        self._tasks = tuple(tasks)
        self._seeds = seeds
        self._local = threading.local()
        self._by_engine = [number for number, task in enumerate(tasks) if isinstance(task, ByExpression)]
        self.columns = tuple(dict.fromkeys(name for task in tasks for name in _columns(task)))

    def __call__(self, part: Part) -> tuple[int, FileSaid]:
        said = {
            number: self._said(number, part.columns, verdict)
            for number, verdict in self._verdicts(part.columns)
        }
        for number, task in enumerate(self._tasks):
            if isinstance(task, First):
                said[number] = self._keys(part.columns, task.columns)
        return part.file, FileSaid(
            part.columns.num_rows, tuple(said[number] for number in range(len(self._tasks)))
        )

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
        present = _any_present(columns)
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
            select = exp.select(*items).from_(exp.to_table(_PART))
            opened = self._engine()
            opened.register(_PART, rows)
            answer = opened.sql(to_sql(select)).to_arrow_table()
            assert answer is not None, "a SELECT has a result"
            opened.unregister(_PART)
            for number in self._by_engine:
                yield number, _three_valued(answer.column(f"_v{number}"))

    def _engine(self) -> duckdb.DuckDBPyConnection:
        """One for each thread; it can open nothing."""
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


def _together(parts: Sequence[FileSaid], tasks: int) -> FileSaid:
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
        _bits([each.failed_bits for each in said], rows),
        _bits([each.silent_bits for each in said], rows),
        min(edges, default=None),
        Keys(np.concatenate([k.one for k in keys]), np.concatenate([k.two for k in keys])) if keys else None,
    )


def _bits(parts: Sequence[Bits | None], rows: Sequence[int]) -> Bits | None:
    if all(bits is None for bits in parts):
        return None
    whole = [
        (np.zeros(-(-count // 8), np.uint8) if bits is None else bits, count)
        for bits, count in zip(parts, rows, strict=True)
    ]
    return row_bits.joined(whole)


def _columns(task: Task) -> Iterator[str]:
    if isinstance(task, Kernel):
        yield from task.columns
    else:
        yield from columns_of_judgement(task)


def _any_present(columns: Sequence[pa.ChunkedArray]) -> Flags | None:
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
