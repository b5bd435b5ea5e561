"""What a new contract may change once the table has rows.

The twin of `plaza_lake.evolution.check_evolution`, said of contracts instead of tables: what is adopted here can be
loaded there. The catalogue has no lake, so the rule stands twice; a test holds the two equal, word for word.
"""

from __future__ import annotations

from collections.abc import Iterator

from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import FailedPrecondition, FieldViolation


class ContractConflict(FailedPrecondition):
    """Rows that are committed already cannot follow the contract. Names every difference, each at its place."""


def check_evolution(present: pb.Contract, wanted: pb.Contract, version: int) -> None:
    """That a table of one contract can follow another: new optional fields anywhere, fields made optional, another
    order, and everything beside names, types, `required` and key. `version`: the data version that has the
    contract `present`. Raises ContractConflict.
    """
    found = tuple(conflicts(present, wanted))
    if found:
        raise ContractConflict(
            f"version {version} of the data cannot follow this contract: "
            f"{'; '.join(each.description for each in found)}",
            remedy="keep names and types of the fields and the key, make new fields optional;"
            " what needs another type is a new field, what needs another key a new dataset",
            facts={"version": str(version), "differences": "\n".join(each.description for each in found)},
            violations=found,
        )


def conflicts(present: pb.Contract, wanted: pb.Contract) -> Iterator[FieldViolation]:
    """Every difference that the rule refuses; places are those of `wanted`, like `contract.fields[2].type`."""
    olds = {field.name: field for field in present.fields}
    news = {field.name: (index, field) for index, field in enumerate(wanted.fields)}
    if list(wanted.key) != list(present.key):
        text = f"its key is ({', '.join(present.key)}), the new one would be ({', '.join(wanted.key)})"
        yield FieldViolation("contract.key", text)
    for name, old in olds.items():
        if name not in news:
            yield FieldViolation("contract.fields", f"field {name} is missing")
            continue
        index, new = news[name]
        place = f"contract.fields[{index}]"
        if new.type != old.type:
            text = f"field {name} is {_word(old)}, the new one would be {_word(new)}"
            yield FieldViolation(f"{place}.type", text)
        if name in present.key and _required(wanted, new) is not _required(present, old):
            text = f"key field {name} would change whether it is required"
            yield FieldViolation(f"{place}.required", text)
        elif _required(wanted, new) and not _required(present, old):
            text = f"field {name} would become required, but earlier rows may lack it"
            yield FieldViolation(f"{place}.required", text)
    for name, (index, new) in news.items():
        if name not in olds and _required(wanted, new):
            text = f"new field {name} is required, but earlier rows lack it"
            yield FieldViolation(f"contract.fields[{index}].required", text)


def _required(contract: pb.Contract, field: pb.Field) -> bool:
    """A row without a value in a key field is refused, whatever the field's own flag says."""
    return field.required or field.name in contract.key


def _word(field: pb.Field) -> str:
    return pb.FieldType.Name(field.type).removeprefix("FIELD_TYPE_").lower()
