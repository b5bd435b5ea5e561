"""Judgements over files of a version on a Spark Connect server: the same bits as are found here.

Spark reads nothing by itself and compares nothing but whole numbers and texts. Its workers' Python opens the files,
judges the rows with the kernels of this service (`worker`), and sends back what it says of each part. What needs other
rows it hands on as hashes of keys and places in an order; one shuffle brings those together.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from plaza_lake.access import Access
from plaza_lake.fields import TableSchema
from plaza_lake.ir import columns_of
from plaza_lake.judge import UNREASONABLE, first_line
from plaza_lake.judged import merged
from plaza_lake.judgements import (
    Ascending,
    ByExpression,
    First,
    Judgement,
    Member,
    Mergeable,
    OtherRows,
    aggregate_items,
    columns_of_judgement,
)
from plaza_lake.render import render
from plaza_lake.row_bits import Bits

from plaza_quality.domain.around import Around
from plaza_quality.kernels.hashing import Keys, Seeds
from plaza_quality.kernels.parts import FileSaid, PartEngine, Said, together
from plaza_quality.kernels.repeated import Positions
from plaza_quality.spark.sent import (
    OF_PART,
    PLACED,
    SAID,
    THEIRS,
    Asked,
    Reference,
    Rows,
    Slice,
    Wanted,
    Work,
)
from plaza_quality.spark.server import Spark
from plaza_quality.spark.worker import judged, placed, referred, release, without_values

if TYPE_CHECKING:
    from pyspark.sql.column import Column
    from pyspark.sql.connect.session import SparkSession
    from pyspark.sql.dataframe import DataFrame

_SLICE_ROWS: Final = 250_000
"""About two row groups."""
_MOST_SLICES: Final = 64
"""Of one file."""
_TYPES: Final = {pa.int64(): "bigint", pa.string(): "string", pa.binary(): "binary"}


@dataclass(frozen=True, slots=True)
class Group:
    """Files of which the same is asked."""

    files: tuple[int, ...]
    """Numbers in `Access.paths`."""
    tasks: tuple[int, ...]
    """Numbers of what is asked."""
    aggregates: tuple[Mergeable, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the workers say."""

    files: Mapping[int, FileSaid]
    """By number of the file, what the tasks of its group say. What looks beyond: of which rows it says nothing."""
    values: Mapping[int, tuple[object, ...]]
    """Of the files that have a row, the aggregates of the group."""
    failing: Mapping[int, Positions]
    """By task that looks beyond the failing rows, in order."""


def judge_on_spark(
    spark: Spark,
    access: Access,
    others: Mapping[str, Access],
    asked: Sequence[Asked],
    groups: Iterable[Group],
    seeds: Seeds,
    around: Around,
    address: Callable[[str], str],
) -> Answer:
    """What is asked of some files, whose grants were looked at: `others` by the grants among the judgements. What looks
    beyond its own row looks at the files of its groups. `address`: of a file, as the workers reach it.

    Blocking. Raises `SparkUnavailable`, `SparkFailed`.
    """
    groups = list(groups)
    work = Work(
        granted=access.granted,
        tasks=tuple(each.without_grants() for each in asked),
        wanted=tuple(_wanted(access, asked, group, address) for group in groups),
        seeds=seeds,
        moment=around.moment,
        zone=around.zone,
        partitions=spark.partitions,
    )
    references = [
        Reference(
            _rows(others[among.grant], range(len(others[among.grant].paths)), set(among.columns), address),
            among.columns,
            slot,
            seeds,
            spark.partitions,
        )
        for slot, each in enumerate(asked)
        if isinstance(each.judgement, Member) and isinstance(among := each.judgement.among, OtherRows)
    ]
    with spark.session() as session:
        query = _Query(session, work, references)
        said = query.said()
        failing = query.failing()
    return _answer(said, failing, groups)


def problem_of(judgement: Judgement, schema: TableSchema) -> str | None:
    """Why no row can be judged so: what the engine cannot evaluate it cannot evaluate over one row without values
    either, so that patterns and types are looked at before anything is sent."""
    if isinstance(judgement, ByExpression):
        try:
            PartEngine().answered(without_values(schema), [judgement.expression])
        except UNREASONABLE as error:
            return first_line(error)
    return None


def _wanted(access: Access, asked: Sequence[Asked], group: Group, address: Callable[[str], str]) -> Wanted:
    names = {name for number in group.tasks for name in columns_of_judgement(asked[number].judgement)}
    names |= {name for node in group.aggregates for name in columns_of(node)}
    items = aggregate_items(group.aggregates, access.granted)
    return Wanted(_rows(access, group.files, names, address), group.tasks, tuple(items))


