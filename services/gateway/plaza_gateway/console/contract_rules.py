"""What follows in steps and rules when fields of a contract are renamed, left out, or given quality rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from plaza.common.v1 import contract_pb2, grades_pb2

from plaza_gateway.transcode.problems import Complaint, Problem

EVERY = 100.0
"""Percent of values that must lie between the bounds; fewer make the rule broken."""


class Ruled(Protocol):
    """What a person wrote about one field."""

    @property
    def name(self) -> str: ...
    @property
    def smallest(self) -> str: ...
    @property
    def largest(self) -> str: ...
    @property
    def most_missing(self) -> str: ...
    @property
    def left_out(self) -> bool: ...


def add(contract: contract_pb2.Contract, fields: Sequence[Ruled]) -> None:
    """Rules for what was written. Raises Problem that names each place where no number stands."""
    wrong: list[Complaint] = []

    def number(text: str, place: str, most: float = math.inf) -> float | None:
        if not text:
            return None
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found) or (most is not math.inf and not 0 <= found <= most):
            wrong.append(Complaint("body", place, ""))
            return None
        return found

    for at, each in enumerate(fields):
        if each.left_out:
            continue
        lowest, highest = number(each.smallest, f"f{at}.min"), number(each.largest, f"f{at}.max")
        missing = number(each.most_missing, f"f{at}.nulls", 100)
        if lowest is not None or highest is not None:
            rule = contract.rules.add(
                id=f"{each.name}-range", dimension=grades_pb2.DIMENSION_ACCURACY, threshold_percent=EVERY
            )
            rule.range.CopyFrom(contract_pb2.RangeCheck(field=each.name, minimum=lowest, maximum=highest))
        if missing is not None:
            rule = contract.rules.add(
                id=f"{each.name}-null-share",
                dimension=grades_pb2.DIMENSION_COMPLETENESS,
                threshold_percent=100 - missing,
            )
            rule.not_null.field = each.name
    if wrong:
        raise Problem(400, "NOT_A_NUMBER", "", errors=tuple(wrong))


def rename(contract: contract_pb2.Contract, renamed: Mapping[str, str]) -> None:
    """Steps and rules speak of the fields by their new names."""
    for each in (*contract.steps, *contract.rules):
        kind = _kind(each)
        for name in _ONE & _fields_of(kind):
            setattr(kind, name, renamed.get(getattr(kind, name), getattr(kind, name)))
        for name in _SEVERAL & _fields_of(kind):
            several = getattr(kind, name)
            several[:] = [renamed.get(one, one) for one in several]


def leave_out(contract: contract_pb2.Contract, names: AbstractSet[str]) -> None:
    """Takes fields out, with the rules about them and the steps that fill or change only them. A step that reads
    one of them for another field stays: the catalogue says what is missing."""
    if not names:
        return
    _keep(contract.fields, lambda each: each.name not in names)
    _keep(contract.rules, lambda each: not names & _named(_kind(each)))
    _keep(contract.steps, lambda each: not _only_for(_kind(each), names))
    for step in contract.steps:
        kind = _kind(step)
        if "fields" in _fields_of(kind):
            kind.fields[:] = [name for name in kind.fields if name not in names]


_ONE = frozenset(("target", "field", "year", "month", "day", "hour", "minute", "second"))
_SEVERAL = frozenset(("fields", "parts"))
"""How steps and rules call the fields that they are about."""


def _kind(each: Any) -> Any:
    (group,) = (one for one in each.DESCRIPTOR.oneofs if one.name in ("kind", "check"))
    return getattr(each, each.WhichOneof(group.name) or group.fields[0].name)


def _fields_of(kind: Any) -> set[str]:
    return set(kind.DESCRIPTOR.fields_by_name)


def _named(kind: Any) -> set[str]:
    one = {getattr(kind, name) for name in _ONE & _fields_of(kind)}
    return one.union(*(getattr(kind, name) for name in _SEVERAL & _fields_of(kind)))


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
