"""From a source file to a contract proposal.

It only proposes: after registration every row is judged by the contract alone. Every proposed type is one
that the load's own conversion accepts for every row read here, and everything that was guessed says why.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot.expressions as exp
from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker.batches import Batch
from plaza_ingestion.worker.convert import quoted
from plaza_ingestion.worker.duplicates import engine
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.headings import TIME_PARTS, field_names, role_of, time_part
from plaza_ingestion.worker.keys import Candidate, KeyProposal, propose_key
from plaza_ingestion.worker.load import LoadCancelled, Progress
from plaza_ingestion.worker.plan import BuildTimestamp, Dialect
from plaza_ingestion.worker.profile import ColumnProfile
from plaza_ingestion.worker.readers import headings_of, open_reader
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.sniff import Finding, propose_format
from plaza_ingestion.worker.source import SourceFile

_ZONE: Final = "Asia/Shanghai"
_RANGES: Final = {
    "year": (1900, 2199),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
_KEY_TYPES: Final = frozenset({"string", "integer", "date", "timestamp"})


@dataclass(frozen=True, slots=True)
class FieldProposal:
    """One proposed field; the words are those of `plan.FieldSpec`."""

    name: str
    source: str
    """The heading, to the letter; it serves as title as well. Empty: built by a step."""
    type: str
    required: bool
    missing: tuple[str, ...]
    unit: str
    """Always empty: a file does not say it, and a guess would be read as a fact."""
    reasons: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A contract proposal for one file."""

    fields: tuple[FieldProposal, ...]
    key: tuple[str, ...]
    key_reason: Finding
    steps: tuple[BuildTimestamp, ...]
    rows: int
    """Rows that the proposal rests on."""
    ragged_rows: int
    """Rows left out because they have another number of fields than the header."""
    faulty_rows: int
    """Rows left out because of their quotes, length, encoding or form."""
    encoding: str
    """`utf-8`, or `utf-8-sig` when the file begins with a byte order mark; `gb18030`; `utf-16`."""
    delimiter: str
    ignored_columns: tuple[int, ...]
    """Columns without a heading, counted from 1: a contract cannot name them."""
    type: str = "csv"
    """One of `plan.FORMATS`."""
    record_path: str = ""
    format_reasons: tuple[Finding, ...] = ()
    """Why this type and this encoding."""


