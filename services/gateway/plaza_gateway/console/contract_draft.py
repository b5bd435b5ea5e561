"""A contract in the editor: as texts, as it was sent, and as the contract that comes of it; pure.

The form carries the contract that its places count (`base`), so that adding, moving and leaving out need nothing
kept on the server, and what the form does not show stays as it is. It is the person's own contract: the catalogue
checks all of it when it is registered or adopted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError
from plaza.common.v1 import contract_pb2

from plaza_gateway.console import contract_rules, steps_form
from plaza_gateway.console.steps_form import SEPARATOR, StepDraft
from plaza_gateway.transcode.problems import Complaint, Problem

TYPES = ("string", "integer", "number", "boolean", "date", "timestamp")
BASE = "base"
EDITED = "edited"
"""Is in forms that show the fields; without it a form only hands a draft on."""
MOST_FIELDS = 1600
MOST_CHOICES = 200
_LISTS = "codeLists/"


@dataclass(frozen=True, slots=True)
class FieldDraft:
    """A field as it stands in the form."""

    name: str
    source: str
    """Heading of its column in the file; empty: the name, or built by a step."""
    title: str
    description: str
    type: str
    unit: str
    missing: str
    code_list: str
    required: bool
    key: bool
    rules: Mapping[str, str]
    """By the places of contract_rules.PLACES."""
    left_out: bool = False
    """The column stays in the file and does not come into the table."""
    number: int = 0
    built: bool = False
    """A step fills it."""

    @property
    def ruled(self) -> bool:
        """Does it have a quality rule?"""
        return any(self.rules.values())


@dataclass(frozen=True, slots=True)
class ContractDraft:
    """A contract as it stands in the form."""

    base: contract_pb2.Contract
    """With everything that was sent, as far as it can be understood; also the fields that are left out."""
    fields: tuple[FieldDraft, ...]
    steps: tuple[StepDraft, ...]
    missing: str
    wrong: tuple[Complaint, ...] = ()
    """Places of the form that cannot be understood."""

    @property
    def packed(self) -> str:
        """The base, for a hidden field."""
        return base64.urlsafe_b64encode(self.base.SerializeToString(deterministic=True)).decode()

    @property
    def kept(self) -> tuple[FieldDraft, ...]:
        """The fields that are not left out."""
        return tuple(each for each in self.fields if not each.left_out)

    @property
    def other_rules(self) -> int:
        """Rules that the form does not show."""
        return contract_rules.others(self.base)

    @property
    def wide(self) -> bool:
        """Are there so many fields that a list of them at each place of each step would be too long?"""
        return len(self.fields) > MOST_CHOICES

    @property
    def full(self) -> bool:
        """Is there no room for a further step?"""
        return len(self.steps) >= steps_form.MOST_STEPS

    def choices(self, kind: str, param: str) -> tuple[list[str], list[str]]:
        """Names of the fields that fit a place of a step, and the others."""
        return steps_form.choices(self.fields, kind, param)


def drafted(
    contract: contract_pb2.Contract, out: frozenset[int] = frozenset(), wrong: tuple[Complaint, ...] = ()
) -> ContractDraft:
    """A contract as texts. `out`: numbers of the fields that are left out."""
    steps = tuple(steps_form.drafted(each) for each in contract.steps)
    rules = contract_rules.shown(contract)
    key = set(contract.key)
    built = {each.texts["target"] for each in steps if each.texts.get("target")}
    fields = tuple(
        FieldDraft(
            name=each.name,
            source=each.source_name,
            title=each.title,
            description=each.description,
            type=contract_pb2.FieldType.Name(each.type).removeprefix("FIELD_TYPE_").lower(),
            unit=each.unit,
            missing=SEPARATOR.join(each.missing_values),
            code_list=each.code_list.removeprefix(_LISTS),
            required=each.required,
            key=each.name in key,
            rules=rules[each.name],
            left_out=number in out,
            number=number,
            built=each.name in built,
        )
        for number, each in enumerate(contract.fields)
    )
    return ContractDraft(contract, fields, steps, SEPARATOR.join(contract.format.missing_values), wrong)


def filled_in(form: Mapping[str, str], otherwise: contract_pb2.Contract) -> ContractDraft:
    """What a person made of the contract in the form; `otherwise` counts when the form carries none."""
    contract = _unpacked(form.get(BASE, "")) or _copy(otherwise)
    out = frozenset(number for number in range(len(contract.fields)) if f"f{number}.out" in form)
    if EDITED not in form:
        return drafted(contract, out)
    steps = tuple(steps_form.filled_in(form, number, each) for number, each in enumerate(contract.steps))
    for step, each in zip(contract.steps, steps, strict=True):
        step.CopyFrom(each.step)
    key = list(contract.key)
    renamed = {}
    for number, field in enumerate(contract.fields):
        old = field.name
        _put(field, form, f"f{number}.")
        if old and old != field.name:
            renamed[old] = field.name
    contract_rules.rename(contract, renamed)
    ticked = [each.name for number, each in enumerate(contract.fields) if f"f{number}.key" in form]
    first = [name for name in (renamed.get(name, name) for name in key) if name in ticked]
    # Those of the old key in its order, then the others in the order of the table.
    contract.key[:] = list(dict.fromkeys([*first, *ticked]))
    _put_tokens(contract.format.missing_values, form.get("missing", ""))
    texts = [
        {place: form.get(f"f{number}.{place}", "").strip() for place in contract_rules.PLACES}
        for number in range(len(contract.fields))
    ]
    told = contract_rules.put(
        contract, [(each.name, text) for each, text in zip(contract.fields, texts, strict=True)]
    )
    wrong = [Complaint("body", f"f{number}.{place}", "") for number, place in told if number not in out]
    draft = drafted(contract, out, (*wrong, *steps_form.unread_lines(steps)))
    return replace(
        draft,
        # Also what cannot be understood stands there as it was written.
        fields=tuple(replace(each, rules=texts[each.number]) for each in draft.fields),
        steps=tuple(
            replace(now, texts={**now.texts, "codes": sent.texts["codes"]}, unread=sent.unread)
            if sent.unread
            else now
            for now, sent in zip(draft.steps, steps, strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class Sendable:
    """The contract that comes of a draft, and which places of the form it was made of."""

    contract: contract_pb2.Contract
    fields: tuple[int, ...]
    """Numbers in the form of its fields."""
    steps: tuple[int, ...]


def sendable(draft: ContractDraft) -> Sendable:
    """Without the fields that are left out, and what is said only about them."""
    contract = _copy(draft.base)
    # A name may have been given to another field in the same go.
    names = {each.name for each in draft.fields if each.left_out} - {each.name for each in draft.kept} - {""}
    for each in reversed(draft.fields):
        if each.left_out:
            del contract.fields[each.number]
    staying = contract_rules.leave_out(contract, names)
    contract.key[:] = [name for name in contract.key if name not in names]
    return Sendable(contract, tuple(each.number for each in draft.kept), staying)


def contract_of(draft: ContractDraft) -> contract_pb2.Contract:
    """What is registered or adopted. Raises Problem that names each place that cannot be understood."""
    if draft.wrong:
        raise Problem(400, "NOT_UNDERSTOOD", "", errors=draft.wrong)
    return sendable(draft).contract


def acted(draft: ContractDraft, do: str, form: Mapping[str, str]) -> ContractDraft | None:
    """The draft after one of the editor's own buttons; None: it was another button."""
    action, _, rest = do.partition(":")
    at = int(rest) if rest.isascii() and rest.isdecimal() else len(draft.steps)
    contract, steps = _copy(draft.base), list(draft.steps)
    if action == "field.add":
        if len(contract.fields) < MOST_FIELDS:
            contract.fields.add(type=contract_pb2.FIELD_TYPE_STRING)
    elif action == "step.add":
        if form.get("new_step") in steps_form.KINDS and not draft.full:
            steps.append(steps_form.drafted(steps_form.made(form["new_step"])))
    elif action in ("step.up", "step.down", "step.remove"):
        moved = steps[at : at + 1]
        del steps[at : at + 1]
        if action != "step.remove":
            there = max(at - 1, 0) if action == "step.up" else at + 1
            steps[there:there] = moved
    else:
        return None
    del contract.steps[:]
    contract.steps.extend(each.step for each in steps)
    after = drafted(contract, frozenset(each.number for each in draft.fields if each.left_out))
    # What cannot be understood yet stays as it was written.
    fields = tuple(
        replace(each, rules=draft.fields[each.number].rules) if each.number < len(draft.fields) else each
        for each in after.fields
    )
    return replace(after, fields=fields, steps=tuple(steps))


