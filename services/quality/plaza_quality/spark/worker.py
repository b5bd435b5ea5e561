"""What runs in the Python of Spark's workers: reads a share of the files and judges it, part by part."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from plaza_kit.errors import FailedPrecondition
from plaza_kit.objects.settings import S3Settings
from plaza_lake.files import FILE, S3
from plaza_lake.judgements import ROW_BITS, Ascending, ByExpression, First, Member, Values
from plaza_lake.scan import groups_of, read_group
from plaza_lake.schema import TableSchema, arrow_schema
from sqlglot import exp

from plaza_quality.kernels.checks import Kernel, among
from plaza_quality.kernels.columns import PASSES, SILENT, Flags, numbers, present_in
from plaza_quality.kernels.hashing import Hashes, Seeds, hashed
from plaza_quality.kernels.parts import PartEngine, PartJudge, Said, Task, any_present
from plaza_quality.kernels.repeated import Positions
from plaza_quality.kernels.scan import task_of
from plaza_quality.spark.sent import (
    OF_PART,
    OURS,
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

_BATCH: Final = 65_536


class OtherRelease(FailedPrecondition):
    """The worker's Plaza is not the one that asks."""


def release() -> str:
    """Of the installed quality service."""
    return version("plaza-quality")


def judged(wanted: str, packed: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What the shares say of each part whose numbers come in (`SAID`). Raises `OtherRelease`, FileNotFoundError."""
    work: Work = _unpacked(wanted, packed)
    engine = PartEngine()
    for asked, parts in _shares(work, batches):
        judge = PartJudge([_task(work.tasks[number], work, asked) for number in asked.tasks], work.seeds)
        for part in parts:
            found = judge(part.rows)
            plain = {"file": part.file, "first": part.first, "rows": found.rows}
            yield _said_of_part(plain, part.rows, asked.aggregates, engine)
            for number, said in zip(asked.tasks, found.said, strict=True):
                # One by one: with hashes of keys they are megabytes.
                if said.failed or said.silent or said.keys is not None:
                    yield _row(SAID, plain | {"task": number} | _plain(said))


def placed(wanted: str, packed: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of the shares as the slots of the tasks need them (`PLACED`). Raises as `judged`."""
    work: Work = _unpacked(wanted, packed)
    for asked, parts in _shares(work, batches):
        for part in parts:
            for slot in asked.tasks:
                yield from _placed(slot, work.tasks[slot], part, work.seeds).to_batches(_BATCH)


def referred(wanted: str, packed: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The keys of another version, each once a part (`PLACED`). Raises as `judged`."""
    work: Reference = _unpacked(wanted, packed)
    for share in _numbers(batches):
        for part in _opened(work.rows, share, work.partitions):
            columns = [part.rows.column(name) for name in work.columns]
            one, two = _hashes(columns, work.seeds, _all_present(columns))
            keys = np.unique(np.stack([one, two], axis=1), axis=0)
            found = _table(len(keys), slot=work.slot, one=keys[:, 0], two=keys[:, 1], rank=THEIRS)
            yield from found.to_batches(_BATCH)


def _unpacked(wanted: str, packed: bytes) -> Any:
    if wanted != release():
        raise OtherRelease(
            f"plaza-quality {release()} works for {wanted}", remedy="Give Spark's workers the same release."
        )
    return pickle.loads(packed)  # noqa: S301  # from who may run any code here: the owner of the Spark session


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column("id").to_pylist()


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a row group that a grant leaves."""

    file: int
    first: int
    """The number of the group's first row."""
    rows: pa.Table

    @property
    def where(self) -> Positions:
        """The positions of its rows, where a grant leaves all."""
        return np.arange(self.first, self.first + self.rows.num_rows, dtype=np.int64) | self.file << ROW_BITS


def _shares(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Wanted, Iterator[_Part]]]:
    for share in _numbers(batches):
        for asked in work.wanted:
            yield asked, _opened(asked.rows, share, work.partitions)


def _opened(wanted: Rows, share: int, shares: int) -> Iterator[_Part]:
    engine = PartEngine()
    for slice_ in wanted.share(share, shares):
        with _source(slice_.address) as source:
            metadata = pq.read_metadata(source)
            for group, first in _groups(metadata, slice_):
                rows = read_group(source, metadata, wanted.schema, group)
                if wanted.row_filter is not None:
                    left = engine.answered(rows, [wanted.row_filter]).column(0).fill_null(False)
                    rows = rows.filter(left)
                yield _Part(slice_.file, first, rows)


def _groups(metadata: pq.FileMetaData, slice_: Slice) -> Iterator[tuple[int, int]]:
    return ((group, first) for group, first in groups_of(metadata) if group % slice_.of == slice_.first)


def _source(address: str) -> pa.NativeFile:
    if address.startswith(S3):
        return _s3().open_input_file(address.removeprefix(S3))
    return pa.OSFile(address.removeprefix(FILE))


@cache
def _s3() -> Any:
    """By the worker's own settings (`PLAZA_S3_…`): keys never travel with the work."""
    return S3Settings().s3().access.filesystem()


def _said_of_part(
    plain: dict[str, Any], rows: pa.Table, aggregates: Sequence[exp.Expr], engine: PartEngine
) -> pa.RecordBatch:
    """How many rows it has, and their aggregates."""
    found = None
    if aggregates:
        texts = pa.table([_decoded(column) for column in rows.columns], names=rows.column_names)
        answer = engine.answered(texts, aggregates)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, answer.schema) as writer:
            writer.write_table(answer)
        found = sink.getvalue().to_pybytes()
    return _row(SAID, plain | {"task": OF_PART, "aggregates": found})


