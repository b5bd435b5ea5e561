"""What must hold inside a contract beyond the rules its proto declares: references, types, names."""

from __future__ import annotations

from collections.abc import Iterator

from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import FieldViolation, InvalidArgument

from plaza_catalogue.domain.contract_steps import built_fields, repeated, step_violations
from plaza_catalogue.domain.rule_checks import Types, known, rule_violations

RESERVED_NAMES = frozenset({"filename", "file_row_number", "file_index"})
"""Columns that readers of the lake add by themselves."""


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
        yield from known(types, name, f"{prefix}.key[{index}]")
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


def _rules(contract: pb.Contract, types: Types, prefix: str) -> Iterator[FieldViolation]:
    yield from repeated((rule.id for rule in contract.rules), f"{prefix}.rules[{{}}].id")
    for index, rule in enumerate(contract.rules):
        yield from rule_violations(contract, types, f"{prefix}.rules[{index}]", rule)