def infer(
    source: Path,
    *,
    sample: int | None = None,
    scratch: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Proposal:
    """Reads the file (or its first `sample` rows, rounded up to a window) and proposes a contract for it.

    The file's text is copied to a folder made in `scratch` (None: the system's folder for temporary files),
    gone at the end. `progress` and `cancelled` are called from the calling thread.

    Raises `HeaderMismatch` when the file is empty, its header cannot be read, or two columns share a heading;
    `UnreadableFile`, `OversizedFile`; `InvalidArgument` when `sample` is not positive; `LoadCancelled`.
    """
    if sample is not None and sample < 1:
        raise InvalidArgument("sample must be at least 1 row.", remedy="Leave it out to read the whole file.")
    with (
        ExitStack() as held,
        SourceFile(source) as opened,
        tempfile.TemporaryDirectory(prefix="plaza-infer-", dir=scratch) as directory,
    ):
        scratch = Path(directory)
        written = propose_format(opened, scratch)
        stack = held.enter_context(ExitStack())
        headings = _distinct(headings_of(opened, written.format, scratch))
        reader = open_reader(opened, written.format, headings, scratch, stack)
        table = scratch / "cells.parquet"
        rest = _watched(reader.batches(), opened.size, progress, cancelled)
        survey = _survey(rest, len(headings), written.format.dialect, table, sample)
        fields, steps = _propose_fields(headings, survey.columns)
        key = _propose_key(fields, headings, survey, table)
    fields = tuple(replace(one, required=one.required or one.name in key.key) for one in fields)
    return Proposal(
        fields=fields,
        key=key.key,
        key_reason=Finding(key.code, key.sentence),
        steps=steps,
        rows=survey.rows,
        ragged_rows=survey.ragged,
        faulty_rows=survey.faulty,
        type=written.format.type,
        encoding=written.encoding,
        delimiter=written.format.dialect.delimiter,
        record_path=written.format.record_path,
        format_reasons=written.reasons,
        ignored_columns=tuple(place for place, heading in enumerate(headings, 1) if not heading),
    )


def _distinct(headings: Sequence[str]) -> Sequence[str]:
    twice = [heading for heading, times in Counter(headings).items() if heading and times > 1]
    if twice:
        raise HeaderMismatch(
            f"The header names more than one column {', '.join(twice)}.",
            remedy="Give every column a heading of its own.",
            facts={"found": ",".join(headings)},
        )
    return headings


def _watched(
    found: Iterator[Batch], size: int, progress: Callable[[Progress], None], cancelled: Callable[[], bool]
) -> Iterator[Batch]:
    rows = 0
    for batch in found:
        if cancelled():
            raise LoadCancelled("The inference was cancelled.", remedy="Start it again when you want it.")
        yield batch
        rows += len(batch.records)
        progress(Progress(batch.end, size, rows, 0))


@dataclass(frozen=True, slots=True)
class _Survey:
    columns: tuple[ColumnProfile, ...]
    rows: int
    ragged: int
    faulty: int


def _survey(found: Iterator[Batch], width: int, dialect: Dialect, table: Path, sample: int | None) -> _Survey:
    """Every good row profiled, and its text kept in `table` (columns c0, c1, …) for the search of a key."""
    columns = tuple(ColumnProfile() for _ in range(width))
    rows = ragged = faulty = 0
    schema = pa.schema([(f"c{i}", pa.string()) for i in range(width)])
    with pq.ParquetWriter(table, schema, compression="zstd") as writer:
        for batch in found:
            batch = batch.checked()
            whole = batch.records.fault == Fault.NONE
            good = np.flatnonzero(whole & (batch.records.fields == width))
            faulty += int(np.count_nonzero(~whole))
            ragged += int(np.count_nonzero(whole)) - len(good)
            cells = batch.cells(good, width, range(width), dialect)
            for column, array in zip(columns, cells, strict=True):
                column.learn(array)
            if len(good):
                writer.write_table(pa.table(cells, schema=schema))
            rows += len(good)
            if sample is not None and rows >= sample:
                break
    return _Survey(columns, rows, ragged, faulty)


def _propose_fields(
    headings: Sequence[str], columns: Sequence[ColumnProfile]
) -> tuple[tuple[FieldProposal, ...], tuple[BuildTimestamp, ...]]:
    """One field a heading, and one more with its step when the parts of a timestamp are there."""
    names = field_names(headings)
    # A token that stands for "missing" between numbers is this file's habit, also where text surrounds it.
    habit = {token for column in columns if column.type_name != "string" for token in column.tokens}
    fields = [
        _propose_field(name, heading, column, habit)
        for name, heading, column in zip(names, headings, columns, strict=True)
        if heading
    ]
    step = _propose_step(headings, names, columns)
    if step is None:
        return tuple(fields), ()
    built = FieldProposal(step.target, "", "timestamp", True, (), "", _WHY_BUILT)
    return (*fields, built), (step,)


_WHY_BUILT: Final = (
    Finding("built_from_parts", "year, month, day and hour stand in columns of their own"),
    Finding("zone_unknown", f"a file cannot say its time zone: {_ZONE} is assumed, check it"),
)


def _propose_field(name: str, heading: str, column: ColumnProfile, habit: set[str]) -> FieldProposal:
    kind = column.type_name
    tokens = column.tokens & habit if kind == "string" else column.tokens
    reasons = list(_why_type(column, kind))
    shown = ", ".join(quoted(token) for token in sorted(tokens))
    if tokens and kind == "string":
        reasons.append(Finding("missing_by_habit", f"{shown} means missing in other columns of this file"))
    elif tokens:
        reasons.append(Finding("missing_tokens", f"{shown} is the only other text in the column"))
    required = bool(column.rows) and not column.empty and not tokens
    if required:
        reasons.append(Finding("never_missing", "every row has a value"))
    if name.startswith("field_"):
        reasons.append(Finding("name_by_place", "the heading has no ASCII name: choose a telling one"))
    return FieldProposal(name, heading, kind, required, tuple(sorted(tokens)), "", tuple(reasons))


def _why_type(column: ColumnProfile, kind: str) -> Iterator[Finding]:
    if not column.values:
        yield Finding("no_values", "no row has a value, so text is the only safe type")
    elif column.digits_are_a_code and column.leading_zeros:
        yield Finding("leading_zeros", "digits with leading zeros are a code, not a quantity")
    elif column.digits_are_a_code:
        yield Finding("long_numbers", "numbers of more than 15 digits are identifiers, not quantities")
    else:
        yield Finding(f"all_{kind}", f"every value is {_KINDS[kind]}")


_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date (YYYY-MM-DD)",
    "timestamp": "an instant with its UTC offset",
}


