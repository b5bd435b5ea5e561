"""When two values of two sources are the same: what is folded, mapped and tolerated before they are said to differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType
from plaza_kit.errors import InvalidArgument
from sqlglot import exp

from plaza_lake.fields import FieldType, TableSchema
from plaza_lake.render import DIALECT

NFKC: Final = "_plaza_nfkc"
"""Function of every connection: full-width and half-width, ① and 1, ㎡ and m2 become one (Unicode NFKC)."""
SLACK: Final = 2.0**-50
"""Of the greater of two numbers, beside a tolerance that was declared: 1.1 is not more than 0.1 away from 1."""
BLANKS: Final = r"[\s\p{Z}\x0b]+"
_MOST_FIELDS: Final = 30
"""Bits of a mask that an INTEGER holds without its sign."""


class Incomparable(InvalidArgument):
    """A declared pair means nothing over the columns that are there."""


class Family(StrEnum):
    """How the two values of a pair are compared."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Folding:
    """Differences of writing that are none."""

    case: bool = False
    """Letter by letter to lower case."""
    width: bool = False
    """Unicode NFKC: full-width and half-width forms, among others."""
    blanks: bool = False
    """Blanks of any kind: none around the text, single spaces inside."""


AS_WRITTEN: Final = Folding()
"""Every difference is one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the left and one of the right that hold the same."""

    left: str
    right: str
    absolute: float = 0.0
    """Numbers that are so far apart, or less, agree."""
    relative: float = 0.0
    """Or so far as a part of the greater one's magnitude."""
    within: timedelta = timedelta(0)
    """Moments that are so far apart, or less, agree; of days whole ones count."""
    folding: Folding = AS_WRITTEN
    values: tuple[tuple[str, str], ...] = ()
    """What a left text stands for on the right; looked up as it is written, before it is folded."""

    @property
    def tolerant(self) -> bool:
        """Whether values that differ may agree."""
        return bool(self.absolute or self.relative or self.within)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared by what. Raises `Incomparable` for a form that means nothing."""

    key: tuple[Pair, ...]
    fields: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.key or not self.fields:
            raise Incomparable(
                "a comparison needs a key and a field", remedy="Name at least one pair of each."
            )
        if len(self.fields) > _MOST_FIELDS:
            raise Incomparable(
                f"{len(self.fields)} fields are compared at once", remedy=f"Compare at most {_MOST_FIELDS}."
            )
        for pair in self.key:
            if pair.tolerant:
                raise Incomparable(
                    f"key {pair.left}: rows are found by equal keys",
                    remedy="Take the tolerance out; fold or map the key's values instead.",
                )
        for pair in (*self.key, *self.fields):
            if len({value for value, _ in pair.values}) < len(pair.values):
                raise Incomparable(
                    f"{pair.left}: the value map names a value twice", remedy="Map each value once."
                )

    def columns(self, side: int) -> tuple[str, ...]:
        """Names of the left (0) or right (1) columns that it looks at, each once."""
        pairs = (*self.key, *self.fields)
        return tuple(dict.fromkeys((pair.left, pair.right)[side] for pair in pairs))


_NUMERIC: Final = frozenset({FieldType.INTEGER, FieldType.NUMBER})
_WRITTEN: Final = frozenset({FieldType.STRING, FieldType.INTEGER, FieldType.BOOLEAN, FieldType.DATE})
"""Types whose values have one text."""


def family(pair: Pair, left: TableSchema, right: TableSchema, *, key: bool = False) -> Family:
    """How a pair's values are compared. Raises `Incomparable`; unknown columns are the caller's to refuse."""
    here, there = left.column(pair.left), right.column(pair.right)
    assert here is not None, "columns are looked for first"
    assert there is not None, "columns are looked for first"
    found = _family(here.type, there.type, mapped=bool(pair.values))
    problem = ""
    if found is None:
        problem = f"{here.type} and {there.type} have no common form"
    elif key and found in (Family.NUMBER, Family.BYTES):
        problem = f"{found} values are no key"
    elif (pair.absolute or pair.relative) and found not in (Family.INTEGER, Family.NUMBER):
        problem = f"absolute and relative tolerances are for numbers, not for {found} values"
    elif pair.within and found not in (Family.DATE, Family.TIMESTAMP):
        problem = f"a tolerance in time is for days and moments, not for {found} values"
    elif pair.folding != AS_WRITTEN and found is not Family.TEXT:
        problem = f"case, width and blanks are folded in texts, not in {found} values"
    if problem:
        raise Incomparable(
            f"{pair.left} = {pair.right}: {problem}",
            remedy="Pair columns of the same type, or texts with integers, days, true and false.",
            facts={"field": pair.left},
        )
    assert found is not None, "that is a problem"
    return found


def _family(left: FieldType, right: FieldType, *, mapped: bool) -> Family | None:
    if mapped or (left is not right and FieldType.STRING in (left, right)):
        return Family.TEXT if {left, right} <= _WRITTEN else None
    if left is right:
        return Family.TEXT if left is FieldType.STRING else Family(left.value)
    return Family.NUMBER if {left, right} <= _NUMERIC else None


def common(node: exp.Expr, kind: FieldType, found: Family) -> exp.Expr:
    """A value in the form of its family, not folded yet."""
    if found is Family.TEXT and kind is not FieldType.STRING:
        return cast(node, "VARCHAR")
    if found is Family.NUMBER and kind is not FieldType.NUMBER:
        return cast(node, "DOUBLE")
    return node


def folded(node: exp.Expr, folding: Folding) -> exp.Expr:
    """A text as it is compared."""
    if folding.width:
        # ASCII stays as it is, and nobody needs to leave the engine for it.
        ascii_only = exp.EQ(this=call("length", node), expression=call("strlen", node))
        node = exp.Case(ifs=[exp.If(this=ascii_only, true=node.copy())], default=call(NFKC, node))
    if folding.blanks:
        single = call("regexp_replace", node, text(BLANKS), text(" "), text("g"))
        node = call("trim", single)
    return call("lower", node) if folding.case else node


def agrees(left: exp.Expr, right: exp.Expr, pair: Pair, found: Family) -> exp.Expr:
    """Whether two present values, folded, are the same. NaN is NaN, and -0.0 is 0.0."""
    same = exp.EQ(this=left, expression=right)
    if pair.absolute or pair.relative:
        return exp.or_(same, _near(left, right, pair))
    if pair.within and found is Family.DATE:
        apart = call("abs", call("date_diff", text("day"), left, right))
        return exp.LTE(this=apart, expression=exp.Literal.number(pair.within.days))
    if pair.within:
        apart = call("abs", exp.Sub(this=call("epoch_us", left), expression=call("epoch_us", right)))
        most = pair.within // timedelta(microseconds=1)
        return exp.LTE(this=apart, expression=exp.Literal.number(most))
    return same


def _near(left: exp.Expr, right: exp.Expr, pair: Pair) -> exp.Expr:
    one, other = cast(left, "DOUBLE"), cast(right, "DOUBLE")
    greater = call("greatest", call("abs", one), call("abs", other))
    allowed = call(
        "greatest", real(pair.absolute), exp.Mul(this=real(pair.relative), expression=greater.copy())
    )
    slack = exp.Mul(this=real(SLACK), expression=greater.copy())
    near = exp.LTE(
        this=call("abs", exp.Sub(this=one.copy(), expression=other.copy())),
        expression=exp.Add(this=allowed, expression=slack),
    )
    # Nothing is near to what is not finite.
    return exp.and_(call("isfinite", one.copy()), call("isfinite", other.copy()), near)


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function of the engine, by its own name; arguments may stand elsewhere too."""
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments])


def cast(node: exp.Expr, kind: str) -> exp.Expr:
    """As another type."""
    return exp.cast(node.copy(), kind, dialect=DIALECT)


def count_where(condition: exp.Expr) -> exp.Expr:
    """How many rows fulfil it; 0 of none."""
    return exp.Filter(this=exp.Count(this=exp.Star()), expression=exp.Where(this=condition))


def text(value: str) -> exp.Expr:
    """A text as a constant."""
    return exp.Literal.string(value)


def real(value: float) -> exp.Expr:
    """A DOUBLE as a constant: bare, 0.01 would be a DECIMAL."""
    return cast(exp.Literal.string(repr(value)), "DOUBLE")


def add_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """What folding needs and the engine does not have."""
    connection.create_function(NFKC, _nfkc, ["varchar"], "varchar", type=PythonUDFType.ARROW)


def _nfkc(texts: pa.Array) -> pa.Array:
    return pc.utf8_normalize(texts, form="NFKC")
