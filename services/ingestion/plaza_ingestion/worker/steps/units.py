"""`ConvertUnit`: (value × factor + offset) ÷ divisor, exactly.

A double is taken for its shortest decimal form, which is the text of the file wherever that has at most 15
digits; so 36.6 °C × 9 ÷ 5 + 32 is 97.88 °F and not 97.88000000000001. With numerator and denominator as whole
numbers below 2^53 one division of doubles is rounded correctly (IEEE 754); the few other values are reckoned one by
one in fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plaza_ingestion.worker.convert import ARROW_TYPES, Column, quoted
from plaza_ingestion.worker.records import Bools, Ints
from plaza_ingestion.worker.refusal import StepFault
from plaza_ingestion.worker.steps.declared import ConvertUnit

_EXACT: Final = 2**53
_UNIQUE: Final = 10**15
"""Below, whole numbers of a decimal place have one double each, and it shows them as its shortest form."""
_MOST_DECIMALS: Final = 15
_INT64: Final = range(-(2**63), 2**63)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Rational:
    """The conversion over whole numbers: (value × factor + offset) ÷ divisor."""

    factor: int
    offset: int
    divisor: int

    @classmethod
    def of(cls, step: ConvertUnit) -> _Rational:
        """With the smallest whole numbers that say the same."""
        factor, offset = step.factor / step.divisor, step.offset / step.divisor
        common = lcm(factor.denominator, offset.denominator)
        return cls(int(factor * common), int(offset * common), common)


def convert_unit(step: ConvertUnit, column: Column, type_name: str) -> Column:
    """The column with the values converted; what has no result is bad."""
    by = _Rational.of(step)
    values = column.values.fill_null(0).to_numpy(zero_copy_only=False)
    converted, done = (_whole if type_name == "integer" else _decimal)(values, by)
    exactly: Callable[[Any, _Rational], float | None] = (
        _exact_whole if type_name == "integer" else _exact_decimal
    )
    faults = np.zeros(len(values), dtype=np.bool_)
    for row in np.flatnonzero(~(done | column.missing | column.bad)).tolist():
        result = exactly(values[row].item(), by)
        faults[row] = result is None
        converted[row] = 0 if result is None else result
    bad = column.bad | faults
    array = pa.array(converted, ARROW_TYPES[type_name], mask=column.missing | bad)
    return Column(array, column.missing, bad, _why(step, column, values, faults))


def _why(
    step: ConvertUnit, column: Column, values: npt.NDArray[Any], faults: Bools
) -> Callable[[int], StepFault | None]:
    def why(row: int) -> StepFault | None:
        if not faults[row]:
            return column.why(row) if column.why else None
        kind = "whole number of 64 bits" if values.dtype == np.int64 else "finite number"
        detail = f"{quoted(str(values[row].item()))} {step.from_unit}".rstrip() + f" gives no {kind}"
        return StepFault(step.field, detail + (f" of {step.to_unit}" if step.to_unit else ""), step.name)

    return why


def _decimal(values: Floats, by: _Rational) -> tuple[Floats, Bools]:
    """The results that one division of doubles gives exactly, and which those are."""
    result, done = np.zeros(len(values)), np.zeros(len(values), dtype=np.bool_)
    for decimals in range(_MOST_DECIMALS + 1):
        scale = 10**decimals
        largest = min((_EXACT - abs(by.offset) * scale) // abs(by.factor), _UNIQUE)
        rows = np.flatnonzero(~done)
        if not len(rows) or largest < 1 or by.divisor * scale > _EXACT:
            break
        here = values[rows]
        with np.errstate(over="ignore"):
            scaled = np.rint(here * scale)
        fits = (np.abs(scaled) <= largest) & (scaled / scale == here)
        numerator = scaled[fits].astype(np.int64) * by.factor + by.offset * scale
        result[rows[fits]] = numerator / (by.divisor * scale)
        done[rows[fits]] = True
    return result, done


def _exact_decimal(value: float, by: _Rational) -> float | None:
    try:
        return float((Fraction(Decimal(repr(value))) * by.factor + by.offset) / by.divisor)
    except OverflowError:
        return None


def _whole(values: Ints, by: _Rational) -> tuple[Ints, Bools]:
    """The results that fit into 64 bits on the way, and which those are."""
    largest = (_INT64[-1] - abs(by.offset)) // abs(by.factor)
    if largest < 1 or by.divisor not in _INT64:
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.bool_)
    small = (values >= -largest) & (values <= largest)
    numerator = np.where(small, values, 0) * by.factor + by.offset
    return numerator // by.divisor, small & (numerator % by.divisor == 0)


def _exact_whole(value: int, by: _Rational) -> int | None:
    quotient, rest = divmod(value * by.factor + by.offset, by.divisor)
    return quotient if not rest and quotient in _INT64 else None