def _propose_step(
    headings: Sequence[str], names: Sequence[str], columns: Sequence[ColumnProfile]
) -> BuildTimestamp | None:
    """A timestamp out of year, month, day and hour (and finer parts), when such columns hold such values."""
    parts: dict[str, str] = {}
    for heading, name, column in zip(headings, names, columns, strict=True):
        part = time_part(heading)
        if part and part not in parts and _holds(part, column):
            parts[part] = name
    if not all(part in parts for part in TIME_PARTS[:4]):
        return None
    target = next(name for name in ("time", "observed_at", "built_time") if name not in names)
    finer = parts.get("minute")
    return BuildTimestamp(
        target=target,
        year=parts["year"],
        month=parts["month"],
        day=parts["day"],
        hour=parts["hour"],
        minute=finer,
        second=parts.get("second") if finer else None,
        zone=_ZONE,
    )


def _holds(part: str, column: ColumnProfile) -> bool:
    low, high = _RANGES[part]
    return (
        column.type_name == "integer"
        and column.low is not None
        and column.high is not None
        and low <= column.low
        and column.high <= high
    )


def _propose_key(
    fields: Sequence[FieldProposal], headings: Sequence[str], survey: _Survey, table: Path
) -> KeyProposal:
    """The key by what the rows hold: DuckDB counts over the text of the file."""
    place = {heading: f"c{i}" for i, heading in enumerate(headings)}
    eligible = [one for one in fields if one.required and one.source and one.type in _KEY_TYPES]
    column_of = {one.name: place[one.source] for one in eligible}
    profile = {one.name: survey.columns[int(column_of[one.name][1:])] for one in eligible}
    scan = exp.func("read_parquet", exp.Literal.string(str(table)))
    with engine(table.parent) as connection:
        counts: Sequence[int] = ()
        if eligible and survey.rows:
            distinct = "approx_count_distinct"
            estimate = [exp.func(distinct, exp.column(column)) for column in column_of.values()]
            row = connection.execute(exp.select(*estimate).from_(scan).sql(dialect="duckdb")).fetchone()
            counts = row or ()

        def is_unique(key: tuple[str, ...]) -> bool:
            columns = [exp.column(column_of[name]) for name in key]
            twice = exp.select("1").from_(scan).group_by(*columns).having("count(*) > 1").limit(1)
            return connection.execute(twice.sql(dialect="duckdb")).fetchone() is None

        candidates = [
            Candidate(one.name, one.source, role_of(one.source), distinct, profile[one.name].counts_rows)
            for one, distinct in zip(eligible, counts, strict=False)
        ]
        return propose_key(candidates, survey.rows, is_unique)
