"""What must hold between a contract's quality rules and its fields: every rule means something."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import FieldViolation, InvalidArgument
from plaza_lake.expressions import parse_expression
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.filter_text import parse_filter, scalar_of

Types = Mapping[str, pb.FieldType.ValueType]
_Violations = Iterator[FieldViolation]

_STRING: Final = (pb.FIELD_TYPE_STRING,)
_NUMERIC: Final = (pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_NUMBER)
_TIMES: Final = (pb.FIELD_TYPE_DATE, pb.FIELD_TYPE_TIMESTAMP)
_CODES: Final = (pb.FIELD_TYPE_STRING, pb.FIELD_TYPE_INTEGER)
_ORDERED: Final = (*_STRING, *_NUMERIC, *_TIMES)
_LISTED: Final = (*_CODES, pb.FIELD_TYPE_BOOLEAN, *_TIMES)
_WORDS: Final = {
    _STRING: "a string",
    _NUMERIC: "an integer or a number",
    _TIMES: "a date or a timestamp",
    _CODES: "a string or an integer",
    _ORDERED: "of a type with an order: string, integer, number, date or timestamp",
    _LISTED: "of a type whose values can be listed: not a number",
}
_RE2_ONLY: Final = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)|\\z|\[:\^?\w+:\]")
"""What RE2 reads and Python does not: classes of Unicode and of POSIX."""
_ATOMS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_BACK: Final = re.compile(r"\\[1-9]")
_NO_RE2: Final = re.compile(r"\(\?(?:=|!|<=|<!|>|\(|P=|#)|[*+?}]\+")
"""What Python reads and RE2 does not: looking around, conditions, groups and repetitions that give nothing back."""
_MOST_REPEATED: Final = 1000
"""RE2's own limit."""


REFUSING: Final = ("not_null", "range", "length", "pattern", "in_list")
"""Kinds that a department's worker judges while it reads: one field of one row."""


def rule_violations(contract: pb.Contract, types: Types, place: str, rule: pb.QualityRule) -> _Violations:
    """Every contradiction of one rule; places written like `contract.rules[2].range.field`."""
    kind = rule.WhichOneof("check")
    if kind is None:
        yield FieldViolation(place, "the rule does not say what it checks")
        return
    if rule.severity == pb.RULE_SEVERITY_REFUSE and kind not in REFUSING:
        yield FieldViolation(
            f"{place}.severity", f"a rule of the kind {kind} cannot refuse; {', '.join(REFUSING)} can"
        )
    yield from _KINDS[kind](getattr(rule, kind), contract, types, f"{place}.{kind}")


def _field_of(*allowed: pb.FieldType.ValueType) -> Callable[..., _Violations]:
    def check(message: Any, contract: pb.Contract, types: Types, place: str) -> _Violations:
        yield from _typed(types, message.field, allowed, f"{place}.field")

    return check


