"""`plaza dataset …`: the directory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import WrongUse
from .output import Output, whole
from .surroundings import JsonOption, UrlOption, plaza

dataset = typer.Typer(no_args_is_help=True, help="Datasets: register, find, look at.", rich_markup_mode=None)

_ID = r"[a-z][a-z0-9-]{0,62}"
_NAME = re.compile(rf"(?:departments/)?({_ID})/(?:datasets/)?({_ID})", re.ASCII)
_DEPARTMENT = re.compile(rf"(?:departments/)?({_ID})", re.ASCII)
_MAX_CONTRACT_BYTES = 1 << 20


class Grade(StrEnum):
    """The city's own grading."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"
    CORE = "core"


class SharingClass(StrEnum):
    """How a dataset is shared between departments."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not-shared"


class UpdateCycle(StrEnum):
    """How often the data promise to be updated."""

    REAL_TIME = "real-time"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    IRREGULAR = "irregular"


NameArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="DEPARTMENT/DATASET, for example ecology/air-quality.")
]


@dataset.command()
def register(
    context: typer.Context,
    name: NameArgument,
    contract: Annotated[
        Path, typer.Option("--contract", exists=True, dir_okay=False, help="ODCS 3.1 document in YAML.")
    ],
    grade: Annotated[Grade, typer.Option("--grade", help="Grade of the whole dataset; fields inherit it.")],
    sharing_class: Annotated[
        SharingClass, typer.Option("--sharing-class", help="How other departments get it.")
    ],
    sharing_condition: Annotated[
        str | None,
        typer.Option("--sharing-condition", help="Who may ask and for what; the law when not shared."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Name shown to people. [default: the document's]")
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="Summary. [default: the document's]")
    ] = None,
    category: Annotated[str | None, typer.Option("--category", help="Class in the directory.")] = None,
    update_cycle: Annotated[
        UpdateCycle | None, typer.Option("--update-cycle", help="How often it promises to be updated.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="SPDX id, for example CC-BY-4.0.")] = None,
    keyword: Annotated[
        list[str] | None, typer.Option("--keyword", help="A word to find it by; may be repeated.")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a dataset with its contract; you confirm grade and sharing class by doing so."""
    here = plaza(context, url, as_json)
    department_id, dataset_id = _parse(name)
    parsed = here.api.post("contracts:parse", {"document": _read_contract(contract)})
    display_name = title or parsed.get("title")
    if not display_name:
        raise WrongUse(f"{contract} does not name the dataset", remedy="Give its name with --title.")
    sharing = {"class": _constant("SHARING_CLASS", sharing_class), "condition": sharing_condition}
    body = {
        "displayName": display_name,
        "description": description or parsed.get("description"),
        "contract": parsed.get("contract"),
        "cityLevel": _constant("CITY_LEVEL", grade),
        "sharing": _without_empty(sharing),
        "category": category,
        "updateCycle": _constant("UPDATE_CYCLE", update_cycle) if update_cycle else None,
        "licence": licence,
        "keywords": keyword,
    }
    made = here.api.post(
        f"departments/{department_id}/datasets", _without_empty(body), {"datasetId": dataset_id}
    )
    if here.out.as_json:
        here.out.document(made)
    else:
        here.out.line(f"Registered {_short(made)}: {made.get('displayName', '')}")


