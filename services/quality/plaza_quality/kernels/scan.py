"""All judgements over a version in one scan by kernels: the same answer as `plaza_lake.judge`, sooner."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from plaza_kit.grants import GrantVerifier
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.judged import Judged, Position, numbers_in, positions_of
from plaza_lake.judgements import (
    ROW_BITS,
    WORD,
    ByExpression,
    First,
    Judgement,
    Member,
    Values,
    columns_of_judgement,
)
from plaza_lake.render import to_sql
from plaza_lake.scan import Part, judge_parts, open_scan
from plaza_lake.tables import Lake
from sqlglot import exp

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.kernels.checks import Kernel, among, kernel_of
from plaza_quality.kernels.columns import FAILS, PASSES, SILENT, Flags, Verdict, present_in
from plaza_quality.kernels.hashing import Hashes, Seeds, hashed
from plaza_quality.kernels.repeated import Positions, repetitions

Task = Kernel | ByExpression | First
"""A judgement as it is done here: by a kernel, by the engine part by part, or by hashes over all parts."""
_PART: Final = "part"


@dataclass(frozen=True, slots=True)
class _Keys:
    """Rows of a part that have a key."""

    positions: Positions
    one: Hashes
    two: Hashes


@dataclass(frozen=True, slots=True)
class _Found:
    """What one part says."""

    rows: int
    passed: NDArray[np.int64]
    """By task."""
    failed: NDArray[np.int64]
    places: Positions
    """Of rows that fail somewhere."""
    words: NDArray[np.int64]
    """Of these rows, one column a word."""
    keys: tuple[_Keys, ...]
    """By task of kind `First`."""


def judge_rows(
    lake: Lake,
    verifier: GrantVerifier,
    grant: str,
    tasks: Sequence[Task],
    *,
    examples: int = 0,
    combinations: int = 50,
) -> Judged:
    """Every task in one scan. `examples`: of failing rows, by task; `combinations`: at most so many are told.

    Blocking; takes about 24 bytes for each row and key set besides the columns of two row groups. Raises as
    `plaza_lake.scan.open_scan`, and duckdb.Error for an expression that cannot be evaluated.
    """
    scan = open_scan(lake, verifier, grant)
    part_judge = _PartJudge(tasks)
    names = part_judge.columns or scan.schema.names[:1]
    found = judge_parts(lake, scan, names, part_judge)
    passed = (
        np.sum([each.passed for each in found], axis=0, initial=0) if found else np.zeros(len(tasks), int)
    )
    failed = (
        np.sum([each.failed for each in found], axis=0, initial=0) if found else np.zeros(len(tasks), int)
    )
    width = max(1, -(-len(tasks) // WORD))
    places = np.concatenate([np.empty(0, np.int64), *(each.places for each in found)])
    words = np.concatenate([np.empty((0, width), np.int64), *(each.words for each in found)])
    for slot, number in enumerate(part_judge.firsts):
        again = repetitions(
            [(part.keys[slot].positions, part.keys[slot].one, part.keys[slot].two) for part in found]
        )
        failed[number], passed[number] = len(again), passed[number] - len(again)
        places, words = _with_bit(places, words, again, number)
    rows = sum(each.rows for each in found)
    return Judged(
        version=scan.access.version.version,
        snapshot_id=scan.access.version.snapshot_id,
        rows=rows,
        clean=rows - len(places),
        passed=tuple(passed.tolist()),
        failed=tuple(failed.tolist()),
        combinations=_combinations(words, len(tasks), combinations),
        examples=tuple(
            _examples(places, words, number, examples, scan.paths) for number in range(len(tasks))
        ),
        values={},
    )


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

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tuple(tasks)
        self._seeds = Seeds.drawn()
        self._local = threading.local()
        self.firsts = [number for number, task in enumerate(tasks) if isinstance(task, First)]
        self._by_engine = [number for number, task in enumerate(tasks) if isinstance(task, ByExpression)]
        self.columns = tuple(dict.fromkeys(name for task in tasks for name in _columns(task)))

    def __call__(self, part: Part) -> _Found:
        rows = part.columns.num_rows
        where = np.arange(part.first, part.first + rows, dtype=np.int64) | (part.file << ROW_BITS)
        width = max(1, -(-len(self._tasks) // WORD))
        words = np.zeros((rows, width), np.int64)
        passed, failed = np.zeros(len(self._tasks), np.int64), np.zeros(len(self._tasks), np.int64)
        for number, verdict in self._verdicts(part.columns):
            failed[number] = np.count_nonzero(verdict == FAILS)
            passed[number] = np.count_nonzero(verdict == PASSES)
            if failed[number]:
                word, bit = divmod(number, WORD)
                words[:, word] |= (verdict == FAILS).astype(np.int64) << bit
        keys = []
        for number in self.firsts:
            task = self._tasks[number]
            assert isinstance(task, First), "they were chosen"
            found, present = self._keys(part.columns, task.columns, where)
            keys.append(found)
            passed[number] = present
        bad = words.any(axis=1)
        return _Found(rows, passed, failed, where[bad], words[bad], tuple(keys))

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

    def _keys(self, rows: pa.Table, names: tuple[str, ...], where: Positions) -> tuple[_Keys, int]:
        columns = [rows.column(name) for name in names]
        one, two = (hashed(columns, seed) for seed in (self._seeds.one, self._seeds.two))
        present = _any_present(columns)
        if present is None:
            return _Keys(where, one, two), len(where)
        return _Keys(where[present], one[present], two[present]), int(np.count_nonzero(present))


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


def _with_bit(
    places: Positions, words: NDArray[np.int64], more: Positions, number: int
) -> tuple[Positions, NDArray[np.int64]]:
    """These rows fail in this task as well."""
    if not len(more):
        return places, words
    word, bit = divmod(number, WORD)
    together = np.union1d(places, more)
    widened = np.zeros((len(together), words.shape[1]), np.int64)
    widened[np.searchsorted(together, places)] = words
    widened[np.searchsorted(together, more), word] |= np.int64(1) << bit
    return together, widened


def _combinations(words: NDArray[np.int64], tasks: int, most: int) -> tuple[tuple[tuple[int, ...], int], ...]:
    if not len(words):
        return ()
    kinds, counts = np.unique(words, axis=0, return_counts=True)
    keys = [kinds[:, word] for word in reversed(range(kinds.shape[1]))]
    order = np.lexsort((*keys, -counts))[:most]
    return tuple((numbers_in(kinds[place].tolist(), tasks), int(counts[place])) for place in order)


def _examples(
    places: Positions, words: NDArray[np.int64], number: int, most: int, paths: Sequence[str]
) -> tuple[Position, ...]:
    if not most:
        return ()
    word, bit = divmod(number, WORD)
    return positions_of(places[(words[:, word] >> bit & 1).astype(bool)][:most], paths)
