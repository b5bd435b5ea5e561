"""The profile of a version: one scan, and what was counted written as a message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import profiles_pb2 as pb
from plaza_kit.grants import GrantVerifier
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.ir import Scalar
from plaza_lake.scan import judge_parts, open_scan
from plaza_lake.tables import Lake

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import TextFormat
from plaza_quality.domain.value_texts import value_text
from plaza_quality.kernels.profiling import Profiler
from plaza_quality.kernels.relations import Relations, Sample
from plaza_quality.kernels.shapes import has_format, readable_as, shapes
from plaza_quality.kernels.tallies import LONGEST, ColumnFacts

SHARES: Final = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
TOP_VALUES: Final = 50
_TOP_SHAPES: Final = 20
_TOP_OF_WIDE: Final = 10
_WIDE: Final = 200
"""Columns, from which on fewer values of each are told: a profile is one message."""
_TELLING_SHARE: Final = 0.05
_ORDERED: Final = (FieldType.INTEGER, FieldType.NUMBER, FieldType.DATE, FieldType.TIMESTAMP)
_FORMS: Final = tuple(
    form
    for form in TextFormat
    if form not in (TextFormat.INTEGER, TextFormat.DECIMAL, TextFormat.DATE, TextFormat.TIMESTAMP)
)
"""The others are told as kinds."""
_OF_INTEGERS: Final = (TextFormat.RESIDENT_ID, TextFormat.MOBILE_PHONE)
"""The others are any number of so many digits."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one scan found."""

    profile: pb.Profile
    """Without keys, dependencies and code lists."""
    schema: TableSchema
    values: Mapping[str, tuple[tuple[Scalar, int], ...]]
    """Of the columns all of whose values were kept."""
    sample: Sample

    def relations(self) -> Relations:
        """Candidates, from the sample."""
        return self.sample.relations()


def scanned(lake: Lake, verifier: GrantVerifier, grant: str, around: Around) -> Scanned:
    """Every row of the version that the grant opens, once.

    Blocking. Raises as `plaza_lake.scan.open_scan`.
    """
    scan = open_scan(lake, verifier, grant)
    rows = sum(scan.rows.values())
    profiler = Profiler(scan.schema, rows)
    judge_parts(lake, scan, profiler.schema.names, profiler)
    return written(profiler, rows, around)


def written(profiler: Profiler, rows: int, around: Around) -> Scanned:
    """What a profiler that has seen all parts found."""
    facts, sample = profiler.facts(), profiler.sample()
    most = TOP_VALUES if len(facts) <= _WIDE else _TOP_OF_WIDE
    profile = pb.Profile(rows=rows, sampled_rows=sample.num_rows)
    for column in profiler.schema.columns:
        drawn = sample.column(column.name)
        profile.columns.append(_column(column, facts[column.name], drawn, around, rows, most))
    return Scanned(
        profile,
        profiler.schema,
        {name: each.values for name, each in facts.items() if each.values_exact},
        Sample(sample, profiler.schema, {name: each.distinct for name, each in facts.items()}, rows),
    )


def _column(
    column: Column, facts: ColumnFacts, sample: pa.ChunkedArray, around: Around, rows: int, most: int
) -> pb.ColumnProfile:
    made = pb.ColumnProfile(
        field=column.name,
        type=contract_pb2.FieldType.Value(f"FIELD_TYPE_{column.type.upper()}"),
        nulls=facts.nulls,
        empty_texts=facts.empty_texts,
        not_finite=facts.not_finite,
        distinct=facts.distinct,
        distinct_exact=facts.distinct_exact,
        minimum=value_text(facts.minimum, LONGEST),
        maximum=value_text(facts.maximum, LONGEST),
        mean=facts.mean,
        standard_deviation=facts.deviation,
        top_values=[
            pb.ValueCount(value=value_text(value, LONGEST), rows=n) for value, n in facts.values[:most]
        ],
        top_values_exact=facts.values_exact,
    )
    present = sample.drop_null().combine_chunks()
    if column.type is FieldType.STRING:
        present_rows = rows - facts.nulls
        if present_rows:
            mean = facts.characters / present_rows
            made.lengths.CopyFrom(pb.TextLengths(minimum=facts.shortest, maximum=facts.longest, mean=mean))
    if column.type in _ORDERED:
        made.quantiles.extend(_quantiles(present))
    if len(present):
        _look_at_texts(made, column, present, around)
    return made


def _quantiles(present: pa.Array) -> Iterator[pb.Quantile]:
    if pa.types.is_floating(present.type):
        present = present.filter(pc.is_finite(present))
    if not len(present):
        return
    ordered = present.take(pc.sort_indices(present))
    for share in SHARES:
        place = max(int(np.ceil(share * len(ordered))) - 1, 0)
        yield pb.Quantile(share=share, value=value_text(ordered[place].as_py(), LONGEST))


def _look_at_texts(made: pb.ColumnProfile, column: Column, present: pa.Array, around: Around) -> None:
    """Each different text once, weighed by its rows."""
    if column.type not in (FieldType.STRING, FieldType.INTEGER):
        return
    counted = pc.value_counts(present)
    texts, weights = counted.field("values").cast(pa.string()), counted.field("counts").to_numpy()
    total = int(weights.sum())
    for form in _FORMS if column.type is FieldType.STRING else _OF_INTEGERS:
        share = float(weights[has_format(texts, form, around)].sum() / total)
        if share >= _TELLING_SHARE:
            word = contract_pb2.TextFormat.Value(f"TEXT_FORMAT_{form.upper()}")
            made.formats.append(pb.FormatShare(format=word, share=share))
    if column.type is not FieldType.STRING:
        return
    for kind in (
        FieldType.INTEGER,
        FieldType.NUMBER,
        FieldType.BOOLEAN,
        FieldType.DATE,
        FieldType.TIMESTAMP,
    ):
        share = float(weights[readable_as(texts, kind)].sum() / total)
        if share:
            made.kinds.append(
                pb.KindShare(type=contract_pb2.FieldType.Value(f"FIELD_TYPE_{kind.upper()}"), share=share)
            )
    by_shape: Counter[str] = Counter()
    for shape, weight in zip(shapes(texts).to_pylist(), weights.tolist(), strict=True):
        by_shape[shape] += weight
    ordered = sorted(by_shape.items(), key=lambda one: (-one[1], one[0]))[:_TOP_SHAPES]
    made.shapes.extend(pb.ValueCount(value=shape, rows=rows) for shape, rows in ordered)
