"""What a quality rule checks, as words of the reader's language; pure."""

from __future__ import annotations

from typing import Any, Final

from plaza.common.v1 import contract_pb2 as ct

from plaza_gateway.console.views import word

KINDS: Final = (
    "not_null",
    "range.between",
    "range.from",
    "range.to",
    "unique",
    "format",
    "length.between",
    "length.from",
    "pattern",
    "in_list",
    "in_code_list",
    "in_code_list.own",
    "compare",
    "conditional",
    "conditional.always",
    "referential",
    "not_future",
    "monotone.rising",
    "monotone.falling",
    "freshness",
    "row_count",
    "drift",
    "expression",
)
"""Message ids behind `rule.kind.`."""
FORMS: Final = tuple(name.removeprefix("TEXT_FORMAT_").lower() for name in ct.TextFormat.keys()[1:])
SIGNS: Final = {
    ct.COMPARISON_EQUAL: "=",
    ct.COMPARISON_NOT_EQUAL: "≠",
    ct.COMPARISON_LESS: "<",
    ct.COMPARISON_LESS_OR_EQUAL: "≤",
    ct.COMPARISON_GREATER: ">",
    ct.COMPARISON_GREATER_OR_EQUAL: "≥",
}

Words = tuple[str, dict[str, Any]]
"""Message id behind `rule.kind.`, and the values in it. `form` is the id of a form."""


def kind_of(rule: ct.QualityRule) -> Words | None:
    """None for a check that this release does not know."""
    check = rule.WhichOneof("check")
    if check is None:
        return None
    one = getattr(rule, check)
    found = _SPECIAL[check](one) if check in _SPECIAL else (check, _plain(one))
    return found if found[0] in KINDS else None


def _plain(one: Any) -> dict[str, Any]:
    """The fields that it is about."""
    known = one.DESCRIPTOR.fields_by_name
    return {
        name: ", ".join(getattr(one, name)) if name == "fields" else getattr(one, name)
        for name in ("field", "fields", "pattern", "expression", "limit")
        if name in known
    }


def _range(one: ct.RangeCheck) -> Words:
    low, high = one.HasField("minimum"), one.HasField("maximum")
    kind = "range.between" if low and high else "range.from" if low else "range.to"
    return kind, {"field": one.field, "minimum": f"{one.minimum:.15g}", "maximum": f"{one.maximum:.15g}"}


def _length(one: ct.LengthCheck) -> Words:
    kind = "length.between" if one.HasField("maximum") else "length.from"
    return kind, {"field": one.field, "minimum": one.minimum, "maximum": one.maximum}


def _code_list(one: ct.InCodeListCheck) -> Words:
    kind = "in_code_list" if one.code_list else "in_code_list.own"
    return kind, {"field": one.field, "list": one.code_list.removeprefix("codeLists/")}


def _conditional(one: ct.ConditionalCheck) -> Words:
    return "conditional" if one.when else "conditional.always", {"when": one.when, "then": one.then}


def _monotone(one: ct.MonotoneCheck) -> Words:
    kind = "monotone.falling" if one.falling else "monotone.rising"
    return kind, {"field": one.field, "by": one.ordered_by}


def _referential(one: ct.ReferentialCheck) -> Words:
    _, department, _, dataset = one.dataset.split("/")
    return "referential", {"fields": ", ".join(one.fields), "dataset": f"{department}/{dataset}"}


_SPECIAL: Final[dict[str, Any]] = {
    "range": _range,
    "length": _length,
    "format": lambda one: (
        "format",
        {"field": one.field, "form": word(ct.TextFormat, one.format, "TEXT_FORMAT_")},
    ),
    "in_list": lambda one: ("in_list", {"field": one.field, "count": len(one.values)}),
    "in_code_list": _code_list,
    "compare": lambda one: (
        "compare",
        {"left": one.left, "sign": SIGNS.get(one.comparison, "?"), "right": one.right},
    ),
    "conditional": _conditional,
    "monotone": _monotone,
    "referential": _referential,
    "drift": lambda one: ("drift", {"field": one.field, "limit": f"{one.limit:g}"}),
}
