"""The rows of a version, judged where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import duckdb
import pyarrow as pa
from plaza_kit.grants import GrantVerifier
from plaza_kit.working_days import ZONE
from plaza_lake.access import Access, open_grant
from plaza_lake.distribution import frequent, quantiles
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.ir import CountWhere
from plaza_lake.judge import NotEvaluable, judge
from plaza_lake.judgements import (
    Agrees,
    Ascending,
    ByExpression,
    First,
    Judgement,
    Member,
    OtherRows,
    Values,
    columns_of_judgement,
)
from plaza_lake.read import aggregate
from plaza_lake.scan import whole
from plaza_lake.tables import Lake
from plaza_lake.verdict_files import Verdicts
from sqlglot import exp

from plaza_quality.domain import tables
from plaza_quality.domain.around import Around, Silence
from plaza_quality.domain.checks import (
    AgreesWith,
    Check,
    Drift,
    Fresh,
    InCodeList,
    Monotone,
    NotFuture,
    Refers,
    RowCount,
    Scope,
    Unique,
    kind_of,
)
from plaza_quality.domain.counting import Counted, Counts, Finding
from plaza_quality.domain.fitting import absent_fields, unreadable
from plaza_quality.kernels.checks import latest_of
from plaza_quality.kernels.scan import task_of
from plaza_quality.spark.judge import problem_of
from plaza_quality.spark.server import Spark
from plaza_quality.storage.judging import Found, Judge, judge_version
from plaza_quality.storage.meaning.agreement import comparison_of
from plaza_quality.storage.meaning.rows import row_verdict

_CATEGORIES: Final = (FieldType.STRING, FieldType.BOOLEAN)
_DEFAULT_BINS: Final = 10
_MOST_KEYS: Final = 30_000_000
"""Hashed at once, 24 bytes each and as much again while they are sorted."""
_MEANING: Final = "1"
"""One more whenever a kernel or an expression says something else of the same row: what is kept is found anew."""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted for each check, and what is kept of it for each row."""

    counted: Counted
    judges: tuple[Judge, ...]
    judge_of: tuple[int | None, ...]
    """By check: number of its judge, for those that judge rows."""
    fields: tuple[frozenset[str], ...]
    """By judge: the columns that it looks at."""
    found: Found


def judged(
    lake: Lake,
    verifier: GrantVerifier,
    grant: str,
    checks: Sequence[Check],
    around: Around,
    before: Verdicts | None = None,
    *,
    keep: bool = False,
    spark: Spark | None = None,
) -> Outcome:
    """What each check says of the version that the grant opens; one scan for all, of what is not known from `before`.
    A check that the engine cannot evaluate judges nothing, with the reason. `keep`: what is found is kept by file.
    On Spark where the version has so many rows.

    Blocking. Raises `GrantRefused`, `TableNotFound`, `VersionNotFound`, `RowFilterNotSupported`, `LakeUnavailable`,
    `SparkUnavailable`, `SparkFailed`.
    """
    access = whole(open_grant(lake, verifier, grant))
    there = spark if spark is not None and spark.takes(access.version.total_rows) else None
    work = _Work()
    for number, check in enumerate(checks):
        _prepare(work, number, check, access.granted, around, (lake, verifier))
    asked = {
        f"{number} {name}": node
        for number, each in work.by_table.items()
        for name, node in tables.questions(each.check, each.bins).items()
    }
    if there is not None:
        for number, each in list(work.by_row.items()):
            if problem := problem_of(each.judgement, access.granted):
                _give_up(work, number, checks[number], problem)
    kernels = True
    while True:
        judges, judge_of = _judges(work, checks, access, around, kernels=kernels)
        try:
            found = judge_version(
                lake, verifier, grant, access, judges, asked, before, around, keep=keep, spark=there
            )
            break
        except (duckdb.Error, pa.ArrowInvalid):
            numbers = list(work.by_row)
            try:
                judge(lake, verifier, grant, [work.by_row[number].judgement for number in numbers])
            except NotEvaluable as error:
                culprit = numbers[error.judgement]
                _give_up(work, culprit, checks[culprit], error.problem)
            else:
                if not kernels:
                    raise
                kernels = False  # the engine can what was asked of it part by part
    return Outcome(
        counted=_counted(work, judge_of, found, len(checks), around),
        judges=tuple(judges),
        judge_of=tuple(judge_of.get(number) for number in range(len(checks))),
        fields=tuple(frozenset(columns_of_judgement(each.judgement)) for each in judges),
        found=found,
    )


