"""`plaza run …`: inferences and loads."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .following import check_succeeded, follow, has_ended, state_of
from .names import DatasetName, DepartmentOption, parse_department, parse_run, resolve_department, short, word
from .output import Output, moment, whole
from .surroundings import JsonOption, UrlOption, plaza

run = typer.Typer(no_args_is_help=True, help="Runs: inferences and loads.", rich_markup_mode=None)


@run.command("list")
def list_runs(
    context: typer.Context,
    department: DepartmentOption = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only those of this dataset.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    here = plaza(context, url, as_json)
    wanted = DatasetName.parse(dataset) if dataset else None
    if wanted and not department:
        department = wanted.department
    parent = parse_department(department) if department else resolve_department(here.api, None)
    parameters: dict[str, str | int] = {"pageSize": min(limit, 1000)}
    if wanted:
        parameters["dataset"] = wanted.path
    found = list(here.api.pages(f"departments/{parent}/runs", "runs", parameters, limit))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["run", "kind", "state", "dataset", "file", "accepted", "refused", "version", "started"],
        (
            (
                short(one.get("name")),
                word(one.get("kind"), "RUN_KIND"),
                state_of(one),
                short(one.get("dataset")),
                one.get("fileName"),
                whole(one.get("progress") or {}, "rowsAccepted"),
                whole(one.get("progress") or {}, "rowsRefused"),
                whole(one, "version") or None,
                moment(one.get("createTime")),
            )
            for one in found
        ),
    )


@run.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="DEPARTMENT/ID, or the full name.")],
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it has ended.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run. With --wait, a run that does not succeed ends with exit code 1."""
    here = plaza(context, url, as_json)
    path = parse_run(name)
    found = here.api.get(path)
    if wait and not has_ended(found):
        found = follow(here, path)
    if here.out.as_json:
        here.out.document(found)
    else:
        show_run(here.out, found)
    if wait:
        check_succeeded(found)


def show_run(out: Output, found: dict[str, Any]) -> None:
    """One run for a person."""
    progress, error = found.get("progress") or {}, found.get("error") or {}
    ended = has_ended(found)
    out.facts(
        [
            ("run", short(found.get("name"))),
            ("kind", word(found.get("kind"), "RUN_KIND")),
            ("state", state_of(found)),
            ("dataset", short(found.get("dataset"))),
            ("file", found.get("fileName")),
            ("started by", found.get("startedBy")),
            ("started", moment(found.get("createTime"))),
            ("ended", moment(found.get("endTime"))),
            ("attempts", whole(found, "attempts") or None),
            ("bytes", None if ended else _of(progress, "bytesDone", "bytesTotal")),
            ("rows read", whole(progress, "rowsRead")),
            ("rows accepted", whole(progress, "rowsAccepted")),
            ("rows refused", refusals(found)),
            ("version", whole(found, "version") or None),
            ("error", error.get("message")),
            ("remedy", error.get("remedy")),
            *(("warning", warning) for warning in found.get("warnings") or []),
        ]
    )


def refusals(found: dict[str, Any]) -> str:
    """`20 (ragged 3, type 17)`: the refused rows of a run, with their reasons."""
    reasons = found.get("refusedByReason") or {}
    parts = ", ".join(f"{reason} {whole(reasons, reason):,}" for reason in sorted(reasons))
    total = f"{whole(found.get('progress') or {}, 'rowsRefused'):,}"
    return f"{total} ({parts})" if parts else total


def _of(progress: dict[str, Any], done: str, total: str) -> str:
    return f"{whole(progress, done):,} of {whole(progress, total):,}"