_FIELD = re.compile(
    r"contract\.fields\[(\d+)\]\.(name|title|description|type|unit|missing_values|required|source_name|code_list)"
)
_STEP = re.compile(r"contract\.steps\[(\d+)\]\.?(.*)")
_KEY = re.compile(r"contract\.key(\[(\d+)\])?")
_GONE = re.compile(r"field (\S+) is missing")
_INPUTS = {
    "name": "name",
    "source": "source_name",
    "title": "title",
    "description": "description",
    "unit": "unit",
}
"""Places in the form and the texts of a field that they hold."""
_PLACES = {"missing_values": "missing", "source_name": "source"}
"""Attributes of a field that the form calls otherwise."""


def placing(draft: ContractDraft) -> Callable[[Complaint], str]:
    """Tells the id of the editor's place that is complained about; empty when the editor has none."""
    sent = sendable(draft)
    keys = [each.number for each in draft.kept if each.key]
    gone = {each.name: each.number for each in draft.fields if each.left_out}

    def place(complaint: Complaint) -> str:
        if complaint in draft.wrong:
            return complaint.pointer
        if (field := _FIELD.search(complaint.pointer)) and int(field[1]) < len(sent.fields):
            return f"f{sent.fields[int(field[1])]}.{_PLACES.get(field[2], field[2])}"
        if (step := _STEP.search(complaint.pointer)) and int(step[1]) < len(sent.steps):
            return steps_form.place_of(sent.steps[int(step[1])], step[2])
        if "contract.format.missing_values" in complaint.pointer:
            return "missing"
        if (missing := _GONE.fullmatch(complaint.detail)) and missing[1] in gone:
            return f"f{gone[missing[1]]}.out"
        if _KEY.search(complaint.pointer):
            return f"f{keys[0]}.key" if keys else "fields"
        return ""

    return place


