"""Time series of a version's rows, read under the caller's own grant: one series in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from plaza.quality.v1 import anomalies_pb2 as pb
from plaza_kit.errors import InvalidArgument
from plaza_kit.grants import GrantVerifier
from plaza_lake.access import open_grant
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.filter_text import parse_filter
from plaza_lake.ir import ColumnRef, IsNull, Not, conjunction
from plaza_lake.read import RowQuery, RowStream, read_rows
from plaza_lake.tables import Lake

from plaza_quality.domain.value_texts import value_text
from plaza_quality.kernels.series import Found, Kind, Options, anomalies

MOST_FOUND: Final = 20_000
"""Kept; the others are only counted."""
MOST_ROWS: Final = 5_000_000
"""Of one series."""
MOST_SERIES: Final = 20_000
_POINTS: Final = 50
_TEXT: Final = 200
_TIMES: Final = (FieldType.DATE, FieldType.TIMESTAMP)
_NUMERIC: Final = (FieldType.INTEGER, FieldType.NUMBER)


class NotASeries(InvalidArgument):
    """A field cannot be the time, or the value, of a time series."""


class SeriesTooLong(InvalidArgument):
    """A series has more rows than are looked at together."""


class TooManySeries(InvalidArgument):
    """The fields tell more series apart than are looked at in one answer."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which series."""

    time: str
    value: str
    series: tuple[str, ...]
    filter: str
    kinds: frozenset[Kind]
    options: Options


@dataclass(slots=True)
class SeriesFindings:
    """What was found in all of them."""

    version: int = 0
    series: int = 0
    rows: int = 0
    anomalies: list[pb.SeriesAnomaly] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    readings: Counter[Kind] = field(default_factory=Counter)


