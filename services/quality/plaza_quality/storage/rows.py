"""The rows of a version, judged where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import duckdb
import pyarrow as pa
from plaza_kit.grants import GrantVerifier
from plaza_lake.access import open_grant
from plaza_lake.distribution import frequent, quantiles
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.ir import CountWhere
from plaza_lake.judge import NotEvaluable, judge
from plaza_lake.judged import Judged
from plaza_lake.judgements import (
    Ascending,
    ByExpression,
    First,
    Judgement,
    Member,
    Mergeable,
    OtherRows,
    Values,
)
from plaza_lake.read import aggregate
from plaza_lake.tables import Lake

from plaza_quality.domain import tables
from plaza_quality.domain.around import Around, Silence
from plaza_quality.domain.checks import (
    Check,
    Drift,
    Fresh,
    InCodeList,
    Monotone,
    Refers,
    RowCount,
    Scope,
    Unique,
    kind_of,
)
from plaza_quality.domain.counting import Counted, Counts, Finding
from plaza_quality.domain.fitting import absent_fields, unreadable
from plaza_quality.kernels.scan import judge_rows, task_of
from plaza_quality.storage.meaning.rows import row_verdict

_CATEGORIES: Final = (FieldType.STRING, FieldType.BOOLEAN)
_DEFAULT_BINS: Final = 10
_MOST_KEYS: Final = 30_000_000
"""Hashed at once, 24 bytes each and as much again while they are sorted."""


@dataclass(frozen=True, slots=True)
class ByRow:
    """A check that becomes a bit of every row."""

    judgement: Judgement
    compared_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ByTable:
    """A check of the whole table."""

    check: Fresh | RowCount | Drift
    bins: tables.Bins | None = None


@dataclass(slots=True)
class _Work:
    """What is to be done for each check, and what is said already about those that judge nothing."""

    by_row: dict[int, ByRow] = field(default_factory=dict)
    by_table: dict[int, ByTable] = field(default_factory=dict)
    silent: dict[int, Finding] = field(default_factory=dict)


def count(
    lake: Lake, verifier: GrantVerifier, grant: str, checks: Sequence[Check], around: Around
) -> Counted:
    """What was counted for each check in the version that the grant opens; one scan for all. A check that the engine
    cannot evaluate judges nothing, with the reason.

    Blocking. Raises `GrantRefused`, `TableNotFound`, `VersionNotFound`, `LakeUnavailable`.
    """
    schema = open_grant(lake, verifier, grant).granted
    work = _Work()
    for number, check in enumerate(checks):
        _prepare(work, number, check, schema, around, (lake, verifier))
    asked = {
        f"{number} {name}": node
        for number, each in work.by_table.items()
        for name, node in tables.questions(each.check, each.bins).items()
    }
    while True:
        numbers = list(work.by_row)
        try:
            by_row = [(checks[n], work.by_row[n].judgement) for n in numbers]
            found = _judged(lake, verifier, grant, by_row, asked, around)
            break
        except NotEvaluable as error:
            culprit = numbers[error.judgement]
            work.silent[culprit] = _unjudged(checks[culprit], f"{Silence.NOT_EVALUABLE}: {error.problem}")
            del work.by_row[culprit]
    return _counted(work, numbers, found, len(checks), around)


def _judged(
    lake: Lake,
    verifier: GrantVerifier,
    grant: str,
    by_row: Sequence[tuple[Check, Judgement]],
    asked: Mapping[str, Mergeable],
    around: Around,
) -> Judged:
    """By kernels where all of them can be done so, in memory; else by the engine, which spills. Raises NotEvaluable."""
    access = open_grant(lake, verifier, grant)
    tasks = [task_of(check, judgement, access.granted, around) for check, judgement in by_row]
    keys = access.version.total_rows * sum(isinstance(judgement, First) for _, judgement in by_row)
    ready = [task for task in tasks if task is not None]
    if len(ready) == len(tasks) and keys <= _MOST_KEYS and access.row_filter is None:
        # What cannot be evaluated is left to the engine as well: it says which it is.
        with suppress(duckdb.Error, pa.ArrowInvalid):
            found = judge_rows(lake, verifier, grant, ready)
            values = aggregate(lake, verifier, grant, asked).values if asked else {}
            return replace(found, values=values)
    return judge(lake, verifier, grant, [judgement for _, judgement in by_row], asked)


def _prepare(
    work: _Work,
    number: int,
    check: Check,
    schema: TableSchema,
    around: Around,
    reading: tuple[Lake, GrantVerifier],
) -> None:
    if absent := absent_fields(check, schema):
        work.silent[number] = _unjudged(check, "", absent)
        return
    found = unreadable(check, schema) or prepared(check, schema, around, reading)
    match found:
        case ByRow():
            work.by_row[number] = found
        case ByTable():
            work.by_table[number] = found
        case reason:
            work.silent[number] = _unjudged(check, reason)


def prepared(
    check: Check, schema: TableSchema, around: Around, reading: tuple[Lake, GrantVerifier]
) -> ByRow | ByTable | str:
    """What is to be done, or why nothing can be."""
    match check:
        case Unique(fields):
            return ByRow(First(fields))
        case Monotone(name, ordered_by, within, falling, strict):
            return ByRow(Ascending(name, ordered_by, within, falling, strict))
        case InCodeList(name, code_list, current_only):
            listed = around.code_lists.get((code_list, current_only))
            if listed is None:
                return Silence.CODE_LIST_MISSING
            return ByRow(Member((name,), Values(pa.array(listed.codes, pa.string()))), (listed.name,))
        case Refers():
            return _reference(check, schema, around, reading)
        case Fresh() | RowCount():
            return ByTable(check)
        case Drift():
            return _drift(check, schema, around, reading)
    verdict = row_verdict(check, schema, around)
    assert verdict is not None, "all others look at a row alone"
    return ByRow(ByExpression(verdict))


def _reference(
    check: Refers, schema: TableSchema, around: Around, reading: tuple[Lake, GrantVerifier]
) -> ByRow | str:
    other = around.others.get(check.dataset, Silence.DATASET_MISSING)
    if isinstance(other, Silence):
        return other
    theirs = open_grant(*reading, other.grant).granted
    for mine, name in zip(check.fields, check.other_fields, strict=True):
        here, there = schema.column(mine), theirs.column(name)
        if here is None or there is None or here.type is not there.type:
            return f"{Silence.DATASET_MISSING}: {name}"
    return ByRow(Member(check.fields, OtherRows(other.grant, check.other_fields)), (other.name,))


def _drift(
    check: Drift, schema: TableSchema, around: Around, reading: tuple[Lake, GrantVerifier]
) -> ByTable | str:
    """The bins are made of the version before, and counted there."""
    here = schema.column(check.field)
    assert here is not None, "absent fields were looked for"
    if around.before is None:
        return Silence.VERSION_BEFORE_MISSING
    grant = around.before.grant
    there = open_grant(*reading, grant).granted.column(check.field)
    if there is None or there.type is not here.type:
        return Silence.VERSION_BEFORE_MISSING
    many = check.bins or _DEFAULT_BINS
    if here.type in _CATEGORIES:
        most = frequent(*reading, grant, check.field, many)
        conditions = tables.category_bins(check.field, [value for value, _ in most])
    else:
        shares = [number / many for number in range(1, many)] or [1.0]
        conditions = tables.quantile_bins(check.field, quantiles(*reading, grant, check.field, shares))
    if not conditions:
        return Silence.NO_VALUE
    counts = aggregate(
        *reading, grant, {str(n): CountWhere(each) for n, each in enumerate(conditions)}
    ).values
    return ByTable(
        check, tables.Bins(conditions, tuple(_count(counts[str(n)]) for n in range(len(conditions))))
    )


def _counted(work: _Work, numbers: Sequence[int], found: Judged, checks: int, around: Around) -> Counted:
    findings: dict[int, Finding] = {}
    for number, each in work.silent.items():
        rows = each.counts.not_applicable
        findings[number] = each if rows else _with_rows(each, found.rows)
    for place, number in enumerate(numbers):
        passed, failed = found.passed[place], found.failed[place]
        counts = Counts(passed, failed, found.rows - passed - failed)
        findings[number] = Finding(counts, compared_with=work.by_row[number].compared_with)
    for number, task in work.by_table.items():
        answers = {
            name.partition(" ")[2]: value
            for name, value in found.values.items()
            if name.startswith(f"{number} ")
        }
        findings[number] = _of_table(task, found.rows, answers, around)
    together = tuple((tuple(numbers[place] for place in places), rows) for places, rows in found.combinations)
    return Counted(found.rows, found.clean, tuple(findings[n] for n in range(checks)), together)


def _of_table(task: ByTable, rows: int, answers: Mapping[str, object], around: Around) -> Finding:
    match task.check:
        case Fresh() as check:
            return tables.freshness(check, answers["newest"], around)
        case RowCount() as check:
            return tables.row_count(check, rows, around)
        case Drift() as check:
            assert task.bins is not None, "they were made"
            return tables.drift(check, task.bins, answers, around)


def _unjudged(check: Check, reason: str, absent: tuple[str, ...] = ()) -> Finding:
    """All rows are not applicable; how many they are the scan will tell."""
    of_table = kind_of(check).scope is Scope.TABLE
    return Finding(Counts(0, 0, 1 if of_table else 0), absent, reason)


def _with_rows(finding: Finding, rows: int) -> Finding:
    return Finding(Counts(0, 0, rows), finding.absent_fields, finding.reason)


def _count(value: object) -> int:
    assert isinstance(value, int), "it is a count"
    return value
