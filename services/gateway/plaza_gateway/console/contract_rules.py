"""What follows in steps and rules when fields of a contract are renamed, left out, or given quality rules; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from plaza.common.v1 import contract_pb2, grades_pb2

from plaza_gateway.console.contract_texts import Found, filter_fields, renamed, sql_fields

EVERY = 100.0
"""Percent of values that must lie between the bounds; fewer make the rule broken."""
_NAME = re.compile("[a-z][a-z0-9_]{0,62}")
PLACES = ("min", "max", "nulls")
"""Smallest value, largest value, most percent without a value: what the form shows of a field's rules."""

Contract = contract_pb2.Contract
Rule = contract_pb2.QualityRule
Texts = Mapping[str, str]


def shown(contract: Contract) -> dict[str, dict[str, str]]:
    """The rules of the fields as the form has them, by name and PLACES; other rules it does not show."""
    texts = {each.name: dict.fromkeys(PLACES, "") for each in contract.fields}
    for name, rule in _ranges(contract).items():
        if name in texts:
            texts[name]["min"] = _text(rule.range.minimum) if rule.range.HasField("minimum") else ""
            texts[name]["max"] = _text(rule.range.maximum) if rule.range.HasField("maximum") else ""
    for name, rule in _shares(contract).items():
        if name in texts:
            texts[name]["nulls"] = _text(100 - rule.threshold_percent)
    return texts


def put(contract: Contract, wanted: Sequence[tuple[str, Texts]]) -> list[tuple[int, str]]:
    """Makes the rules of the fields, given by name in their order, say this. The places where no number stands are
    told by number of the field; there the rule stays. A field without a proper name gets none yet: the rule would
    keep that name."""
    now = shown(contract)
    told: list[tuple[int, str]] = []
    for number, (name, texts) in enumerate(wanted):
        before = now[name]
        if texts == before or not _NAME.fullmatch(name):
            continue
        numbers = {place: _number(texts[place], 100 if place == "nulls" else math.inf) for place in PLACES}
        wrong = [place for place in PLACES if texts[place] and numbers[place] is None]
        told.extend((number, place) for place in wrong)
        if wrong:
            continue
        if any(texts[place] != before[place] for place in ("min", "max")):
            _put_range(contract, name, numbers["min"], numbers["max"])
        if texts["nulls"] != before["nulls"]:
            _put_share(contract, name, numbers["nulls"])
    return told


def others(contract: Contract) -> int:
    """How many rules the form does not show."""
    names = {each.name for each in contract.fields}
    return len(contract.rules) - sum(
        len(names & each.keys()) for each in (_ranges(contract), _shares(contract))
    )


def rename(contract: Contract, names: Mapping[str, str]) -> None:
    """Steps and rules speak of the fields by their new names."""
    for each in (*contract.steps, *contract.rules):
        kind = _kind(each)
        if isinstance(kind, contract_pb2.AgreesWithCheck):
            _name_others(kind, names)
        if isinstance(kind, contract_pb2.ReferentialCheck) and not kind.other_fields:
            # The other dataset's fields were meant by the same names; those do not change.
            kind.other_fields[:] = kind.fields if names.keys() & set(kind.fields) else ()
        for name in _ONE & _fields_of(kind):
            setattr(kind, name, names.get(getattr(kind, name), getattr(kind, name)))
        for name in _lists_of(kind):
            several = getattr(kind, name)
            several[:] = [names.get(one, one) for one in several]
        for name in _TEXTS.keys() & _fields_of(kind):
            setattr(kind, name, renamed(getattr(kind, name), _TEXTS[name], names))


def _name_others(check: contract_pb2.AgreesWithCheck, names: Mapping[str, str]) -> None:
    """The other dataset's fields were meant by the same names; those do not change."""
    for mine, others in ((check.key, check.other_key), (check.fields, check.other_fields)):
        if not others and names.keys() & set(mine):
            others[:] = mine


def leave_out(contract: Contract, names: AbstractSet[str]) -> tuple[int, ...]:
    """Takes out the rules about fields that go, and the steps that fill or change only them. A step that reads one
    of them for another field stays: the catalogue says what is missing. Tells which steps stay, by number."""
    staying = tuple(at for at, each in enumerate(contract.steps) if not _only_for(_kind(each), names))
    if not names:
        return staying
    _keep(contract.rules, lambda each: not names & _named(_kind(each)))
    _keep(contract.steps, lambda each: not _only_for(_kind(each), names))
    for step in contract.steps:
        kind = _kind(step)
        if "fields" in _fields_of(kind):
            kind.fields[:] = [name for name in kind.fields if name not in names]
    return staying