def _put(field: contract_pb2.Field, form: Mapping[str, str], at: str) -> None:
    for place, name in _INPUTS.items():
        old = getattr(field, name)
        sent = form.get(f"{at}{place}", old)
        if not steps_form.untouched(sent, old, lines=name == "description"):
            setattr(field, name, sent.strip())
    word = form.get(f"{at}type", "")
    field.type = contract_pb2.FieldType.Value(
        f"FIELD_TYPE_{word.upper() if word in TYPES else 'UNSPECIFIED'}"
    )
    field.required = f"{at}required" in form
    _put_tokens(field.missing_values, form.get(f"{at}missing", ""))
    old = field.code_list.removeprefix(_LISTS)
    codes = form.get(f"{at}code_list", old).strip().removeprefix(_LISTS)
    if codes != old:
        field.code_list = f"{_LISTS}{codes}" if codes else ""


def _put_tokens(tokens: object, text: str) -> None:
    assert isinstance(tokens, MutableSequence)
    if not steps_form.untouched(text, SEPARATOR.join(tokens)):
        tokens[:] = list(dict.fromkeys(text.split(SEPARATOR))) if text else []


def _unpacked(text: str) -> contract_pb2.Contract | None:
    try:
        found = contract_pb2.Contract.FromString(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
    small = len(found.fields) <= MOST_FIELDS and len(found.steps) <= steps_form.MOST_STEPS
    return found if text and small else None


def _copy(contract: contract_pb2.Contract) -> contract_pb2.Contract:
    copy = contract_pb2.Contract()
    copy.CopyFrom(contract)
    return copy
