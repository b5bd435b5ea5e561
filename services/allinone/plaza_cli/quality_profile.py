"""`plaza quality profile`: what the rows of a version look like."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .failures import Refused, WrongUse
from .names import DatasetName, word
from .output import whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza

VersionedArgument = Annotated[
    str,
    typer.Argument(metavar="DATASET[@VERSION]", help="DEPARTMENT/DATASET; without @VERSION the newest."),
]
_PATIENCE = 600.0
"""Seconds to wait for a profile."""


def profile(
    context: typer.Context, dataset: VersionedArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show a version's profile; it is made when there is none yet.

    Only columns whose rows you may read for your own department are shown.
    """
    here = plaza(context, url, as_json)
    name, version = versioned(here, dataset)
    found = made(here, name, version)
    if here.out.as_json:
        here.out.document(found)
        return
    rows, sampled = whole(found, "rows"), whole(found, "sampledRows")
    here.out.facts(
        [
            ("dataset", str(name)),
            ("version", version),
            ("rows", f"{rows:,}"),
            ("sample", f"{sampled:,} rows (quantiles, shapes)" if sampled < rows else ""),
            ("keys", "; ".join(_key(each) for each in found.get("keys", []))),
            ("dependencies", "; ".join(_says(each) for each in found.get("dependencies", []))),
        ]
    )
    here.out.line("")
    here.out.table(
        ["field", "type", "none", "empty", "different", "least", "median", "greatest", "frequent", "like"],
        (_row(column) for column in found.get("columns", [])),
    )


def versioned(here: Plaza, text: str) -> tuple[DatasetName, int]:
    """`ecology/air@3`, or the newest version. Raises `WrongUse`, `Refused`."""
    dataset, mark, number = text.partition("@")
    name = DatasetName.parse(dataset)
    if not mark:
        newest = here.api.get(name.path).get("latestVersion") or {}
        number = str(newest.get("version") or "")
        if not number:
            raise Refused(f"{name} has no version", remedy="Load a file (plaza ingest).")
    if not (number.isascii() and number.isdigit()) or int(number) < 1:
        raise WrongUse(f"{number!r} is not the number of a version", remedy="Write DEPARTMENT/DATASET@3.")
    return name, int(number)


def made(here: Plaza, name: DatasetName, version: int) -> dict[str, Any]:
    """The profile, waited for. Raises `Refused`."""
    parent = f"{name.path}/versions/{version}"
    found = here.api.post(f"{parent}/profile", {})
    deadline = here.surroundings.now() + _PATIENCE
    while found.get("state") == "PROFILE_STATE_QUEUED":
        if here.surroundings.now() > deadline:
            raise Refused("the profile is still being made", remedy="Ask again later.")
        here.surroundings.sleep(0.5)
        found = here.api.get(f"{parent}/profile")
    if found.get("state") == "PROFILE_STATE_FAILED":
        raise Refused(f"the profile cannot be made: {found.get('error')}", remedy="Name another version.")
    return found


def _key(key: dict[str, Any]) -> str:
    repeated = whole(key, "repeatedRows")
    return ", ".join(key.get("fields", [])) + (f" ({repeated:,} repeated)" if repeated else "")


def _says(dependency: dict[str, Any]) -> str:
    arrow = "→" if dependency.get("exact") else "~"
    return f"{dependency.get('determinant')} {arrow} {dependency.get('dependent')}"


def _row(column: dict[str, Any]) -> tuple[object, ...]:
    median = next((each.get("value") for each in column.get("quantiles", []) if each.get("share") == 0.5), "")
    about = "" if column.get("distinctExact") else "~"
    frequent = ", ".join(
        f"{each.get('value', '')} ({whole(each, 'rows'):,})" for each in column.get("topValues", [])[:3]
    )
    like = [
        *(word(each.get("format"), "TEXT_FORMAT") for each in column.get("formats", [])[:1]),
        *(str(each.get("codeList")) for each in column.get("codeLists", [])[:1]),
        *(str(each.get("value", "")) for each in column.get("shapes", [])[:2]),
    ]
    return (
        column.get("field"),
        word(column.get("type"), "FIELD_TYPE"),
        whole(column, "nulls"),
        whole(column, "emptyTexts"),
        f"{about}{whole(column, 'distinct'):,}",
        column.get("minimum", ""),
        median,
        column.get("maximum", ""),
        frequent,
        ", ".join(like),
    )