def _not_null(check: pb.NotNullCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from known(types, check.field, f"{place}.field")


def _range(check: pb.RangeCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _NUMERIC, f"{place}.field")
    has_minimum, has_maximum = check.HasField("minimum"), check.HasField("maximum")
    if not has_minimum and not has_maximum:
        yield FieldViolation(place, "a range needs a minimum, a maximum or both")
    for bound in ("minimum", "maximum"):
        if not math.isfinite(getattr(check, bound)):
            yield FieldViolation(f"{place}.{bound}", "must be a finite number")
    if has_minimum and has_maximum and check.minimum > check.maximum:
        yield FieldViolation(f"{place}.maximum", "is smaller than the minimum")


def _unique(check: pb.UniqueCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    if not check.fields:
        yield FieldViolation(f"{place}.fields", "name at least one field")
    yield from _all_known(types, check.fields, f"{place}.fields")


def _length(check: pb.LengthCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _STRING, f"{place}.field")
    if not check.minimum and not check.HasField("maximum"):
        yield FieldViolation(place, "a length needs a minimum, a maximum or both")
    if check.HasField("maximum") and check.minimum > check.maximum:
        yield FieldViolation(f"{place}.maximum", "is smaller than the minimum")


def _pattern(check: pb.PatternCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _STRING, f"{place}.field")
    if problem := _no_pattern(check.pattern):
        yield FieldViolation(f"{place}.pattern", problem)


def _no_pattern(pattern: str) -> str:
    """Why this is no regular expression of RE2; empty if it seems to be one. Python's own parser is close to it."""
    try:
        re.compile(_RE2_ONLY.sub("x", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression: {error}"
    back = next((each.group() for each in _ATOMS.finditer(pattern) if _BACK.fullmatch(each.group())), "")
    plain = _ATOMS.sub("x", pattern)
    other = _NO_RE2.search(plain)
    if back or other:
        return f"{back or (other.group() if other else '')!r} is not in the syntax of RE2"
    if any(
        int(number) > _MOST_REPEATED
        for number in re.findall(r"\d+", " ".join(re.findall(r"\{[\d,]+\}", plain)))
    ):
        return f"repeats more than {_MOST_REPEATED} times"
    return ""


def _in_list(check: pb.InListCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _LISTED, f"{place}.field")
    if not check.values:
        yield FieldViolation(f"{place}.values", "name at least one value")
    kind = types.get(check.field)
    if kind in _LISTED:
        for index, text in enumerate(check.values):
            if scalar_of(text, _lake_type(kind)) is None:
                yield FieldViolation(f"{place}.values[{index}]", f"{text!r} is not {_EXAMPLES[kind]}")


def _in_code_list(check: pb.InCodeListCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _CODES, f"{place}.field")
    of_field = next((each.code_list for each in contract.fields if each.name == check.field), "")
    if not check.code_list and not of_field:
        yield FieldViolation(f"{place}.code_list", "name a code list, here or at the field")


def _compare(check: pb.CompareCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    unknown = [*known(types, check.left, f"{place}.left"), *known(types, check.right, f"{place}.right")]
    yield from unknown
    if unknown:
        return
    if check.left == check.right:
        yield FieldViolation(f"{place}.right", "is the same field as on the left")
    pair = (types[check.left], types[check.right])
    numeric = all(each in _NUMERIC for each in pair)
    if pair[0] != pair[1] and not numeric:
        yield FieldViolation(f"{place}.right", f"is {_word(pair[1])}, {check.left!r} is {_word(pair[0])}")
    if check.tolerance and not numeric:
        yield FieldViolation(f"{place}.tolerance", "is for integers and numbers only")
    equality = (pb.COMPARISON_EQUAL, pb.COMPARISON_NOT_EQUAL)
    if pb.FIELD_TYPE_BOOLEAN in pair and check.comparison not in equality:
        yield FieldViolation(
            f"{place}.comparison", "true and false have no order: compare them with equal or not equal"
        )


def _conditional(check: pb.ConditionalCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    schema = _schema(types)
    for name in ("when", "then"):
        try:
            parse_filter(getattr(check, name), schema)
        except InvalidArgument as error:
            yield _told(f"{place}.{name}", error)
    if not check.then.strip():
        yield FieldViolation(f"{place}.then", "say what must hold")


def _expression(check: pb.ExpressionCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    try:
        parse_expression(check.expression, _schema(types))
    except InvalidArgument as error:
        yield _told(f"{place}.expression", error)


def _referential(check: pb.ReferentialCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    if not check.fields:
        yield FieldViolation(f"{place}.fields", "name at least one field")
    yield from _all_known(types, check.fields, f"{place}.fields")
    if check.other_fields and len(check.other_fields) != len(check.fields):
        yield FieldViolation(
            f"{place}.other_fields", f"{len(check.other_fields)} for {len(check.fields)} fields"
        )


def _agrees_with(check: pb.AgreesWithCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    for mine, other in (("key", "other_key"), ("fields", "other_fields")):
        names, others = getattr(check, mine), getattr(check, other)
        if not names:
            yield FieldViolation(f"{place}.{mine}", "name at least one field")
        yield from _all_known(types, names, f"{place}.{mine}")
        if others and len(others) != len(names):
            yield FieldViolation(f"{place}.{other}", f"{len(others)} for {len(names)} fields")
    for index, name in enumerate(check.key):
        if types.get(name) == pb.FIELD_TYPE_NUMBER:
            yield FieldViolation(f"{place}.key[{index}]", f"{name!r} is a number, which is no key")


def _monotone(check: pb.MonotoneCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    yield from _typed(types, check.field, _ORDERED, f"{place}.field")
    yield from _typed(types, check.ordered_by, _ORDERED, f"{place}.ordered_by")
    yield from _all_known(types, check.within, f"{place}.within")
    for index, name in enumerate(check.within):
        if name in (check.field, check.ordered_by):
            yield FieldViolation(f"{place}.within[{index}]", f"{name!r} stands in the rule already")


def _row_count(check: pb.RowCountCheck, contract: pb.Contract, types: Types, place: str) -> _Violations:
    if check == pb.RowCountCheck():
        yield FieldViolation(place, "a row count needs one of minimum, maximum, growth_percent, loss_percent")
    if check.HasField("minimum") and check.HasField("maximum") and check.minimum > check.maximum:
        yield FieldViolation(f"{place}.maximum", "is smaller than the minimum")


_KINDS: Final[Mapping[str, Callable[..., _Violations]]] = {
    "not_null": _not_null,
    "range": _range,
    "unique": _unique,
    "format": _field_of(*_STRING),
    "length": _length,
    "pattern": _pattern,
    "in_list": _in_list,
    "in_code_list": _in_code_list,
    "compare": _compare,
    "conditional": _conditional,
    "referential": _referential,
    "not_future": _field_of(*_TIMES),
    "monotone": _monotone,
    "freshness": _field_of(*_TIMES),
    "row_count": _row_count,
    "drift": _not_null,
    "expression": _expression,
    "agrees_with": _agrees_with,
}


def known(types: Types, name: str, place: str) -> _Violations:
    """That there is a field of this name."""
    if name not in types:
        near = ", ".join(list(types)[:12])
        yield FieldViolation(place, f"{name!r} is not a field of the contract; it has {near}")


def _all_known(types: Types, names: Iterable[str], place: str) -> _Violations:
    for position, name in enumerate(names):
        yield from known(types, name, f"{place}[{position}]")


def _typed(types: Types, name: str, allowed: tuple[pb.FieldType.ValueType, ...], place: str) -> _Violations:
    yield from known(types, name, place)
    if name in types and types[name] not in allowed:
        yield FieldViolation(place, f"{name!r} is {_word(types[name])} and must be {_WORDS[allowed]}")


def _told(place: str, error: InvalidArgument) -> FieldViolation:
    remedy = f"; {error.remedy}" if error.remedy else ""
    return FieldViolation(place, f"{error.message}{remedy}")


def _schema(types: Types) -> TableSchema:
    """The contract's fields as filters and expressions see them; names that no column may have are left out."""
    columns = []
    for name, kind in types.items():
        try:
            columns.append(Column(name, _lake_type(kind)))
        except InvalidArgument:
            continue
    return TableSchema(tuple(columns) or (Column("none", FieldType.BYTES),))


def _lake_type(kind: pb.FieldType.ValueType) -> FieldType:
    return FieldType(_word(kind)) if kind else FieldType.BYTES


def _word(kind: pb.FieldType.ValueType) -> str:
    return pb.FieldType.Name(kind).removeprefix("FIELD_TYPE_").lower()


_EXAMPLES: Final = {
    pb.FIELD_TYPE_STRING: "a text without NUL characters",
    pb.FIELD_TYPE_INTEGER: "a whole number like 42",
    pb.FIELD_TYPE_BOOLEAN: "true or false",
    pb.FIELD_TYPE_DATE: "a day like 2013-03-01",
    pb.FIELD_TYPE_TIMESTAMP: "a moment like 2013-03-01T00:00:00Z",
}