def _ranges(contract: Contract) -> dict[str, Rule]:
    """The first that counts every row, by field."""
    found: dict[str, Rule] = {}
    for each in contract.rules:
        if each.WhichOneof("check") == "range" and each.threshold_percent == EVERY:
            found.setdefault(each.range.field, each)
    return found


def _shares(contract: Contract) -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for each in contract.rules:
        if each.WhichOneof("check") == "not_null":
            found.setdefault(each.not_null.field, each)
    return found


def _put_range(contract: Contract, name: str, lowest: float | None, highest: float | None) -> None:
    rule = _ranges(contract).get(name)
    if lowest is None and highest is None:
        _keep(contract.rules, lambda each: each != rule)
        return
    if rule is None:
        rule = contract.rules.add(
            id=_free(contract, f"{name}-range"),
            dimension=grades_pb2.DIMENSION_ACCURACY,
            threshold_percent=EVERY,
        )
    rule.range.CopyFrom(contract_pb2.RangeCheck(field=name, minimum=lowest, maximum=highest))


def _put_share(contract: Contract, name: str, missing: float | None) -> None:
    rule = _shares(contract).get(name)
    if missing is None:
        _keep(contract.rules, lambda each: each != rule)
        return
    if rule is None:
        rule = contract.rules.add(
            id=_free(contract, f"{name}-null-share"), dimension=grades_pb2.DIMENSION_COMPLETENESS
        )
        rule.not_null.field = name
    rule.threshold_percent = 100 - missing


def _free(contract: Contract, id_: str) -> str:
    taken = {each.id for each in contract.rules}
    return next(one for one in (id_, *(f"{id_}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def _number(text: str, most: float) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    if not math.isfinite(found) or (most is not math.inf and not 0 <= found <= most):
        return None
    return found


def _text(value: float) -> str:
    return f"{round(value, 10):.15g}"


_ONE = frozenset(
    ("target", "field", "left", "right", "ordered_by", "year", "month", "day", "hour", "minute", "second")
)
_SEVERAL = frozenset(("fields", "key", "parts", "within"))
"""How steps and rules call the fields that they are about."""
_TEXTS: Mapping[str, Callable[[str], Iterator[Found]]] = {
    "when": filter_fields,
    "then": filter_fields,
    "expression": sql_fields,
}
"""How they call conditions that speak of fields."""


def _kind(each: Any) -> Any:
    (group,) = (one for one in each.DESCRIPTOR.oneofs if one.name in ("kind", "check"))
    return getattr(each, each.WhichOneof(group.name) or group.fields[0].name)


def _fields_of(kind: Any) -> set[str]:
    return set(kind.DESCRIPTOR.fields_by_name)


def _named(kind: Any) -> set[str]:
    known = _fields_of(kind)
    one = {getattr(kind, name) for name in _ONE & known}
    spoken = ((found for _, _, found in _TEXTS[name](getattr(kind, name))) for name in _TEXTS.keys() & known)
    return one.union(*(getattr(kind, name) for name in _lists_of(kind)), *spoken)


def _lists_of(kind: Any) -> list[str]:
    # Of a check of freshness `within` is a duration.
    known = kind.DESCRIPTOR.fields_by_name
    return [name for name in _SEVERAL & set(known) if known[name].is_repeated]


def _only_for(kind: Any, names: AbstractSet[str]) -> bool:
    """An empty list means all fields, so the last name may not be taken off a list."""
    known = _fields_of(kind)
    if "target" in known:
        return kind.target in names
    if "field" in known:
        return kind.field in names
    return "fields" in known and bool(kind.fields) and set(kind.fields) <= names


def _keep(messages: Any, wanted: Callable[[Any], bool]) -> None:
    """Of a repeated field, in place."""
    kept = [each for each in messages if wanted(each)]
    if len(kept) < len(messages):
        copies = [type(each).FromString(each.SerializeToString()) for each in kept]
        del messages[:]
        messages.extend(copies)