def _rows(access: Access, files: Iterable[int], names: set[str], address: Callable[[str], str]) -> Rows:
    """Some of the files, the columns, and which rows, that a grant opens."""
    if access.row_filter is not None:
        names = names | set(columns_of(access.row_filter))
    schema = access.schema
    # Rows are counted by some column.
    names = names or set(access.granted.names[:1])
    needed = schema.select(name for name in schema.names if name in names)
    row_filter = None if access.row_filter is None else render(access.row_filter, schema)
    rows = access.version.total_rows // max(1, len(access.paths))
    of = min(_MOST_SLICES, 1 + rows // _SLICE_ROWS)
    slices = (
        Slice(number, address(access.paths[number]), first, of) for number in files for first in range(of)
    )
    return Rows(tuple(slices), needed, row_filter)


@dataclass(frozen=True, slots=True)
class _Query:
    """The frames: what the workers say by themselves, and what they say together."""

    session: SparkSession
    work: Work
    references: Sequence[Reference]

    def said(self) -> pa.Table:
        """Of each part (`SAID`)."""
        return self._of_workers(judged, self.work, SAID).toArrow()

    def failing(self) -> pa.Table | None:
        """`slot` and `position` of the rows that fail beside others. None: nothing was asked so."""
        from pyspark.sql.connect import functions as f
        from pyspark.sql.connect.window import Window

        slots = {slot: each.judgement for slot, each in enumerate(self.work.tasks) if each.looks_beyond}
        wanted = [
            replace(each, tasks=tuple(slot for slot in each.tasks if slot in slots), aggregates=())
            for each in self.work.wanted
        ]
        wanted = [_narrow(each, self.work) for each in wanted if each.tasks]
        if not wanted:
            return None
        rows = self._of_workers(placed, replace(self.work, wanted=tuple(wanted)), PLACED)
        for reference in self.references:
            rows = rows.unionAll(self._of_workers(referred, reference, PLACED))
        order = [f.col(name).asc_nulls_first() for name in ("rank", "rank_text", "position")]
        belonging = Window.partitionBy("slot", "one", "two").orderBy(*order)
        rows = rows.select(
            "*",
            f.lag("position").over(belonging).alias("_position"),
            f.lag("value").over(belonging).alias("_value"),
            f.lag("value_text").over(belonging).alias("_value_text"),
            f.first("rank").over(belonging).alias("_rank"),
        )
        fails = f.lit(False)
        for slot, judgement in slots.items():
            fails = fails | ((f.col("slot") == slot) & _fails(judgement))
        return rows.where(f.col("position").isNotNull() & fails).select("slot", "position").toArrow()

    def _of_workers(self, what: Callable[..., Any], work: Work | Reference, schema: pa.Schema) -> DataFrame:
        """What the workers say; each takes the shares whose numbers it is given."""
        names = ", ".join(f"{field.name} {_TYPES[field.type]}" for field in schema)
        shares = self.session.range(0, self.work.partitions, 1, self.work.partitions)
        return shares.mapInArrow(partial(what, release(), pickle.dumps(work)), names)


def _narrow(wanted: Wanted, work: Work) -> Wanted:
    """With the columns only that its tasks look at."""
    names = {name for slot in wanted.tasks for name in columns_of_judgement(work.tasks[slot].judgement)}
    schema = wanted.rows.schema
    return replace(
        wanted, rows=replace(wanted.rows, schema=schema.select(n for n in schema.names if n in names))
    )


def _fails(judgement: Judgement) -> Column:
    """Of a row in its slot, beside what comes before it."""
    from pyspark.sql.connect import functions as f

    match judgement:
        case First():
            return f.col("_position").isNotNull()
        case Ascending(falling=falling, strict=strict):
            falls = _below("value", falling, strict) | _below("value_text", falling, strict)
            return f.col("_position").isNotNull() & falls
    return f.col("_rank") != THEIRS


def _below(name: str, falling: bool, strict: bool) -> Column:
    """Against the order, where there are such values."""
    from pyspark.sql.connect import functions as f

    value, before = f.col(name), f.col(f"_{name}")
    against = value > before if falling else value < before
    if strict:
        against = against | (value == before)
    return f.coalesce(against, f.lit(False))


def _answer(said: pa.Table, failing: pa.Table | None, groups: Iterable[Group]) -> Answer:
    parts: dict[int, dict[int, dict[int, dict[str, Any]]]] = {}
    for row in said.to_pylist():
        parts.setdefault(row["file"], {}).setdefault(row["first"], {})[row["task"]] = row
    files: dict[int, FileSaid] = {}
    values: dict[int, tuple[object, ...]] = {}
    for group in groups:
        for file in group.files:
            found = [part for _, part in sorted(parts.get(file, {}).items())]
            files[file] = together([_of_part(part, group.tasks) for part in found], len(group.tasks))
            if found:
                values[file] = _values([part[OF_PART]["aggregates"] for part in found], group.aggregates)
    return Answer(files, values, {} if failing is None else _by_slot(failing))


def _of_part(rows: Mapping[int, Mapping[str, Any]], tasks: Iterable[int]) -> FileSaid:
    return FileSaid(
        rows[OF_PART]["rows"], tuple(_said(rows[task]) if task in rows else Said() for task in tasks)
    )


def _said(row: Mapping[str, Any]) -> Said:
    keys = None
    if row["one"] is not None:
        # As kernels were compiled for: arrays that can be written to.
        one, two = (np.frombuffer(row[half], "<u8").astype(np.uint64) for half in ("one", "two"))
        keys = Keys(one, two)
    return Said(
        row["failed"],
        row["silent"],
        _bits(row["failed_bits"]),
        _bits(row["silent_bits"]),
        row["changes_at"],
        keys,
    )


def _bits(sent: bytes | None) -> Bits | None:
    return None if sent is None else np.frombuffer(sent, np.uint8).copy()


def _values(parts: Sequence[bytes | None], aggregates: Sequence[Mergeable]) -> tuple[object, ...]:
    """Of a file, from those of its parts."""
    found: list[list[object]] = [[] for _ in aggregates]
    for part in parts:
        if part is not None:
            table = pa.ipc.open_stream(part).read_all()
            for number in range(len(aggregates)):
                found[number] += table.column(f"_a{number}").drop_null().to_pylist()
    return tuple(merged(node, values) for node, values in zip(aggregates, found, strict=True))


def _by_slot(failing: pa.Table) -> dict[int, Positions]:
    slots = np.asarray(failing.column("slot").to_numpy(), np.int64)
    positions = np.asarray(failing.column("position").to_numpy(), np.int64)
    return {slot: np.sort(positions[slots == slot]) for slot in np.unique(slots).tolist()}
