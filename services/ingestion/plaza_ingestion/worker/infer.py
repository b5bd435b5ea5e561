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

from plaza_ingestion.worker.archive_reader import data_entries
from plaza_ingestion.worker.batches import Batch
from plaza_ingestion.worker.duplicates import engine
from plaza_ingestion.worker.field_proposals import FieldProposal, ProposedStep, propose_fields
from plaza_ingestion.worker.header import HeaderMismatch
from plaza_ingestion.worker.headings import role_of
from plaza_ingestion.worker.keys import Candidate, KeyProposal, propose_key
from plaza_ingestion.worker.load import LoadCancelled, Progress
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.profile import ColumnProfile
from plaza_ingestion.worker.readers import headings_of, is_archive, open_reader
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.sniff import Finding, propose_format
from plaza_ingestion.worker.source import SourceFile

_KEY_TYPES: Final = frozenset({"string", "integer", "date", "timestamp"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A contract proposal for one file."""

    fields: tuple[FieldProposal, ...]
    key: tuple[str, ...]
    key_reason: Finding
    steps: tuple[ProposedStep, ...]
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
    entries: tuple[str, ...] = ()
    """The files of an archive; empty: it is none."""
    type: str = "csv"
    """One of `plan.FORMATS`."""
    record_path: str = ""
    format_reasons: tuple[Finding, ...] = ()
    """Why this type, delimiter and encoding."""
    missing: tuple[str, ...] = ()
    """Texts that mean "no value" in every field, as whoever asked says."""


def infer(
    source: Path,
    *,
    sample: int | None = None,
    missing: Sequence[str] = (),
    scratch: Path | None = None,
    entry: str = "",
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Proposal:
    """Reads the file (or its first `sample` rows, rounded up to a window) and proposes a contract for it.

    `missing`: texts that mean "no value" in this file, beside those that `profile` knows. `entry`: of an archive,
    the file in it; empty: all of them.
    The file's text is copied to a folder made in `scratch` (None: the system's folder for temporary files),
    gone at the end. `progress` and `cancelled` are called from the calling thread.

    Raises `HeaderMismatch` when the file is empty, its header cannot be read, or two columns share a heading;
    `UnreadableFile`, `OversizedFile`, `UnknownEntry`; `InvalidArgument` when `sample` is not positive; `LoadCancelled`.
    """
    if sample is not None and sample < 1:
        raise InvalidArgument("sample must be at least 1 row.", remedy="Leave it out to read the whole file.")
    with (
        ExitStack() as held,
        SourceFile(source) as opened,
        tempfile.TemporaryDirectory(prefix="plaza-infer-", dir=scratch) as directory,
    ):
        scratch = Path(directory)
        written = propose_format(opened, scratch, entry)
        stack = held.enter_context(ExitStack())
        headings = _distinct(headings_of(opened, written.format, scratch))
        reader = open_reader(opened, written.format, headings, scratch, stack)
        entries = data_entries(opened) if is_archive(opened) else ()
        table = scratch / "cells.parquet"
        rest = _watched(reader.batches(), opened.size, progress, cancelled)
        columns = tuple(ColumnProfile(declared=tuple(missing)) for _ in headings)
        survey = _survey(rest, columns, written.format.dialect, table, sample)
        fields, steps = propose_fields(headings, survey.columns, missing)
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
        missing=tuple(dict.fromkeys(missing)),
        ignored_columns=tuple(place for place, heading in enumerate(headings, 1) if not heading),
        entries=entries,
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


def _survey(
    found: Iterator[Batch],
    columns: tuple[ColumnProfile, ...],
    dialect: Dialect,
    table: Path,
    sample: int | None,
) -> _Survey:
    """Every good row profiled, and its text kept in `table` (columns c0, c1, …) for the search of a key."""
    rows = ragged = faulty = 0
    width = len(columns)
    schema = pa.schema([(f"c{i}", pa.string()) for i in range(width)])
    with pq.ParquetWriter(table, schema, compression="zstd") as writer:
        for batch in found:
            batch = batch.checked()
            whole = batch.records.fault == Fault.NONE
            good = np.flatnonzero(whole & (batch.records.fields == width))
            faulty += int(np.count_nonzero(~whole))
            ragged += int(np.count_nonzero(whole)) - len(good)
            cells = batch.cells(good, width, range(width), dialect)
            learned = [column.learn(array) for column, array in zip(columns, cells, strict=True)]
            if len(good):
                writer.write_table(pa.table(learned, schema=schema))
            rows += len(good)
            if sample is not None and rows >= sample:
                break
    return _Survey(columns, rows, ragged, faulty)


def _propose_key(
    fields: Sequence[FieldProposal], headings: Sequence[str], survey: _Survey, table: Path
) -> KeyProposal:
    """The key by what the rows hold: DuckDB counts over the text of the file."""
    place = {heading: f"c{i}" for i, heading in enumerate(headings)}
    eligible = [one for one in fields if one.required and one.source and _may_be_key(one)]
    column_of = {one.name: place[one.source] for one in eligible}
    text_of = {one.name: _one_form(one, exp.column(column_of[one.name])) for one in eligible}
    profile = {one.name: survey.columns[int(column_of[one.name][1:])] for one in eligible}
    scan = exp.func("read_parquet", exp.Literal.string(str(table)))
    with engine(table.parent) as connection:
        counts: Sequence[int] = ()
        if eligible and survey.rows:
            estimate = [exp.func("approx_count_distinct", text) for text in text_of.values()]
            row = connection.execute(exp.select(*estimate).from_(scan).sql(dialect="duckdb")).fetchone()
            counts = row or ()

        def is_unique(key: tuple[str, ...]) -> bool:
            texts = [text_of[name] for name in key]
            twice = exp.select("1").from_(scan).group_by(*texts).having("count(*) > 1").limit(1)
            return connection.execute(twice.sql(dialect="duckdb")).fetchone() is None

        candidates = [
            Candidate(one.name, one.source, role_of(one.source), distinct, profile[one.name].counts_rows)
            for one, distinct in zip(eligible, counts, strict=False)
        ]
        return propose_key(candidates, survey.rows, is_unique)


def _may_be_key(field: FieldProposal) -> bool:
    return field.type in _KEY_TYPES and (field.time is None or field.time.has_one_form)


def _one_form(field: FieldProposal, text: exp.Column) -> exp.Expr:
    """The text so that equal values have equal texts: without leading zeros where a date may have them."""
    if field.time is None or "%-" not in field.time.format:
        return text
    wanted = (exp.Literal.string(one) for one in (r"(^|[^0-9])0+([0-9])", r"\1\2", "g"))
    return exp.func("regexp_replace", text, *wanted)
