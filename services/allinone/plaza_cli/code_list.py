"""`plaza code-list …`: the codes that fields hold."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from .failures import WrongUse
from .names import without_empty
from .output import moment, whole
from .surroundings import JsonOption, UrlOption, plaza

code_list = typer.Typer(
    no_args_is_help=True, help="Code lists: the codes that fields hold.", rich_markup_mode=None
)
_NAME = re.compile(
    r"(?:codeLists/)?([a-z][a-z0-9-]{0,62})(?:(?:@|/versions/)([A-Za-z0-9][A-Za-z0-9._-]{0,62}))?", re.ASCII
)
ListArgument = Annotated[
    str, typer.Argument(metavar="LIST", help="LIST or LIST@VERSION, for example gb-t-3304@1991.")
]


@code_list.command("list")
def list_lists(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List the code lists."""
    here = plaza(context, url, as_json)
    found = list(here.api.pages("codeLists", "codeLists"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["list", "newest", "standard", "codes", "name", "English name"],
        (
            (
                str(one.get("name", "")).removeprefix("codeLists/"),
                _version(latest.get("name")),
                latest.get("standard"),
                whole(latest, "codeCount"),
                latest.get("displayName"),
                latest.get("displayNameEn"),
            )
            for one, latest in ((one, one.get("latestVersion") or {}) for one in found)
        ),
    )


@code_list.command()
def show(
    context: typer.Context, name: ListArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show what a code list is, where it comes from and which versions it has."""
    here = plaza(context, url, as_json)
    path = _path(name)
    versions = list(here.api.pages(f"{path.partition('/versions/')[0]}/versions", "versions"))
    found = here.api.get(path) if "/versions/" in path else versions[0]
    if here.out.as_json:
        here.out.document({**found, "versions": [one.get("name") for one in versions]})
        return
    here.out.facts(
        [
            ("version", found.get("name")),
            ("name", found.get("displayName")),
            ("English name", found.get("displayNameEn")),
            ("standard", found.get("standard")),
            ("edition", found.get("edition")),
            ("description", found.get("description")),
            ("source", found.get("source")),
            ("licence", found.get("licence")),
            ("codes", whole(found, "codeCount")),
            ("SHA-256", found.get("sha256")),
            ("made by", "shipped with Plaza" if found.get("shipped") else found.get("author")),
            ("made", moment(found.get("createTime"))),
            ("all versions", ", ".join(_version(one.get("name")) for one in versions)),
        ]
    )


@code_list.command()
def codes(
    context: typer.Context,
    name: ListArgument,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="All must occur in code or names.")
    ] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Only codes that begin with this.")] = None,
    below: Annotated[str | None, typer.Option("--below", help="Only codes directly below this one.")] = None,
    current: Annotated[bool, typer.Option("--current", help="Only codes that are valid today.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the codes of a list, the newest version when none is named."""
    here = plaza(context, url, as_json)
    asked = {
        "codePrefix": prefix,
        "parentCode": below,
        "query": " ".join(words or []),
        "currentOnly": "true" if current else None,
        "pageSize": min(limit or 1000, 1000),
    }
    found = list(here.api.pages(f"{_path(name)}/codes", "codes", without_empty(asked), limit))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["code", "name", "English name", "below", "from", "to"],
        (
            tuple(one.get(key) for key in ("code", "name", "nameEn", "parent", "validFrom", "validTo"))
            for one in found
        ),
    )


def _path(text: str) -> str:
    match = _NAME.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a code list",
            remedy="Write LIST or LIST@VERSION as `plaza code-list list` shows them.",
        )
    return f"codeLists/{match[1]}/versions/{match[2]}" if match[2] else f"codeLists/{match[1]}"


def _version(name: object) -> str:
    return str(name or "").rpartition("/")[2]
