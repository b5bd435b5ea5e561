"""From a check to the kernel that judges it; the others are left to the engine, part by part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.filter_text import scalar_of

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import (
    Check,
    Compared,
    Comparison,
    HasFormat,
    HasLength,
    InList,
    InRange,
    Matches,
    NotFuture,
    NotNull,
    TextFormat,
)
from plaza_quality.domain.patterns import PATTERNS
from plaza_quality.kernels import identifiers
from plaza_quality.kernels.columns import Flags, Verdict, numbers, present_in, texts, verdict

_NUMERIC: Final = (FieldType.INTEGER, FieldType.NUMBER)
_WITH_ARITHMETIC: Final[dict[TextFormat, Callable[[pa.Array], Flags]]] = {
    TextFormat.RESIDENT_ID: identifiers.resident_id,
    TextFormat.SOCIAL_CREDIT_CODE: identifiers.social_credit_code,
}
_BY_PATTERN_ALONE: Final = frozenset(TextFormat) - {
    *_WITH_ARITHMETIC,
    TextFormat.ORGANISATION_CODE,
    TextFormat.DATE,
    TextFormat.TIMESTAMP,
}
_QUICK: Final[dict[TextFormat, Callable[[pa.Array], Flags]]] = {
    TextFormat.MOBILE_PHONE: identifiers.plain_mobile,
    TextFormat.PHONE: identifiers.plain_mobile,
}
"""Accepts the most usual way of writing, in a tenth of the pattern's time."""
_COMPARE: Final[dict[Comparison, np.ufunc]] = {
    Comparison.EQUAL: np.equal,
    Comparison.NOT_EQUAL: np.not_equal,
    Comparison.LESS: np.less,
    Comparison.LESS_OR_EQUAL: np.less_equal,
    Comparison.GREATER: np.greater,
    Comparison.GREATER_OR_EQUAL: np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Judges rows by some of their columns."""

    columns: tuple[str, ...]
    judge: Callable[[pa.Table], Verdict]
    edge: Callable[[pa.Table, Flags], int] | None = None
    """Of a check that a later moment changes: the smallest of the values that fail."""


def kernel_of(check: Check, schema: TableSchema, around: Around) -> Kernel | None:
    """The kernel of a check that fits these columns (`fitting`); None where there is none."""
    match check:
        case NotNull(field):
            return Kernel((field,), lambda rows: _has_value(rows.column(field)))
        case InRange(field):
            least, greatest = _bounds(check, _type(schema, field))
            return Kernel((field,), lambda rows: _within(rows.column(field), least, greatest))
        case NotFuture(field):
            latest = latest_of(check, schema, around)
            return Kernel(
                (field,),
                lambda rows: _within(rows.column(field), None, latest),
                lambda rows, fails: _smallest(rows.column(field), fails),
            )
        case HasFormat(field, wanted):
            judge = _format(wanted)
            return None if judge is None else Kernel((field,), lambda rows: texts(rows.column(field), judge))
        case Matches(field, pattern):
            return Kernel((field,), lambda rows: texts(rows.column(field), _matching(pattern)))
        case HasLength(field, minimum, maximum):
            return Kernel(
                (field,), lambda rows: texts(rows.column(field), lambda found: _long(found, minimum, maximum))
            )
        case InList(field, values) if _type(schema, field) is FieldType.STRING:
            known = pa.array([scalar_of(text, FieldType.STRING) for text in values], pa.string())
            return Kernel(
                (field,), lambda rows: texts(rows.column(field), lambda found: _among(found, known))
            )
        case Compared() if _comparable(check, schema):
            return Kernel((check.left, check.right), lambda rows: _compared(rows, check))
    return None


def latest_of(check: NotFuture, schema: TableSchema, around: Around) -> int:
    """The greatest value that passes, as the column counts it: days or microseconds."""
    kind = _type(schema, check.field)
    of_days = kind is FieldType.DATE
    return _as_number(around.last_day(check.tolerance) if of_days else around.moment + check.tolerance, kind)


def _smallest(column: pa.ChunkedArray, fails: Flags) -> int:
    values, _ = numbers(column)
    return int(values[fails].min())


def among(field: str, known: pa.Array) -> Kernel:
    """Whether a text is one of these."""
    return Kernel((field,), lambda rows: texts(rows.column(field), lambda found: _among(found, known)))


def _type(schema: TableSchema, name: str) -> FieldType:
    found = schema.column(name)
    assert found is not None, "absent fields were looked for"
    return found.type


def _has_value(column: pa.ChunkedArray) -> Verdict:
    present = present_in(column)
    holds = np.ones(len(column), np.bool_) if present is None else present
    return verdict(holds, None)


def _bounds(check: InRange, kind: FieldType) -> tuple[float | None, float | None]:
    if kind is FieldType.INTEGER:
        least = None if check.minimum is None else math.ceil(check.minimum)
        greatest = None if check.maximum is None else math.floor(check.maximum)
        return least, greatest
    # NaN is greater than every number: no value is above infinity, but it is.
    return check.minimum, math.inf if check.maximum is None else check.maximum


def _within(column: pa.ChunkedArray, least: float | None, greatest: float | None) -> Verdict:
    values, present = numbers(column)
    holds = np.ones(len(values), np.bool_)
    # Bounds are Python's own numbers of the column's kind, which NumPy compares exactly, also beyond 64 bits.
    if least is not None:
        holds &= values >= least  # type: ignore[operator]  # a generic array says nothing of comparisons
    if greatest is not None:
        holds &= values <= greatest  # type: ignore[operator]  # likewise
    return verdict(holds, present)


def _as_number(value: object, kind: FieldType) -> int:
    """A day or a moment as the column counts it."""
    arrow = pa.date32() if kind is FieldType.DATE else pa.timestamp("us", tz="UTC")
    whole = pa.int32() if kind is FieldType.DATE else pa.int64()
    return int(pa.scalar(value, arrow).cast(whole).as_py())


def _format(wanted: TextFormat) -> Callable[[pa.Array], Flags] | None:
    if wanted in _WITH_ARITHMETIC:
        return _WITH_ARITHMETIC[wanted]
    if wanted not in _BY_PATTERN_ALONE:
        return None
    quick, pattern = _QUICK.get(wanted), _matching(PATTERNS[wanted])
    return pattern if quick is None else lambda found: _quick_then(quick, pattern, found)


def _quick_then(
    quick: Callable[[pa.Array], Flags], pattern: Callable[[pa.Array], Flags], found: pa.Array
) -> Flags:
    """The pattern is tried on those only that the quick way does not accept."""
    holds = quick(found)
    if not holds.all():
        rest = np.flatnonzero(~holds)
        holds[rest] = pattern(found.take(pa.array(rest)))
    return holds


def _matching(pattern: str) -> Callable[[pa.Array], Flags]:
    whole = rf"\A(?:{pattern})\z"
    return lambda found: _flags(pc.match_substring_regex(found, whole))


def _long(found: pa.Array, minimum: int, maximum: int | None) -> Flags:
    length = pc.utf8_length(found)
    holds = pc.greater_equal(length, minimum)
    return _flags(holds if maximum is None else pc.and_(holds, pc.less_equal(length, maximum)))


def _among(found: pa.Array, known: pa.Array) -> Flags:
    return _flags(pc.is_in(found, value_set=known))


def _flags(found: pa.Array) -> Flags:
    """Whatever it is where there was no text: nobody looks there."""
    filled = found.fill_null(False) if found.null_count else found
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)


def _comparable(check: Compared, schema: TableSchema) -> bool:
    """Of one type and without a tolerance: the engine does the others."""
    left, right = _type(schema, check.left), _type(schema, check.right)
    ordered = (*_NUMERIC, FieldType.DATE, FieldType.TIMESTAMP)
    return left is right and left in ordered and not check.tolerance


def _compared(rows: pa.Table, check: Compared) -> Verdict:
    left, left_present = numbers(rows.column(check.left))
    right, right_present = numbers(rows.column(check.right))
    compare = _COMPARE[check.comparison]
    holds = compare(left, right)
    if left.dtype.kind == "f":
        # NaN equals itself and is greater than every number: where one is, places in that order are compared.
        odd = np.isnan(left) | np.isnan(right)
        if odd.any():
            left_nan, right_nan = np.isnan(left[odd]), np.isnan(right[odd])
            holds[odd] = compare(left_nan.astype(np.int8), right_nan.astype(np.int8))
    present = left_present if right_present is None else right_present
    if left_present is not None and right_present is not None:
        present = left_present & right_present
    return verdict(holds, present)
