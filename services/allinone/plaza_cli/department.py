"""`plaza department …`: the organisations that own data."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .dataset_history import show_differences
from .failures import WrongUse
from .names import parse_department, word
from .output import Output, moment, whole
from .surroundings import JsonOption, UrlOption, plaza

department = typer.Typer(no_args_is_help=True, help="The departments of the city.", rich_markup_mode=None)
NameArgument = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="Its id, for example ecology.")]


@department.command("list")
def list_departments(
    context: typer.Context,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the departments."""
    here = plaza(context, url, as_json)
    asked = {"showArchived": "true"} if archived else {}
    found = list(here.api.pages("departments", "departments", asked))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["department", "name", "English name", "datasets", "state"],
        (
            (
                _short(one),
                one.get("displayName"),
                one.get("displayNameEn"),
                whole(one, "datasetCount"),
                word(one.get("state"), "DEPARTMENT_STATE"),
            )
            for one in found
        ),
    )


@department.command()
def show(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one department with its history."""
    here = plaza(context, url, as_json)
    path = _path(name)
    found = here.api.get(path)
    history = list(here.api.pages(f"{path}/metadataVersions", "metadataVersions"))
    if here.out.as_json:
        here.out.document({**found, "metadataVersions": history})
        return
    here.out.facts(
        [
            ("department", _short(found)),
            ("name", found.get("displayName")),
            ("English name", found.get("displayNameEn")),
            ("provider code", found.get("providerCode")),
            ("datasets", whole(found, "datasetCount")),
            ("state", word(found.get("state"), "DEPARTMENT_STATE")),
        ]
    )
    for one in history:
        here.out.line("")
        here.out.line(
            f"version {whole(one, 'version')}, {moment(one.get('createTime'))}, {one.get('author') or ''}"
        )
        show_differences(here.out, one)


@department.command()
def update(
    context: typer.Context,
    name: NameArgument,
    title: Annotated[str | None, typer.Option("--title", help="Name shown to people.")] = None,
    title_en: Annotated[str | None, typer.Option("--title-en", help="The same in English.")] = None,
    provider_code: Annotated[
        str | None, typer.Option("--provider-code", help="Its code in the directory.")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what is said about a department. What a Department resource says in a cluster comes back."""
    here = plaza(context, url, as_json)
    path = _path(name)
    said = {"displayName": title, "displayNameEn": title_en, "providerCode": provider_code}
    body: dict[str, Any] = {field: value for field, value in said.items() if value is not None}
    if not body:
        raise WrongUse("nothing to change", remedy="Give --title, --title-en or --provider-code.")
    etag = here.api.get(path).get("etag") or ""
    changed = here.api.patch(path, {**body, "etag": etag}, {"updateMask": ",".join(body)})
    _tell(here.out, changed, f"{_short(changed)} is now called {changed.get('displayName', '')}")


@department.command()
def archive(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Archive a department: what it has stays readable, nothing new is registered."""
    _move(context, name, "archive", url, as_json)


@department.command()
def activate(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Take an archived department into service again."""
    _move(context, name, "activate", url, as_json)


def _move(context: typer.Context, name: str, method: str, url: str | None, as_json: bool) -> None:
    here = plaza(context, url, as_json)
    path = _path(name)
    etag = here.api.get(path).get("etag") or ""
    moved = here.api.post(f"{path}:{method}", {"etag": etag})
    _tell(here.out, moved, f"{_short(moved)} is {word(moved.get('state'), 'DEPARTMENT_STATE')}")


def _tell(out: Output, document: dict[str, Any], line: str) -> None:
    if out.as_json:
        out.document(document)
    else:
        out.line(line)


def _path(text: str) -> str:
    return f"departments/{parse_department(text)}"


def _short(found: dict[str, Any]) -> str:
    return str(found.get("name") or "").removeprefix("departments/")
