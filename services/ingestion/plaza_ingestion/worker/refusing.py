"""Rules of a contract that refuse: a row that breaks one does not come in.

Only rules that look at one field of the row. They mean what quality means by them: a row without a value where the rule
looks is left to the rules that ask for one (`NotNull`, `required`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import Column, parse
from plaza_ingestion.worker.records import Bools, Ints
from plaza_ingestion.worker.refusing_rules import (
    Check,
    HasLength,
    InList,
    InRange,
    Matches,
    NotNull,
    RefusingRule,
)

_INT64: Final = (-(2**63), 2**63 - 1)


class Refusing:
    """The refusing rules of one plan. Safe to call from several threads."""

    def __init__(self, rules: Sequence[RefusingRule], types: Mapping[str, str]) -> None:
        """`types`: of the plan's fields."""
        self._rules = [(rule, _breaks(rule.check, types[rule.field])) for rule in rules]

    def first_broken(self, columns: Mapping[str, Column], rows: int) -> Ints:
        """Per row the number of the first rule that it breaks; -1 where it breaks none."""
        verdict = np.full(rows, -1, dtype=np.int64)
        for number, (rule, breaks) in enumerate(self._rules):
            broken = breaks(columns[rule.field])
            verdict[broken & (verdict < 0)] = number
        return verdict

    def rule(self, number: int) -> RefusingRule:
        """By its number."""
        return self._rules[number][0]


def _breaks(check: Check, type_name: str) -> Callable[[Column], Bools]:
    """Of each row whether it breaks the check."""
    if isinstance(check, NotNull):
        return lambda column: column.missing
    holds = _holds(check, type_name)

    def breaks(column: Column) -> Bools:
        # Null says nothing: there is no value, or a bad one that is refused for itself.
        found = holds(column.values).fill_null(True).to_numpy(zero_copy_only=False)
        broken: Bools = ~np.asarray(found, np.bool_)
        return broken

    return breaks


def _holds(check: InRange | HasLength | Matches | InList, type_name: str) -> Callable[[pa.Array], pa.Array]:
    match check:
        case InRange(minimum, maximum):
            least, greatest = _bounds(minimum, maximum, type_name)
            if least is None or greatest is None:
                return lambda values: pc.if_else(pc.is_valid(values), False, None)
            return lambda values: pc.and_(pc.greater_equal(values, least), pc.less_equal(values, greatest))
        case HasLength(least_length, greatest_length):
            most = _INT64[1] if greatest_length is None else greatest_length
            return lambda values: pc.and_(
                pc.greater_equal(pc.utf8_length(values), least_length),
                pc.less_equal(pc.utf8_length(values), most),
            )
        case Matches(pattern):
            return lambda values: pc.match_substring_regex(values, rf"\A(?:{pattern})\z")
        case InList(texts):
            known = [value for text in texts if (value := parse(text, type_name)) is not None]

            def among(values: pa.Array) -> pa.Array:
                found = pc.is_in(values, value_set=pa.array(known, values.type))
                return pc.if_else(pc.is_valid(values), found, None)

            return among


def _bounds(
    minimum: float | None, maximum: float | None, type_name: str
) -> tuple[pa.Scalar | None, pa.Scalar | None]:
    """Of the column's own type; None: no value lies between them."""
    if type_name != "integer":
        return (
            pa.scalar(-math.inf if minimum is None else minimum, pa.float64()),
            pa.scalar(math.inf if maximum is None else maximum, pa.float64()),
        )
    least = _INT64[0] if minimum is None else max(math.ceil(minimum), _INT64[0])
    greatest = _INT64[1] if maximum is None else min(math.floor(maximum), _INT64[1])
    if least > _INT64[1] or greatest < _INT64[0]:
        return None, None
    return pa.scalar(least, pa.int64()), pa.scalar(greatest, pa.int64())
