"""`plaza source-system …`: where a department's data are born."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

import typer

from .dataset_history import show_differences
from .failures import WrongUse
from .names import DepartmentOption, constant, resolve_department, without_empty, word
from .output import moment, whole
from .surroundings import JsonOption, UrlOption, plaza

source_system = typer.Typer(
    no_args_is_help=True, help="Source systems, where data are born.", rich_markup_mode=None
)
_NAME = re.compile(
    r"(?:departments/)?([a-z][a-z0-9-]{0,62})/(?:sourceSystems/)?([a-z][a-z0-9-]{0,62})", re.ASCII
)
NameArgument = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="DEPARTMENT/SYSTEM, for example ecology/air-stations.")
]


class SystemClass(StrEnum):
    """Who runs it."""

    GOVERNMENT = "government"
    PUBLIC_SERVICE = "public-service"
    COMPANY = "company"
    IOT = "iot"
    INTERNET = "internet"
    CITIZEN = "citizen"


@source_system.command()
def add(
    context: typer.Context,
    name: NameArgument,
    title: Annotated[str, typer.Option("--title", help="Name shown to people.")],
    system_class: Annotated[SystemClass, typer.Option("--class", help="Who runs it.")],
    title_en: Annotated[str | None, typer.Option("--title-en", help="The same in English.")] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="Unit or post that answers for it; no person's name.")
    ] = None,
    vendor: Annotated[str | None, typer.Option("--vendor", help="Who built it.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a source system; datasets of the department can name it then."""
    here = plaza(context, url, as_json)
    department, system = _parse(name)
    body = {
        "displayName": title,
        "displayNameEn": title_en,
        "class": constant("SOURCE_SYSTEM_CLASS", system_class),
        "owner": owner,
        "vendor": vendor,
        "description": description,
    }
    path = f"departments/{department}/sourceSystems"
    made = here.api.post(path, without_empty(body), {"sourceSystemId": system})
    if here.out.as_json:
        here.out.document(made)
    else:
        here.out.line(f"Registered {_short(made)}: {made.get('displayName', '')}")


@source_system.command("list")
def list_systems(
    context: typer.Context,
    department: DepartmentOption = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Those of all departments.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List source systems, retired ones too."""
    here = plaza(context, url, as_json)
    parent = "-" if everywhere else resolve_department(here.api, department)
    found = list(here.api.pages(f"departments/{parent}/sourceSystems", "sourceSystems"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["system", "name", "class", "owner", "state"],
        (
            (
                _short(one),
                one.get("displayName"),
                word(one.get("class"), "SOURCE_SYSTEM_CLASS"),
                one.get("owner"),
                word(one.get("state"), "SOURCE_SYSTEM_STATE"),
            )
            for one in found
        ),
    )


@source_system.command()
def show(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one source system with its history."""
    here = plaza(context, url, as_json)
    path = _path(name)
    found = here.api.get(path)
    history = list(here.api.pages(f"{path}/metadataVersions", "metadataVersions"))
    if here.out.as_json:
        here.out.document({**found, "metadataVersions": history})
        return
    here.out.facts(
        [
            ("system", _short(found)),
            ("name", found.get("displayName")),
            ("English name", found.get("displayNameEn")),
            ("class", word(found.get("class"), "SOURCE_SYSTEM_CLASS")),
            ("owner", found.get("owner")),
            ("vendor", found.get("vendor")),
            ("description", found.get("description")),
            ("state", word(found.get("state"), "SOURCE_SYSTEM_STATE")),
        ]
    )
    for one in history:
        here.out.line("")
        made = f"version {whole(one, 'version')}, {moment(one.get('createTime'))}, {one.get('author') or ''}"
        here.out.line(made)
        show_differences(here.out, one)


@source_system.command()
def retire(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Retire a source system: no other dataset can name it any more. There is no way back."""
    here = plaza(context, url, as_json)
    path = _path(name)
    etag = here.api.get(path).get("etag") or ""
    answer = here.api.post(f"{path}:retire", {"etag": etag})
    if here.out.as_json:
        here.out.document(answer)
    else:
        here.out.line(f"{_short(answer)} is retired")


def _parse(text: str) -> tuple[str, str]:
    match = _NAME.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a source system",
            remedy="Write DEPARTMENT/SYSTEM in lower-case letters, digits and hyphens: ecology/air-stations.",
        )
    return match[1], match[2]


def _path(text: str) -> str:
    department, system = _parse(text)
    return f"departments/{department}/sourceSystems/{system}"


def _short(system: dict[str, Any]) -> str:
    return "/".join(_parse(str(system.get("name") or "")))