def _plain(said: Said) -> dict[str, Any]:
    return {
        "failed": said.failed,
        "silent": said.silent,
        "failed_bits": None if said.failed_bits is None else said.failed_bits.tobytes(),
        "silent_bits": None if said.silent_bits is None else said.silent_bits.tobytes(),
        "changes_at": said.changes_at,
        "one": None if said.keys is None else said.keys.one.astype("<u8", copy=False).tobytes(),
        "two": None if said.keys is None else said.keys.two.astype("<u8", copy=False).tobytes(),
    }


def _row(schema: pa.Schema, values: dict[str, Any]) -> pa.RecordBatch:
    columns = [pa.array([values.get(field.name)], field.type) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _task(asked: Asked, work: Work, wanted: Wanted) -> Task:
    judgement = asked.judgement
    if asked.looks_beyond:
        return _silence(asked)
    task = task_of(asked.check, judgement, work.granted, work.around)
    if isinstance(judgement, ByExpression) and not _works(task, wanted.rows.schema):
        return judgement
    if task is not None:
        return task
    assert isinstance(judgement, Member), "every other judgement is a task"
    assert isinstance(judgement.among, Values), "others look beyond"
    [name] = judgement.columns
    inner = among(name, judgement.among.texts)
    return Kernel((name,), lambda rows: inner.judge(_as_texts(rows, name)))


def _silence(asked: Asked) -> Task:
    """Of what needs other rows only the silence is known here: what is placed can be said no more."""
    match asked.judgement:
        case First(columns):
            return Kernel(
                columns, lambda rows: _where(_some_present([rows.column(name) for name in columns]))
            )
        case Member(columns):
            looked_at: tuple[str, ...] = columns
        case Ascending(column, ordered_by):
            looked_at = (column, ordered_by)
        case _:
            raise AssertionError("it looks at its own row")
    return Kernel(looked_at, lambda rows: _where(_all_present([rows.column(name) for name in looked_at])))


def _where(there: Flags) -> NDArray[np.uint8]:
    return np.where(there, PASSES, SILENT).astype(np.uint8)


def _works(task: Task | None, schema: TableSchema) -> bool:
    """Whether its pattern, if it has one, is one that Arrow can compile as well."""
    try:
        if isinstance(task, Kernel):
            task.judge(without_values(schema))
    except pa.ArrowInvalid:
        return False
    return True


def without_values(schema: TableSchema) -> pa.Table:
    """One row in which all is absent."""
    wanted = arrow_schema(schema)
    return pa.table([pa.nulls(1, field.type) for field in wanted], schema=wanted)


def _as_texts(rows: pa.Table, name: str) -> pa.Table:
    place = rows.column_names.index(name)
    return rows.set_column(place, name, rows.column(name).cast(pa.string()))


def _placed(slot: int, asked: Asked, part: _Part, seeds: Seeds) -> pa.Table:
    rows, where = part.rows, part.where
    match asked.judgement:
        case First(names):
            columns = [rows.column(name) for name in names]
            there = _some_present(columns)
            one, two = _hashes(columns, seeds, there)
            return _table(len(one), slot=slot, position=where[there], one=one, two=two)
        case Member(names):
            columns = [rows.column(name) for name in names]
            there = _all_present(columns)
            one, two = _hashes(columns, seeds, there)
            return _table(len(one), slot=slot, position=where[there], one=one, two=two, rank=OURS)
        case Ascending() as judgement:
            return _in_order(slot, rows, where, judgement, seeds)
    raise AssertionError("it looks at its own row")


def _in_order(slot: int, rows: pa.Table, where: Positions, judgement: Ascending, seeds: Seeds) -> pa.Table:
    there = _all_present([rows.column(judgement.column), rows.column(judgement.ordered_by)])
    one: Any = 0
    two: Any = 0
    if judgement.within:
        one, two = _hashes([rows.column(name) for name in judgement.within], seeds, there)
    kept, where = rows.filter(pa.array(there)), where[there]
    rank = _comparable("rank", kept.column(judgement.ordered_by))
    value = _comparable("value", kept.column(judgement.column))
    return _table(len(where), slot=slot, position=where, one=one, two=two, **rank, **value)


def _hashes(columns: list[pa.ChunkedArray], seeds: Seeds, there: Flags) -> tuple[Hashes, Hashes]:
    return hashed(columns, seeds.one)[there], hashed(columns, seeds.two)[there]


def _some_present(columns: Sequence[pa.ChunkedArray]) -> Flags:
    there = any_present(columns)
    return np.ones(len(columns[0]), np.bool_) if there is None else there


def _all_present(columns: Sequence[pa.ChunkedArray]) -> Flags:
    total = np.ones(len(columns[0]), np.bool_)
    for column in columns:
        if (there := present_in(column)) is not None:
            total &= there
    return total


def _comparable(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    """The values as whole numbers, or as texts, in the same order: what every engine compares alike."""
    column = _decoded(column)
    if pa.types.is_string(column.type):
        return {f"{name}_text": column.combine_chunks()}
    values, _ = numbers(column)
    if values.dtype.kind != "f":
        return {name: values.astype(np.int64)}
    # IEEE 754 orders the bits of positive numbers; those of negative ones are turned round. NaN is the greatest.
    floats = values.astype(np.float64) + 0.0
    floats[np.isnan(floats)] = np.nan
    bits = floats.view(np.int64)
    return {name: np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)}


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _table(rows: int, **columns: Any) -> pa.Table:
    """`PLACED` with these columns; what is not given is absent."""
    return pa.table([_column(field, rows, columns.get(field.name)) for field in PLACED], schema=PLACED)


def _column(field: pa.Field, rows: int, value: Any) -> pa.Array:
    if value is None:
        return pa.nulls(rows, field.type)
    if isinstance(value, int):
        return pa.repeat(pa.scalar(value, field.type), rows)
    if isinstance(value, np.ndarray):
        return pa.array(value.view(np.int64), field.type)
    return value
