"""`plaza dataset …`: the directory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from .dataset_adopt import adopt
from .dataset_history import diff, restore, version_state
from .dataset_infer import infer
from .dataset_register import register
from .names import DatasetArgument, DatasetName, parse_department, short, word
from .output import Output, moment, score, whole
from .surroundings import JsonOption, UrlOption, plaza

dataset = typer.Typer(
    no_args_is_help=True, help="Datasets: infer, register, find, look at.", rich_markup_mode=None
)
dataset.command()(infer)
dataset.command()(register)
dataset.command()(adopt)
dataset.command()(diff)
dataset.command()(restore)


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
    parent = parse_department(department) if department else "-"
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
    context: typer.Context, name: DatasetArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one dataset: directory fields, state of the data, contract fields."""
    here = plaza(context, url, as_json)
    found = here.api.get(DatasetName.parse(name).path)
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
                word(one.get("type"), "FIELD_TYPE"),
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
    context: typer.Context, name: DatasetArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """List the committed versions of the data, newest first."""
    here = plaza(context, url, as_json)
    found = list(here.api.pages(f"{DatasetName.parse(name).path}/versions", "versions"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["version", "committed", "rows", "added", "refused", "contract", "score", "light", "state"],
        (
            (
                whole(one, "version"),
                moment(one.get("commitTime")),
                whole(one, "rows"),
                whole(one, "rowsAdded"),
                whole(one, "rowsRefused"),
                whole(one, "contractVersion"),
                score(one),
                word(one.get("light"), "LIGHT"),
                version_state(one),
            )
            for one in found
        ),
    )


@dataset.command()
def contract(
    context: typer.Context, name: DatasetArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Write the contract in force, ODCS 3.1 in YAML, to standard output."""
    here = plaza(context, url, as_json)
    document = here.api.get_bytes(f"{DatasetName.parse(name).path}:exportContract")
    if here.out.as_json:
        here.out.document({"document": document.decode("utf-8", "replace")})
    else:
        here.out.raw(document)


def _show_many(out: Output, found: Iterable[dict[str, Any]]) -> None:
    datasets = list(found)
    if out.as_json:
        out.document(datasets)
        return
    out.table(
        ["dataset", "name", "grade", "sharing", "rows", "score", "light"],
        (
            (
                short(one.get("name")),
                one.get("displayName"),
                word(one.get("cityLevel"), "CITY_LEVEL"),
                word((one.get("sharing") or {}).get("class"), "SHARING_CLASS"),
                whole(latest, "rows") if latest else None,
                score(latest),
                word(latest.get("light"), "LIGHT"),
            )
            for one, latest in ((one, one.get("latestVersion") or {}) for one in datasets)
        ),
    )


def _facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    sharing, latest = found.get("sharing") or {}, found.get("latestVersion") or {}
    return [
        ("dataset", short(found.get("name"))),
        ("name", found.get("displayName")),
        ("English name", found.get("displayNameEn")),
        ("provider", found.get("provider")),
        ("category", found.get("category")),
        ("source system", found.get("sourceSystemTitle")),
        ("code", found.get("code")),
        ("description", found.get("description")),
        ("grade", word(found.get("cityLevel"), "CITY_LEVEL")),
        ("sharing", word(sharing.get("class"), "SHARING_CLASS")),
        ("condition", sharing.get("condition")),
        ("update cycle", word(found.get("updateCycle"), "UPDATE_CYCLE")),
        ("licence", found.get("licence")),
        ("keywords", ", ".join(found.get("keywords") or [])),
        ("published", found.get("publicationDate")),
        ("contract", whole(found, "contractVersion") or None),
        ("version", whole(latest, "version") or None),
        ("rows", whole(latest, "rows") if latest else None),
        ("score", score(latest)),
        ("light", word(latest.get("light"), "LIGHT")),
        ("release", whole(found, "latestRelease") or None),
    ]
