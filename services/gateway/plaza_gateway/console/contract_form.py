"""The contract editor: a proposal as a form, and the form as what is registered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing

from plaza_gateway.transcode.problems import Complaint

TYPES = ("string", "integer", "number", "boolean", "date", "timestamp")
GRADES = ("public", "internal", "sensitive", "core")
SHARING = ("unconditional", "conditional", "not_shared")
CYCLES = (
    "unspecified",
    "real_time",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
    "irregular",
)
LICENCES = ("", "CC-BY-4.0", "CC0-1.0", "ODbL-1.0")
TEXTS = (
    "id",
    "title",
    "title_en",
    "description",
    "grade",
    "sharing",
    "condition",
    "cycle",
    "licence",
    "missing",
)
SEPARATOR = "|"
"""Between missing-value tokens; the only character that a token cannot have in the editor."""


@dataclass(frozen=True, slots=True)
class FieldDraft:
    """A field as it stands in the form."""

    name: str
    source: str
    title: str
    type: str
    unit: str
    missing: str
    required: bool
    key: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is registered at once, as texts."""

    values: Mapping[str, str]
    """By the names in TEXTS."""
    opened: bool
    fields: tuple[FieldDraft, ...]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def proposed(run: ing.Run) -> Draft:
    """What an inference proposes. Grade and sharing class stay open: a person decides them."""
    proposal = run.proposal
    reasons = {each.field: tuple(each.reasons) for each in proposal.fields}
    key = set(proposal.contract.key)
    stem = run.file_name.rsplit(".", 1)[0]
    return Draft(
        {
            "id": _id_of(stem),
            "title": stem,
            "cycle": "unspecified",
            "missing": _joined(proposal.contract.format.missing_values),
        },
        opened=False,
        fields=tuple(
            FieldDraft(
                name=each.name,
                source=each.source_name,
                title=each.title,
                type=contract_pb2.FieldType.Name(each.type).removeprefix("FIELD_TYPE_").lower(),
                unit=each.unit,
                missing=_joined(each.missing_values),
                required=each.required,
                key=each.name in key,
                reasons=reasons.get(each.name, ()),
            )
            for each in proposal.contract.fields
        ),
    )


def filled_in(form: Mapping[str, str], run: ing.Run) -> Draft:
    """What a person made of the proposal."""
    fields = []
    for index, before in enumerate(proposed(run).fields):
        at = f"f{index}."
        fields.append(
            FieldDraft(
                name=form.get(f"{at}name", before.name).strip(),
                source=before.source,
                title=form.get(f"{at}title", "").strip(),
                type=form.get(f"{at}type", ""),
                unit=form.get(f"{at}unit", "").strip(),
                missing=form.get(f"{at}missing", ""),
                required=f"{at}required" in form,
                key=f"{at}key" in form,
                reasons=before.reasons,
            )
        )
    values = {name: form.get(name, "").strip() for name in TEXTS}
    # A blank may be a token.
    values["missing"] = form.get("missing", "")
    return Draft(values, "opened" in form, tuple(fields))


def dataset_of(draft: Draft, run: ing.Run) -> cat.Dataset:
    """What is registered. What the form does not know (steps, rules, delimiter) stays as proposed, with the
    new names of fields. Words that no enumeration has become "not declared", which the services refuse."""
    contract = contract_pb2.Contract()
    contract.CopyFrom(run.proposal.contract)
    renamed = {}
    for message, each in zip(contract.fields, draft.fields, strict=True):
        renamed[message.name] = each.name
        message.name = each.name
        message.title = each.title
        message.type = contract_pb2.FieldType.Value(_constant("FIELD_TYPE", each.type, TYPES))
        message.unit = each.unit
        message.required = each.required
        message.missing_values[:] = _split(each.missing)
    contract.format.missing_values[:] = _split(draft["missing"])
    contract.key[:] = _key(run.proposal.contract.key, draft.fields, renamed)
    _rename(contract, renamed)
    sharing = cat.Sharing(condition=draft["condition"])
    # `class` is a word of Python's own.
    setattr(
        sharing, "class", grades_pb2.SharingClass.Value(_constant("SHARING_CLASS", draft["sharing"], SHARING))
    )
    return cat.Dataset(
        display_name=draft["title"],
        display_name_en=draft["title_en"],
        description=draft["description"],
        contract=contract,
        format=run.file_name.rpartition(".")[2].upper()[:100],
        city_level=grades_pb2.CityLevel.Value(_constant("CITY_LEVEL", draft["grade"], GRADES)),
        sharing=sharing,
        opening=cat.Opening(allowed=draft.opened),
        update_cycle=cat.UpdateCycle.Value(_constant("UPDATE_CYCLE", draft["cycle"], CYCLES)),
        licence=draft["licence"],
    )


_FIELD = re.compile(r"contract\.fields\[(\d+)\]\.(name|title|type|unit|missing_values|required)")
_PLACES = {
    "dataset_id": "id",
    "dataset.display_name": "title",
    "dataset.display_name_en": "title_en",
    "dataset.description": "description",
    "dataset.city_level": "grade",
    "dataset.sharing.class": "sharing",
    "dataset.sharing.condition": "condition",
    "dataset.update_cycle": "cycle",
    "dataset.licence": "licence",
    "dataset.opening.allowed": "opened",
    "dataset.contract.format.missing_values": "missing",
}


def place_of(complaint: Complaint) -> str:
    """The id of the form's field that a service complains about; `main` when the form has none."""
    field = _FIELD.search(complaint.pointer)
    if field is not None:
        return f"f{field[1]}.{'missing' if field[2] == 'missing_values' else field[2]}"
    known = (
        id_
        for path, id_ in _PLACES.items()
        if re.fullmatch(rf"{re.escape(path)}(\[\d+\])?", complaint.pointer)
    )
    return next(known, "main")


def _key(proposed_key: Sequence[str], fields: Sequence[FieldDraft], renamed: Mapping[str, str]) -> list[str]:
    """Ticked fields: those of the proposed key in its order, then the others in the order of the table."""
    ticked = [each.name for each in fields if each.key]
    first = [renamed.get(name, name) for name in proposed_key]
    kept = [name for name in first if name in ticked]
    return [*kept, *(name for name in ticked if name not in kept)]


def _rename(contract: contract_pb2.Contract, renamed: Mapping[str, str]) -> None:
    for step in contract.steps:
        build = step.build_timestamp
        for part in ("target", "year", "month", "day", "hour", "minute", "second"):
            name = getattr(build, part)
            if name in renamed:
                setattr(build, part, renamed[name])
    for rule in contract.rules:
        kind = rule.WhichOneof("check")
        if kind == "unique":
            rule.unique.fields[:] = [renamed.get(name, name) for name in rule.unique.fields]
        elif kind is not None:
            check = getattr(rule, kind)
            check.field = renamed.get(check.field, check.field)


def _constant(prefix: str, word: str, known: Sequence[str]) -> str:
    return f"{prefix}_{word.upper()}" if word in known else f"{prefix}_UNSPECIFIED"


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(text.split(SEPARATOR))) if text else []


def _joined(tokens: Sequence[str]) -> str:
    return SEPARATOR.join(tokens)


def _id_of(stem: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name[:63].rstrip("-") if re.match("[a-z]", name) else ""
