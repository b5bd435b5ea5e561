"""How a contract differs from another, place by place, and what becomes of each difference; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from google.protobuf import text_format
from plaza.common.v1 import contract_pb2

from plaza_gateway.console import steps_form
from plaza_gateway.console.steps_form import StepDraft
from plaza_gateway.transcode.problems import Complaint

ATTRIBUTES = (
    "type",
    "required",
    "source_name",
    "title",
    "description",
    "unit",
    "missing_values",
    "code_list",
)
"""Of a field."""
FORMAT = ("type", "encoding", "delimiter", "missing_values", "sheet", "record_path")
"""Of the file."""
MEANINGS = (
    "added",
    "removed",
    "required",
    "optional",
    "type",
    "source_name",
    "title",
    "description",
    "unit",
    "missing_values",
    "code_list",
    "order",
    "key",
    "step",
    "rule",
    "format",
)
"""What a difference means has words by these."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` and `after` are texts, or None where there is nothing."""

    meaning: str
    """One of MEANINGS."""
    field: str = ""
    """Name of the field or rule that it is about."""
    attribute: str = ""
    """One of ATTRIBUTES or FORMAT."""
    before: str | None = None
    after: str | None = None
    step_before: StepDraft | None = None
    step_after: StepDraft | None = None
    refused: str = ""
    """Why it cannot be; empty: it can."""


def changes(
    before: contract_pb2.Contract, after: contract_pb2.Contract, refused: Sequence[Complaint] = ()
) -> tuple[Change, ...]:
    """Every difference, in the order of the contract. `refused`: what the catalogue says against `after`."""
    found = (*_of_fields(before, after), *_of_rest(before, after))
    if not refused:
        return found
    numbers = {each.name: number for number, each in enumerate(after.fields)}
    return tuple(replace(each, refused=_refusal(each, numbers, refused)) for each in found)


def _of_fields(before: contract_pb2.Contract, after: contract_pb2.Contract) -> Iterator[Change]:
    olds = {each.name: each for each in before.fields}
    news = {each.name: each for each in after.fields}
    for name, new in news.items():
        if name not in olds:
            yield Change("added", name, "type", None, _said(new, "type"))
            continue
        for attribute in _differing(olds[name], new):
            meaning = attribute
            if attribute == "required":
                meaning = "required" if new.required else "optional"
            yield Change(meaning, name, attribute, _said(olds[name], attribute), _said(new, attribute))
    for name, old in olds.items():
        if name not in news:
            yield Change("removed", name, "type", _said(old, "type"), None)
    common = [[name for name in one if name in other] for one, other in ((olds, news), (news, olds))]
    if common[0] != common[1]:
        yield Change("order", before=", ".join(olds), after=", ".join(news))


def _of_rest(before: contract_pb2.Contract, after: contract_pb2.Contract) -> Iterator[Change]:
    if list(before.key) != list(after.key):
        yield Change("key", before=", ".join(before.key) or None, after=", ".join(after.key) or None)
    yield from _of_steps(before.steps, after.steps)
    olds, news = ({each.id: each for each in one.rules} for one in (before, after))
    for id_ in dict.fromkeys([*news, *olds]):
        if olds.get(id_) != news.get(id_):
            yield Change("rule", id_, "", _text(olds.get(id_)), _text(news.get(id_)))
    for attribute in _differing(before.format, after.format):
        yield Change("format", "", attribute, _said(before.format, attribute), _said(after.format, attribute))


def _of_steps(before: Sequence[contract_pb2.Step], after: Sequence[contract_pb2.Step]) -> Iterator[Change]:
    olds, news = ([each.SerializeToString(deterministic=True) for each in one] for one in (before, after))
    for _, low, high, start, end in SequenceMatcher(None, olds, news, autojunk=False).get_opcodes():
        gone, come = before[low:high], after[start:end]
        if list(gone) == list(come):
            continue
        for number in range(max(len(gone), len(come))):
            yield Change(
                "step",
                step_before=steps_form.drafted(gone[number]) if number < len(gone) else None,
                step_after=steps_form.drafted(come[number]) if number < len(come) else None,
            )


def _differing(old: Any, new: Any) -> list[str]:
    """Names of what differs between two messages, those without words here too."""
    names = (each.name for each in old.DESCRIPTOR.fields if each.name != "name")
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _said(message: Any, name: str) -> str | None:
    value = getattr(message, name)
    if isinstance(message, contract_pb2.Field) and name == "type":
        return contract_pb2.FieldType.Name(value).removeprefix("FIELD_TYPE_").lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value or None
    return steps_form.SEPARATOR.join(map(str, value)) or None


def _text(message: Any) -> str | None:
    return (
        text_format.MessageToString(message, as_utf8=True, as_one_line=True) if message is not None else None
    )


def _refusal(change: Change, numbers: Mapping[str, int], refused: Sequence[Complaint]) -> str:
    for each in refused:
        place = each.pointer.partition("contract.")[2]
        if change.meaning == "key" and place == "key":
            return each.detail
        if change.meaning == "removed" and each.detail == f"field {change.field} is missing":
            return each.detail
        if change.field not in numbers or change.meaning in ("rule", "removed"):
            continue
        at = f"fields[{numbers[change.field]}]."
        if place == f"{at}{change.attribute}" or (change.meaning == "added" and place.startswith(at)):
            return each.detail
    return ""
