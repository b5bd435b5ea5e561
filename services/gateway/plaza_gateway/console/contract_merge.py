"""A contract made of several: of a newer file's columns, and of what two people made of it at once; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaza.common.v1 import contract_pb2

Contract = contract_pb2.Contract
_WRITTEN = {"type": "csv", "encoding": "utf-8"}
"""What an empty text of the file's format means."""
_FITTING = {
    contract_pb2.FIELD_TYPE_STRING: contract_pb2.FieldType.values(),
    contract_pb2.FIELD_TYPE_NUMBER: (contract_pb2.FIELD_TYPE_INTEGER,),
}
"""Types in a file whose values are also values of another type."""
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def renewed(present: Contract, proposed: Contract) -> Contract:
    """The contract with the columns that a newer file has beside it, as new optional fields, and with the way the
    newer file is written. What the contract says about a column stays: data are there that follow it."""
    wanted = Contract()
    wanted.CopyFrom(present if present.fields else proposed)
    if not present.fields:
        return wanted
    known = {_heading(each) for each in present.fields}
    names = {each.name for each in present.fields}
    built = _built(proposed)
    for each in proposed.fields:
        if _heading(each) in known or each.name in built:
            continue
        field = wanted.fields.add()
        field.CopyFrom(each)
        field.required = False
        field.name = next(
            name for name in (each.name, *(f"{each.name}_{n}" for n in range(2, 5000))) if name not in names
        )
        # The heading is the name unless it says otherwise.
        field.source_name = "" if _heading(each) == field.name else _heading(each)
        names.add(field.name)
    for name in ("type", "encoding", "sheet", "record_path"):
        now, then = (getattr(one.format, name) or _WRITTEN.get(name, "") for one in (present, proposed))
        if now != then:
            setattr(wanted.format, name, getattr(proposed.format, name))
    if _delimiter(present) != _delimiter(proposed):
        wanted.format.delimiter = proposed.format.delimiter
    more = [each for each in proposed.format.missing_values if each not in wanted.format.missing_values]
    wanted.format.missing_values.extend(more)
    return wanted


def notes(contract: Contract, proposed: Contract) -> Mapping[int, tuple[str, str]]:
    """What a newer file says about fields, by their number: `absent` and empty, or `other` and the type it has when
    its values would not fit."""
    columns = {_heading(each): each for each in proposed.fields}
    built = _built(contract)
    found: dict[int, tuple[str, str]] = {}
    for number, each in enumerate(contract.fields):
        column = columns.get(_heading(each))
        if column is None and each.name not in built:
            found[number] = ("absent", "")
        elif column is not None and column.type not in (each.type, *_FITTING.get(each.type, ())):
            word = contract_pb2.FieldType.Name(column.type).removeprefix("FIELD_TYPE_").lower()
            found[number] = ("other", word)
    return found


def merged(was: Contract, mine: Contract, theirs: Contract) -> Contract:
    """Theirs, with what was changed in mine since both were `was`; where both changed one thing, mine."""
    made = Contract()
    olds, ours, others = ({each.name: each for each in one.fields} for one in (was, mine, theirs))
    for name in dict.fromkeys([*ours, *others]):
        if name in ours and (name in others or name not in olds):
            _merge(made.fields.add(), olds.get(name), ours[name], others.get(name, ours[name]))
        elif name in ours and ours[name] != olds[name]:
            # They took out what was changed here: that is for the person to see.
            made.fields.add().CopyFrom(ours[name])
        elif name not in ours and (name not in olds or others[name] != olds[name]):
            made.fields.add().CopyFrom(others[name])
    for name in ("key", "steps", "rules"):
        chosen = getattr(mine, name) if getattr(mine, name) != getattr(was, name) else getattr(theirs, name)
        getattr(made, name).extend(chosen)
    _merge(made.format, was.format, mine.format, theirs.format)
    return made


def _merge(made: Any, was: Any, mine: Any, theirs: Any) -> None:
    made.CopyFrom(theirs)
    for each in mine.DESCRIPTOR.fields:
        value = getattr(mine, each.name)
        if was is not None and value == getattr(was, each.name):
            continue
        if isinstance(value, str | int | bool):
            setattr(made, each.name, value)
        else:
            getattr(made, each.name)[:] = list(value)


def _heading(field: contract_pb2.Field) -> str:
    return field.source_name or field.name


def _built(contract: Contract) -> set[str]:
    return {each.build_timestamp.target or each.build_key.target for each in contract.steps} - {""}


def _delimiter(contract: Contract) -> str:
    return contract.format.delimiter or _DELIMITERS.get(contract.format.type or "csv", "")
