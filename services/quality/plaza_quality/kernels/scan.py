"""Judgements over data files by kernels, all of them in one scan: the same verdicts as `plaza_lake.judge`, sooner."""

from __future__ import annotations

from collections.abc import Sequence

from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.judgements import ByExpression, First, Judgement, Member, Values
from plaza_lake.scan import Scan, judge_parts
from plaza_lake.tables import Lake

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.kernels.checks import among, kernel_of
from plaza_quality.kernels.hashing import Seeds
from plaza_quality.kernels.parts import FileSaid, PartJudge, Task, together


def judge_files(lake: Lake, scan: Scan, tasks: Sequence[Task], seeds: Seeds) -> dict[int, FileSaid]:
    """Every task over every file of the scan, by number of the file.

    Blocking; takes 16 bytes for each row and key besides the columns of two row groups. Raises as
    `plaza_lake.scan.judge_parts`, and duckdb.Error for an expression that cannot be evaluated.
    """
    judge = PartJudge(tasks, seeds)
    parts: dict[int, list[FileSaid]] = {number: [] for number in scan.metadata}
    for number, found in judge_parts(
        lake, scan, judge.columns or scan.schema.names[:1], lambda part: (part.file, judge(part.columns))
    ):
        parts[number].append(found)
    return {number: together(found, len(tasks)) for number, found in parts.items()}


def task_of(check: Check, judgement: Judgement, schema: TableSchema, around: Around) -> Task | None:
    """How a check is done here that is this judgement on the engine; None: only the engine can."""
    match judgement:
        case Member((name,), Values(known)):
            column = schema.column(name)
            return among(name, known) if column is not None and column.type is FieldType.STRING else None
        case ByExpression() | First():
            return kernel_of(check, schema, around) or judgement
    return None