class SeriesReading:
    """One reading. `steps` does the work in the thread that takes its items; `renew` may come from another."""

    def __init__(self, lake: Lake, verifier: GrantVerifier, grant: str, query: SeriesQuery) -> None:
        self._lake, self._verifier, self._grant, self._query = lake, verifier, grant, query
        self._stream: RowStream | None = None
        self._key: tuple[str, ...] = ()
        self.findings = SeriesFindings()

    def renew(self, grant: str) -> None:
        """Goes on under a newer grant. Raises GrantRefused."""
        self._grant = grant
        if self._stream is not None:
            self._stream.renew(grant)

    def steps(self) -> Iterator[None]:
        """An item for each batch of rows. Raises as `read_rows`, FilterSyntax, NotASeries, SeriesTooLong,
        TooManySeries."""
        query = self._query
        access = open_grant(self._lake, self._verifier, self._grant)
        named = tuple(dict.fromkeys((*query.series, query.time, query.value)))
        access.check_names(named)
        _check_types(access.granted, query)
        self._key = access.granted.key
        columns = tuple(dict.fromkeys((*named, *self._key)))
        wanted = RowQuery(
            columns=columns,
            filter=conjunction(
                parse_filter(query.filter, access.granted), Not(IsNull(ColumnRef(query.time)))
            ),
            order_by=tuple((name, False) for name in (*query.series, query.time)),
        )
        with read_rows(self._lake, self._verifier, self._grant, wanted) as stream:
            self._stream = stream
            self.findings.version = stream.version
            yield from self._read(stream)

    def _read(self, stream: RowStream) -> Iterator[None]:
        held: list[pa.RecordBatch] = []
        for batch in stream.batches:
            self.findings.rows += batch.num_rows
            for first, last in pairwise(self._bounds(batch)):
                part = batch.slice(first, last - first)
                if held and not self._same(held[-1], part):
                    self._look(held)
                    held = []
                held.append(part)
                if sum(each.num_rows for each in held) > MOST_ROWS:
                    raise SeriesTooLong(
                        f"a series has more than {MOST_ROWS:,} rows",
                        remedy="name the fields that tell series apart in series_fields, or narrow it with filter",
                    )
            yield None
        if held:
            self._look(held)

    def _bounds(self, batch: pa.RecordBatch) -> list[int]:
        """Where another series begins, and both ends."""
        if not batch.num_rows:
            return []
        changes = np.zeros(batch.num_rows - 1, np.bool_)
        for name in self._query.series:
            codes = pc.dictionary_encode(batch.column(name)).indices.fill_null(-1).to_numpy(False)
            changes |= codes[1:] != codes[:-1]
        return [0, *(np.flatnonzero(changes) + 1).tolist(), batch.num_rows]

    def _same(self, before: pa.RecordBatch, after: pa.RecordBatch) -> bool:
        return all(
            before.column(name)[-1].as_py() == after.column(name)[0].as_py() for name in self._query.series
        )

    def _look(self, held: list[pa.RecordBatch]) -> None:
        rows = pa.Table.from_batches(held).combine_chunks()
        times = _microseconds(rows.column(self._query.time))
        values = rows.column(self._query.value).cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
        self.findings.series += 1
        if self.findings.series > MOST_SERIES:
            raise TooManySeries(
                f"series_fields: more than {MOST_SERIES:,} series",
                remedy="name fields that tell sensors apart, not readings, or narrow it with filter",
            )
        for found in anomalies(times, values, self._query.options, self._query.kinds):
            self.findings.counts[found.kind] += 1
            self.findings.readings[found.kind] += found.readings
            if len(self.findings.anomalies) < MOST_FOUND:
                self.findings.anomalies.append(self._message(found, rows, values))

    def _message(self, found: Found, rows: pa.Table, values: NDArray[np.float64]) -> pb.SeriesAnomaly:
        # Of a long run the last row is shown too: for missing readings it is the one that comes after.
        shown = [*found.rows] if len(found.rows) <= _POINTS else [*found.rows[: _POINTS - 1], found.rows[-1]]
        made = pb.SeriesAnomaly(
            kind=pb.SeriesAnomalyKind.Value(f"SERIES_ANOMALY_KIND_{found.kind.upper()}"),
            series=[_text(rows, name, 0) for name in self._query.series],
            start_time=_time_text(found.start),
            end_time=_time_text(found.end),
            readings=found.readings,
            expected=found.expected,
            deviation=found.deviation,
        )
        for row in shown:
            point = made.points.add(time=_text(rows, self._query.time, row))
            for name in self._key:
                point.key[name] = _text(rows, name, row)
            if np.isfinite(values[row]):
                point.value = float(values[row])
        return made


def _check_types(granted: TableSchema, query: SeriesQuery) -> None:
    for name, types, words in (
        (query.time, _TIMES, "a date or a timestamp"),
        (query.value, _NUMERIC, "an integer or a number"),
    ):
        column = granted.column(name)
        assert column is not None, "the names were checked"
        if column.type not in types:
            of_type = [each.name for each in granted.columns if each.type in types]
            raise NotASeries(
                f"field {name!r} is {column.type}, not {words}",
                remedy=f"choose from: {', '.join(of_type) or 'there is none of that type'}",
                facts={"field": name},
            )


def _microseconds(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if pa.types.is_date32(column.type):
        column = column.cast(pa.timestamp("us"))
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)


def _text(rows: pa.Table, name: str, row: int) -> str:
    return value_text(rows.column(name)[row].as_py(), _TEXT)


def _time_text(microseconds: int) -> str:
    return value_text(pa.scalar(microseconds, pa.timestamp("us", tz="UTC")).as_py(), _TEXT)


def kinds_of(numbers: Collection[pb.SeriesAnomalyKind.ValueType]) -> frozenset[Kind]:
    """All kinds when none is named."""
    words = (pb.SeriesAnomalyKind.Name(each).removeprefix("SERIES_ANOMALY_KIND_").lower() for each in numbers)
    return frozenset(map(Kind, words)) or frozenset(Kind)
