"""The contract editor: a proposal as a form, and the form as what is registered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing

from plaza_gateway.console import contract_rules
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
    left_out: bool = False
    """The column stays in the file and does not come into the table."""
    smallest: str = ""
    largest: str = ""
    most_missing: str = ""
    """Percent of rows without a value that are still good."""

    @property
    def ruled(self) -> bool:
        """Does it have a quality rule?"""
        return bool(self.smallest or self.largest or self.most_missing)


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
                left_out=f"{at}out" in form,
                smallest=form.get(f"{at}min", "").strip(),
                largest=form.get(f"{at}max", "").strip(),
                most_missing=form.get(f"{at}nulls", "").strip(),
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
    contract_rules.rename(contract, renamed)
    contract_rules.add(contract, draft.fields)
    contract_rules.leave_out(contract, {each.name for each in draft.fields if each.left_out})
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


def place_of(complaint: Complaint, draft: Draft | None = None) -> str:
    """The id of the form's field that a service complains about; `main` when the form has none. The service
    does not count the fields that the draft leaves out."""
    field = _FIELD.search(complaint.pointer)
    if field is not None:
        number = int(field[1])
        if draft is not None:
            sent = [place for place, each in enumerate(draft.fields) if not each.left_out]
            number = sent[number] if number < len(sent) else number
        return f"f{number}.{'missing' if field[2] == 'missing_values' else field[2]}"
    known = (
        id_
        for path, id_ in _PLACES.items()
        if re.fullmatch(rf"{re.escape(path)}(\[\d+\])?", complaint.pointer)
    )
    return next(known, "main")


def _key(proposed_key: Sequence[str], fields: Sequence[FieldDraft], renamed: Mapping[str, str]) -> list[str]:
    """Ticked fields: those of the proposed key in its order, then the others in the order of the table."""
    ticked = [each.name for each in fields if each.key and not each.left_out]
    first = [renamed.get(name, name) for name in proposed_key]
    kept = [name for name in first if name in ticked]
    return [*kept, *(name for name in ticked if name not in kept)]


def _constant(prefix: str, word: str, known: Sequence[str]) -> str:
    return f"{prefix}_{word.upper()}" if word in known else f"{prefix}_UNSPECIFIED"


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(text.split(SEPARATOR))) if text else []


def _joined(tokens: Sequence[str]) -> str:
    return SEPARATOR.join(tokens)


def _id_of(stem: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name[:63].rstrip("-") if re.match("[a-z]", name) else ""
