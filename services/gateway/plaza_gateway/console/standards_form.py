"""The forms that register a source system and add a version of a code list: texts → messages; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plaza.catalogue.v1 import code_lists_pb2 as cl
from plaza.catalogue.v1 import source_systems_pb2 as sy

from plaza_gateway.console.forms import by_place
from plaza_gateway.console.sources_view import CLASSES
from plaza_gateway.console.standards_view import system_view
from plaza_gateway.transcode.problems import Complaint, Problem

SYSTEM_TEXTS = ("id", "display_name", "display_name_en", "class", "owner", "vendor", "description")
LIST_TEXTS = (
    "id",
    "version",
    "display_name",
    "display_name_en",
    "standard",
    "edition",
    "description",
    "source",
    "licence",
)
OWN_COMPLAINTS = ("id", "version", "display_name", "class", "file")
"""Places where the page says what to do in its own words."""
ENCODINGS = ("utf-8-sig", "gb18030")
"""Tried in this order: a spreadsheet in Chinese saves one or the other."""
_PLACES: Mapping[str, str] = {
    "source_system_id": "id",
    "version_id": "version",
    "parent": "id",
    "document": "file",
}
_TAKEN: Mapping[str, str] = {"SOURCE_SYSTEM_EXISTS": "id", "CODE_LIST_VERSION_EXISTS": "version"}


def values_of(form: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """What stands in the form, so that a refusal does not lose it."""
    return {name: form.get(name, "").strip() for name in names}


def system_of(values: Mapping[str, str]) -> sy.SourceSystem:
    """What is registered, or, without an id, what becomes of it. Raises Problem for what the page itself can see is
    missing."""
    _check(values, [name for name in ("id", "display_name", "class") if name in values])
    chosen = values["class"] if values["class"] in CLASSES else "unspecified"
    system = sy.SourceSystem(
        display_name=values["display_name"],
        display_name_en=values["display_name_en"],
        owner=values["owner"],
        vendor=values["vendor"],
        description=values["description"],
    )
    setattr(system, "class", sy.SourceSystemClass.Value(f"SOURCE_SYSTEM_CLASS_{chosen.upper()}"))
    return system


def values_from(found: sy.SourceSystem) -> dict[str, str]:
    """The texts of a source system that can be changed."""
    view = system_view(found)
    return {
        "display_name": found.display_name,
        "display_name_en": found.display_name_en,
        "class": view.class_,
        "owner": view.owner,
        "vendor": view.vendor,
        "description": view.description,
    }


def facts_of(values: Mapping[str, str]) -> cl.CodeListVersion:
    """What is said about a new version. Raises Problem for what the page itself can see is missing."""
    _check(values, ("id", "version", "display_name"))
    return cl.CodeListVersion(
        display_name=values["display_name"],
        display_name_en=values["display_name_en"],
        standard=values["standard"],
        edition=values["edition"],
        description=values["description"],
        source=values["source"],
        licence=values["licence"],
    )


def document_of(data: bytes) -> str:
    """The text of a CSV file. Raises Problem when its encoding is neither of those that are known."""
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    detail = "the file is neither UTF-8 nor GB18030"
    raise Problem(400, "UNKNOWN_ENCODING", detail, errors=(Complaint("body", "document", detail),))


def errors_of(problem: Problem) -> dict[str, str]:
    """What is wrong by the place in the form; empty where the page has words of its own."""
    if problem.reason in _TAKEN:
        return {_TAKEN[problem.reason]: problem.detail}
    return by_place(problem, place_of)


def place_of(pointer: str) -> str:
    """The form's field that the service complains about; `main` when the form has none."""
    if pointer in OWN_COMPLAINTS:
        return pointer
    path = pointer.removeprefix("source_system.").removeprefix("version.")
    found = _PLACES.get(path, path)
    return found if found in (*SYSTEM_TEXTS, *LIST_TEXTS, "file") else "main"


def _check(values: Mapping[str, str], needed: Iterable[str]) -> None:
    missing = tuple(Complaint("body", name, "") for name in needed if not values[name])
    if missing:
        raise Problem(400, "FORM_INCOMPLETE", "", errors=missing)