@dataset.command("list")
def list_datasets(
    context: typer.Context,
    department: Annotated[
        str | None, typer.Option("--department", help="Only those of this department.")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets you may see."""
    here = plaza(context, url, as_json)
    parent = _parse_department(department) if department else "-"
    _show_many(here.out, here.api.pages(f"departments/{parent}/datasets", "datasets"))


@dataset.command()
def search(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="All must occur; Chinese or English.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find datasets by words, best first."""
    here = plaza(context, url, as_json)
    parameters = {"query": " ".join(words)}
    _show_many(here.out, here.api.pages("datasets:search", "datasets", parameters, limit))


@dataset.command()
def show(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one dataset: directory fields, state of the data, contract fields."""
    here = plaza(context, url, as_json)
    found = here.api.get(_path(name))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.facts(_facts(found))
    here.out.line("")
    contract = found.get("contract") or {}
    key = contract.get("key") or []
    here.out.table(
        ["field", "type", "required", "key", "unit", "title"],
        (
            (
                one.get("name"),
                _word(one.get("type"), "FIELD_TYPE"),
                bool(one.get("required")),
                one.get("name") in key,
                one.get("unit"),
                one.get("title"),
            )
            for one in contract.get("fields") or []
        ),
    )


@dataset.command()
def versions(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """List the committed versions of the data, newest first."""
    here = plaza(context, url, as_json)
    found = list(here.api.pages(f"{_path(name)}/versions", "versions"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["version", "committed", "rows", "added", "refused", "contract", "score", "light"],
        (
            (
                whole(one, "version"),
                one.get("commitTime"),
                whole(one, "rows"),
                whole(one, "rowsAdded"),
                whole(one, "rowsRefused"),
                whole(one, "contractVersion"),
                one.get("score"),
                _word(one.get("light"), "LIGHT"),
            )
            for one in found
        ),
    )


@dataset.command()
def contract(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Write the contract in force, ODCS 3.1 in YAML, to standard output."""
    here = plaza(context, url, as_json)
    document = here.api.get_bytes(f"{_path(name)}:exportContract")
    if here.out.as_json:
        here.out.document({"document": document.decode("utf-8", "replace")})
    else:
        here.out.raw(document)


def _parse(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise WrongUse(
            f"{name!r} is not the name of a dataset",
            remedy="Write DEPARTMENT/DATASET in lower-case letters, digits and hyphens: ecology/air-quality.",
        )
    return match[1], match[2]


def _parse_department(name: str) -> str:
    match = _DEPARTMENT.fullmatch(name)
    if match is None:
        raise WrongUse(
            f"{name!r} is not the name of a department", remedy="`plaza department list` names them."
        )
    return match[1]


def _path(name: str) -> str:
    department_id, dataset_id = _parse(name)
    return f"departments/{department_id}/datasets/{dataset_id}"


def _read_contract(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > _MAX_CONTRACT_BYTES:
            raise WrongUse(f"{path} has {len(data):,} bytes, a contract at most {_MAX_CONTRACT_BYTES:,}")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(
            f"{path} is not UTF-8 (byte {error.start})", remedy="Save the document as UTF-8."
        ) from error


def _constant(prefix: str, word: str) -> str:
    """`not-shared` → `SHARING_CLASS_NOT_SHARED`: the enum names of the API."""
    return f"{prefix}_{word.upper().replace('-', '_')}"


def _word(constant: object, prefix: str) -> str:
    """The way back; empty for what is not declared."""
    text = str(constant or "").removeprefix(f"{prefix}_").lower().replace("_", "-")
    return "" if text == "unspecified" else text


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value not in (None, "", [])}


def _short(found: dict[str, Any]) -> str:
    match = _NAME.fullmatch(str(found.get("name", "")))
    return f"{match[1]}/{match[2]}" if match else str(found.get("name", ""))


def _show_many(out: Output, found: Iterable[dict[str, Any]]) -> None:
    datasets = list(found)
    if out.as_json:
        out.document(datasets)
        return
    out.table(
        ["dataset", "name", "grade", "sharing", "rows", "score", "light"],
        (
            (
                _short(one),
                one.get("displayName"),
                _word(one.get("cityLevel"), "CITY_LEVEL"),
                _word((one.get("sharing") or {}).get("class"), "SHARING_CLASS"),
                whole(latest, "rows") if latest else None,
                latest.get("score"),
                _word(latest.get("light"), "LIGHT"),
            )
            for one, latest in ((one, one.get("latestVersion") or {}) for one in datasets)
        ),
    )


def _facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    sharing, latest = found.get("sharing") or {}, found.get("latestVersion") or {}
    return [
        ("dataset", _short(found)),
        ("name", found.get("displayName")),
        ("English name", found.get("displayNameEn")),
        ("provider", found.get("provider")),
        ("category", found.get("category")),
        ("code", found.get("code")),
        ("description", found.get("description")),
        ("grade", _word(found.get("cityLevel"), "CITY_LEVEL")),
        ("sharing", _word(sharing.get("class"), "SHARING_CLASS")),
        ("condition", sharing.get("condition")),
        ("update cycle", _word(found.get("updateCycle"), "UPDATE_CYCLE")),
        ("licence", found.get("licence")),
        ("keywords", ", ".join(found.get("keywords") or [])),
        ("published", found.get("publicationDate")),
        ("contract", whole(found, "contractVersion") or None),
        ("version", whole(latest, "version") or None),
        ("rows", whole(latest, "rows") if latest else None),
        ("score", latest.get("score")),
        ("light", _word(latest.get("light"), "LIGHT")),
        ("release", whole(found, "latestRelease") or None),
    ]
