"""What must hold inside a contract beyond the rules its proto declares: references, types, names."""

from __future__ import annotations

import math
from collections.abc import Iterator

from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import FieldViolation, InvalidArgument

from plaza_catalogue.domain.contract_steps import built_fields, repeated, step_violations

RESERVED_NAMES = frozenset({"filename", "file_row_number", "file_index"})
"""Columns that readers of the lake add by themselves."""
_NUMERIC = (pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_NUMBER)


class BadContract(InvalidArgument):
    """The contract contradicts itself; each violation names its place."""


def check_contract(contract: pb.Contract, prefix: str = "contract") -> None:
    """Raises BadContract with every violation found, places written like `contract.rules[2].range.field`."""
    found = tuple(violations(contract, prefix))
    if found:
        raise BadContract(
            f"{found[0].field}: {found[0].description}",
            remedy="correct the named places of the contract",
            facts={"count": str(len(found))},
            violations=found,
        )


def violations(contract: pb.Contract, prefix: str) -> Iterator[FieldViolation]:
    """Every contradiction, in the order of the contract."""
    types = {field.name: field.type for field in contract.fields}
    if not contract.fields:
        yield FieldViolation(f"{prefix}.fields", "a contract needs at least one field")
    yield from _fields(contract, prefix)
    for index, name in enumerate(contract.key):
        yield from _known(types, name, f"{prefix}.key[{index}]")
    yield from repeated(contract.key, f"{prefix}.key[{{}}]")
    yield from step_violations(contract, prefix)
    yield from _rules(contract, types, prefix)


def _fields(contract: pb.Contract, prefix: str) -> Iterator[FieldViolation]:
    for index, field in enumerate(contract.fields):
        if field.name in RESERVED_NAMES:
            yield FieldViolation(
                f"{prefix}.fields[{index}].name", f"{field.name!r} is reserved: readers of files add it"
            )
    yield from repeated((f.name for f in contract.fields), f"{prefix}.fields[{{}}].name")
    built = built_fields(contract)
    headings = ("" if f.name in built else f.source_name or f.name for f in contract.fields)
    yield from repeated(headings, f"{prefix}.fields[{{}}].source_name")


def _rules(
    contract: pb.Contract, types: dict[str, pb.FieldType.ValueType], prefix: str
) -> Iterator[FieldViolation]:
    yield from repeated((rule.id for rule in contract.rules), f"{prefix}.rules[{{}}].id")
    for index, rule in enumerate(contract.rules):
        place = f"{prefix}.rules[{index}]"
        match rule.WhichOneof("check"):
            case "not_null":
                yield from _known(types, rule.not_null.field, f"{place}.not_null.field")
            case "range":
                yield from _range(rule.range, types, f"{place}.range")
            case "unique":
                if not rule.unique.fields:
                    yield FieldViolation(f"{place}.unique.fields", "name at least one field")
                for position, name in enumerate(rule.unique.fields):
                    yield from _known(types, name, f"{place}.unique.fields[{position}]")
            case _:
                yield FieldViolation(place, "the rule does not say what it checks")


def _range(
    check: pb.RangeCheck, types: dict[str, pb.FieldType.ValueType], place: str
) -> Iterator[FieldViolation]:
    yield from _typed(types, check.field, _NUMERIC, "an integer or a number", f"{place}.field")
    has_minimum, has_maximum = check.HasField("minimum"), check.HasField("maximum")
    if not has_minimum and not has_maximum:
        yield FieldViolation(place, "a range needs a minimum, a maximum or both")
    for bound in ("minimum", "maximum"):
        if not math.isfinite(getattr(check, bound)):
            yield FieldViolation(f"{place}.{bound}", "must be a finite number")
    if has_minimum and has_maximum and check.minimum > check.maximum:
        yield FieldViolation(f"{place}.maximum", "is smaller than the minimum")


def _known(types: dict[str, pb.FieldType.ValueType], name: str, place: str) -> Iterator[FieldViolation]:
    if name not in types:
        yield FieldViolation(place, f"{name!r} is not a field of the contract")


def _typed(
    types: dict[str, pb.FieldType.ValueType],
    name: str,
    allowed: tuple[pb.FieldType.ValueType, ...],
    words: str,
    place: str,
) -> Iterator[FieldViolation]:
    yield from _known(types, name, place)
    if name in types and types[name] not in allowed:
        yield FieldViolation(place, f"{name!r} must be {words}")
