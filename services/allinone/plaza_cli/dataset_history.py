"""`plaza dataset diff`, `plaza dataset restore`: versions of the metadata; in words where one of the data stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .names import DatasetArgument, DatasetName, word
from .output import Output, moment, whole
from .surroundings import JsonOption, UrlOption, plaza


def diff(
    context: typer.Context,
    name: DatasetArgument,
    older: Annotated[
        int | None, typer.Argument(metavar="[A]", min=1, help="Older version. [default: the one before B]")
    ] = None,
    newer: Annotated[
        int | None, typer.Argument(metavar="[B]", min=1, help="Newer version. [default: the newest]")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how two versions of the metadata differ, field by field, the contract's fields too."""
    here = plaza(context, url, as_json)
    chosen = {"fromVersion": older or 0, "toVersion": newer or 0}
    answer = here.api.get(f"{DatasetName.parse(name).path}:diffMetadata", chosen)
    if here.out.as_json:
        here.out.document(answer)
        return
    here.out.note(f"version {whole(answer, 'fromVersion')} → {whole(answer, 'toVersion')}")
    show_differences(here.out, answer)


def show_differences(out: Output, answer: dict[str, Any]) -> None:
    """The `differences` of an answer as a table."""
    found = answer.get("differences") or []
    if not found:
        out.line("no difference")
        return
    out.table(
        ["field", "old", "new"],
        ((one.get("field"), one.get("oldValue"), one.get("newValue")) for one in found),
    )


def version_state(found: dict[str, Any]) -> str:
    """Of a version of the data; of one whose rows cannot be read any more with the day and the rule."""
    state = word(found.get("state"), "VERSION_STATE")
    if state != "expired":
        return state
    return f"expired {moment(found.get('expireTime'))}: {found.get('expireRule') or ''}".removesuffix(": ")


def restore(
    context: typer.Context,
    name: DatasetArgument,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version to bring back.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new version of the metadata with the directory fields of an old one."""
    here = plaza(context, url, as_json)
    path = DatasetName.parse(name).path
    # What a colleague changes between the two calls is not overwritten.
    etag = here.api.get(path).get("etag") or ""
    answer = here.api.post(f"{path}/metadataVersions/{version}:restore", {"etag": etag})
    if here.out.as_json:
        here.out.document(answer)
    else:
        here.out.line(
            f"{name}: version {whole(answer, 'metadataVersion')} of the metadata says what {version} said"
        )
