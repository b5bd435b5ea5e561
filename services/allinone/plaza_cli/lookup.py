"""`plaza whoami`, `plaza department list`."""

from __future__ import annotations

import typer

from .output import whole
from .surroundings import JsonOption, UrlOption, plaza

department = typer.Typer(no_args_is_help=True, help="The departments of the city.", rich_markup_mode=None)


def whoami(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show who you are to this Plaza: departments and roles."""
    here = plaza(context, url, as_json)
    caller = here.api.get("caller")
    if here.out.as_json:
        here.out.document(caller)
        return
    here.out.facts(
        [
            ("name", caller.get("displayName")),
            ("log-in", caller.get("username")),
            ("departments", ", ".join(caller.get("departments") or [])),
            ("roles", ", ".join(caller.get("roles") or [])),
            ("resource", caller.get("name")),
            ("at", here.url),
        ]
    )


@department.command("list")
def list_departments(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List the departments."""
    here = plaza(context, url, as_json)
    found = list(here.api.pages("departments", "departments"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["department", "name", "English name", "datasets"],
        (
            (
                str(one.get("name", "")).removeprefix("departments/"),
                one.get("displayName"),
                one.get("displayNameEn"),
                whole(one, "datasetCount"),
            )
            for one in found
        ),
    )