def _give_up(work: _Work, number: int, check: Check, problem: str) -> None:
    work.silent[number] = _unjudged(check, f"{Silence.NOT_EVALUABLE}: {problem}")
    del work.by_row[number]


def _judges(
    work: _Work, checks: Sequence[Check], access: Access, around: Around, *, kernels: bool
) -> tuple[list[Judge], dict[int, int]]:
    """Each once, and by check the number of its own."""
    keys = {each.judgement for each in work.by_row.values() if isinstance(each.judgement, First)}
    fit = access.version.total_rows * len(keys) <= _MOST_KEYS
    judges: dict[str, Judge] = {}
    judge_of: dict[int, str] = {}
    for number, each in work.by_row.items():
        check, judgement = checks[number], each.judgement
        task = task_of(check, judgement, access.granted, around)
        if (not kernels and isinstance(judgement, ByExpression)) or (
            not fit and isinstance(judgement, First)
        ):
            task = None
        bound = latest_of(check, access.granted, around) if isinstance(check, NotFuture) else None
        hash_ = _hash(check, judgement, each.compared_with, access.granted)
        judges.setdefault(hash_, Judge(hash_, check, judgement, task, bound))
        judge_of[number] = hash_
    places = {hash_: place for place, hash_ in enumerate(judges)}
    return list(judges.values()), {number: places[hash_] for number, hash_ in judge_of.items()}


def _hash(check: Check, judgement: Judgement, compared_with: Sequence[str], schema: TableSchema) -> str:
    """The same for the same check over columns of the same types, held against the same; whatever the moment."""
    names = sorted(set(columns_of_judgement(judgement)))
    types = (f"{each.name} {each.type}" for each in schema.select(names).columns)
    parts = [_MEANING, repr(check), *compared_with, *types]
    digest = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass"))
    if isinstance(judgement, Member) and isinstance(judgement.among, Values):
        # A version of a list is immutable, but which of its codes are valid follows the day.
        digest.update("\0".join(sorted(judgement.among.texts.to_pylist())).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:20]


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
        case AgreesWith():
            return _agreement(check, schema, around, reading)
        case Fresh() | RowCount():
            return ByTable(check)
        case Drift():
            return _drift(check, schema, around, reading)
    verdict = row_verdict(check, schema, around) if isinstance(check, NotFuture) else _timeless(check, schema)
    assert verdict is not None, "all others look at a row alone"
    return ByRow(ByExpression(verdict))


@lru_cache(maxsize=512)
def _timeless(check: Check, schema: TableSchema) -> exp.Expr | None:
    """The same in every assessment; making it costs as much as judging ten thousand rows. Nobody changes it."""
    return row_verdict(check, schema, Around(datetime.min.replace(tzinfo=UTC), ZONE))


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


def _agreement(
    check: AgreesWith, schema: TableSchema, around: Around, reading: tuple[Lake, GrantVerifier]
) -> ByRow | str:
    other = around.others.get(check.dataset, Silence.DATASET_MISSING)
    if isinstance(other, Silence):
        return other
    found = comparison_of(check, schema, open_grant(*reading, other.grant).granted)
    return found if isinstance(found, str) else ByRow(Agrees(other.grant, found), (other.name,))


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


def _counted(work: _Work, judge_of: Mapping[int, int], found: Found, checks: int, around: Around) -> Counted:
    findings: dict[int, Finding] = {}
    for number, each in work.silent.items():
        rows = each.counts.not_applicable
        findings[number] = each if rows else _with_rows(each, found.rows)
    for number, place in judge_of.items():
        failed, silent = found.failed[place], found.silent[place]
        counts = Counts(found.rows - failed - silent, failed, silent)
        findings[number] = Finding(counts, compared_with=work.by_row[number].compared_with)
    for number, task in work.by_table.items():
        answers = {
            name.partition(" ")[2]: value
            for name, value in found.values.items()
            if name.startswith(f"{number} ")
        }
        findings[number] = _of_table(task, found.rows, answers, around)
    together = tuple(
        (tuple(number for number, place in sorted(judge_of.items()) if place in kind), rows)
        for kind, rows in found.together
    )
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
