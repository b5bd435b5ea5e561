"""Checks of a contract's rules, from messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from google.protobuf import duration_pb2
from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import InvalidArgument
from plaza_lake.comparing import Folding

from plaza_quality.domain.checks import (
    AgreesWith,
    Check,
    Compared,
    Comparison,
    Conditional,
    Drift,
    Expression,
    Fresh,
    HasFormat,
    HasLength,
    InCodeList,
    InList,
    InRange,
    Matches,
    Monotone,
    NotFuture,
    NotNull,
    Refers,
    RowCount,
    TextFormat,
    Unique,
)


class UnknownCheck(InvalidArgument):
    """The contract has a rule that this version of the service cannot check."""


def check_of(message: pb.QualityRule, code_lists: Mapping[str, str]) -> Check:
    """What the rule checks; `code_lists`: those of the contract's fields. Raises UnknownCheck."""
    kind = message.WhichOneof("check")
    made = _MAKERS.get(kind or "")
    if kind is None or made is None:
        raise _unknown(message)
    if kind == "in_code_list":
        return _in_code_list(message.in_code_list, code_lists)
    try:
        return made(getattr(message, kind))
    except (KeyError, ValueError):
        # A form or a comparison that a newer contract knows.
        raise _unknown(message) from None


def _unknown(message: pb.QualityRule) -> UnknownCheck:
    return UnknownCheck(
        f"rule {message.id}: its check is not known here",
        remedy="bring the quality service to the version of the catalogue",
        facts={"rule": message.id},
    )


def _in_code_list(check: pb.InCodeListCheck, code_lists: Mapping[str, str]) -> InCodeList:
    return InCodeList(check.field, check.code_list or code_lists.get(check.field, ""), check.current_only)


def _range(check: pb.RangeCheck) -> InRange:
    return InRange(check.field, _given(check, "minimum"), _given(check, "maximum"))


def _format(check: pb.FormatCheck) -> HasFormat:
    word = pb.TextFormat.Name(check.format).removeprefix("TEXT_FORMAT_").lower()
    return HasFormat(check.field, TextFormat(word))


def _compare(check: pb.CompareCheck) -> Compared:
    return Compared(check.left, _COMPARISONS[check.comparison], check.right, check.tolerance)


def _referential(check: pb.ReferentialCheck) -> Refers:
    fields = tuple(check.fields)
    return Refers(fields, check.dataset, tuple(check.other_fields) or fields)


def _agrees_with(check: pb.AgreesWithCheck) -> AgreesWith:
    key, fields = tuple(check.key), tuple(check.fields)
    return AgreesWith(
        dataset=check.dataset,
        key=key,
        other_key=tuple(check.other_key) or key,
        fields=fields,
        other_fields=tuple(check.other_fields) or fields,
        absolute=check.absolute_tolerance,
        relative=check.relative_tolerance,
        within=_span(check.time_tolerance),
        folding=Folding(check.fold_case, check.fold_width, check.fold_blanks),
    )


def _monotone(check: pb.MonotoneCheck) -> Monotone:
    return Monotone(check.field, check.ordered_by, tuple(check.within), check.falling, check.strict)


def _freshness(check: pb.FreshnessCheck) -> Fresh:
    within = _span(check.within) if check.HasField("within") else None
    return Fresh(check.field, within, _span(check.grace))


def _row_count(check: pb.RowCountCheck) -> RowCount:
    bounds = ("minimum", "maximum", "growth_percent", "loss_percent")
    return RowCount(*(_given(check, name) for name in bounds))


def _given(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _span(duration: duration_pb2.Duration) -> timedelta:
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


_COMPARISONS: Final = {
    pb.COMPARISON_EQUAL: Comparison.EQUAL,
    pb.COMPARISON_NOT_EQUAL: Comparison.NOT_EQUAL,
    pb.COMPARISON_LESS: Comparison.LESS,
    pb.COMPARISON_LESS_OR_EQUAL: Comparison.LESS_OR_EQUAL,
    pb.COMPARISON_GREATER: Comparison.GREATER,
    pb.COMPARISON_GREATER_OR_EQUAL: Comparison.GREATER_OR_EQUAL,
}
_MAKERS: Final[Mapping[str, Callable[[Any], Check]]] = {
    "not_null": lambda check: NotNull(check.field),
    "range": _range,
    "unique": lambda check: Unique(tuple(check.fields)),
    "format": _format,
    "length": lambda check: HasLength(check.field, check.minimum, _given(check, "maximum")),
    "pattern": lambda check: Matches(check.field, check.pattern),
    "in_list": lambda check: InList(check.field, tuple(check.values)),
    "in_code_list": lambda check: _in_code_list(check, {}),
    "compare": _compare,
    "conditional": lambda check: Conditional(check.when, check.then),
    "referential": _referential,
    "not_future": lambda check: NotFuture(check.field, _span(check.tolerance)),
    "monotone": _monotone,
    "freshness": _freshness,
    "row_count": _row_count,
    "drift": lambda check: Drift(check.field, check.limit, check.bins),
    "expression": lambda check: Expression(check.expression),
    "agrees_with": _agrees_with,
}
