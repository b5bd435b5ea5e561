"""Registering from a file: the directory fields and the proposed contract as a form, and as what is registered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.common.v1 import grades_pb2
from plaza.ingestion.v1 import ingestion_pb2 as ing

from plaza_gateway.console import contract_draft
from plaza_gateway.console.archives import readable
from plaza_gateway.console.contract_draft import TYPES, ContractDraft
from plaza_gateway.transcode.problems import Complaint

__all__ = ["CYCLES", "GRADES", "LICENCES", "SHARING", "TYPES"]
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
TEXTS = ("id", "title", "title_en", "description", "grade", "sharing", "condition", "cycle", "licence")


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is registered at once."""

    values: Mapping[str, str]
    """By the names in TEXTS."""
    opened: bool
    contract: ContractDraft

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def proposed(run: ing.Run) -> Draft:
    """What an inference proposes. Grade and sharing class stay open: a person decides them."""
    stem = _data_file(run).rsplit(".", 1)[0]
    values = {"id": _id_of(stem), "title": stem, "cycle": "unspecified"}
    return Draft(values, opened=False, contract=contract_draft.drafted(run.proposal.contract))


def filled_in(form: Mapping[str, str], run: ing.Run) -> Draft:
    """What a person made of the proposal."""
    values = {name: form.get(name, "").strip() for name in TEXTS}
    return Draft(values, "opened" in form, contract_draft.filled_in(form, run.proposal.contract))


def reasons(run: ing.Run) -> Mapping[int, tuple[str, ...]]:
    """Why the fields are proposed so, by their number."""
    by_name = {each.field: tuple(each.reasons) for each in run.proposal.fields}
    return {number: by_name.get(each.name, ()) for number, each in enumerate(run.proposal.contract.fields)}


def dataset_of(draft: Draft, run: ing.Run) -> cat.Dataset:
    """What is registered. Words that no enumeration has become "not declared", which the services refuse. Raises
    Problem that names each place that cannot be understood."""
    sharing = cat.Sharing(condition=draft["condition"])
    # `class` is a word of Python's own.
    setattr(
        sharing, "class", grades_pb2.SharingClass.Value(_constant("SHARING_CLASS", draft["sharing"], SHARING))
    )
    return cat.Dataset(
        display_name=draft["title"],
        display_name_en=draft["title_en"],
        description=draft["description"],
        contract=contract_draft.contract_of(draft.contract),
        format=_data_file(run).rpartition(".")[2].upper()[:100],
        city_level=grades_pb2.CityLevel.Value(_constant("CITY_LEVEL", draft["grade"], GRADES)),
        sharing=sharing,
        opening=cat.Opening(allowed=draft.opened),
        update_cycle=cat.UpdateCycle.Value(_constant("UPDATE_CYCLE", draft["cycle"], CYCLES)),
        licence=draft["licence"],
    )


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
}


def place_of(complaint: Complaint) -> str:
    """The id of the directory field that a service complains about; `main` when the form has none."""
    known = (
        id_
        for path, id_ in _PLACES.items()
        if re.fullmatch(rf"{re.escape(path)}(\[\d+\])?", complaint.pointer)
    )
    return next(known, "main")


def _data_file(run: ing.Run) -> str:
    """Name of the file; of a table in an archive, that one's."""
    return readable(run.entry).rpartition("/")[2] or run.file_name


def _constant(prefix: str, word: str, known: Sequence[str]) -> str:
    return f"{prefix}_{word.upper()}" if word in known else f"{prefix}_UNSPECIFIED"


def _id_of(stem: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name[:63].rstrip("-") if re.match("[a-z]", name) else ""
