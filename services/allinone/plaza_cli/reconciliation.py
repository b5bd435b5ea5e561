"""`plaza quality reconcile …`: two datasets compared by key and field by field."""

from __future__ import annotations

import re
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .failures import Refused, RunFailed, WrongUse
from .files import copy, refuse_existing, whole_file
from .names import DatasetName, DepartmentOption, resolve_department, short, without_empty, word
from .output import Output, count, moment, whole
from .reconciliation_pairs import column_pairs
from .surroundings import JsonOption, Plaza, UrlOption, plaza

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(
    rf"(?:departments/)?([a-z][a-z0-9-]{{0,62}})/(?:reconciliations/)?({_ID})(?:/(?:runs/)?([1-9][0-9]{{0,8}}))?",
    re.ASCII,
)
_VERSIONED = re.compile(r"(.+)@([1-9][0-9]{0,8})", re.ASCII)
_ENDED = frozenset({"succeeded", "failed"})
_LONGEST_PAUSE_SECONDS = 2.0


class ReconcileGroup(TyperGroup):
    """`reconcile LEFT RIGHT` beside `reconcile show`: what is no command's name is what is to be compared."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["start", *args]
        return super().parse_args(ctx, args)


reconcile = typer.Typer(
    cls=ReconcileGroup,
    no_args_is_help=True,
    help="Compare two datasets: LEFT RIGHT --key A=B --field X=Y. See `reconcile start --help`.",
    rich_markup_mode=None,
)
NameArgument = Annotated[
    str,
    typer.Argument(metavar="RECONCILIATION", help="DEPARTMENT/ID, as `list` shows it; /N: its run N."),
]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only of this kind: differing, only-left, repeated-right, …")
]
FieldOption = Annotated[
    str | None, typer.Option("--field", help="Only where this field differs, by its left name.")
]


class Side(StrEnum):
    """Whose values are right."""

    LEFT = "left"
    RIGHT = "right"


class Form(StrEnum):
    """How differences are written."""

    CSV = "csv"
    XLSX = "xlsx"


@reconcile.command()
def start(
    context: typer.Context,
    left: Annotated[str, typer.Argument(metavar="LEFT", help="DEPARTMENT/DATASET[@VERSION] of yours.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="DEPARTMENT/DATASET[@VERSION].")],
    key: Annotated[
        list[str], typer.Option("--key", help="A=B: rows are the same by these; more by more --key.")
    ],
    field: Annotated[
        list[str],
        typer.Option("--field", help="X=Y[~TOLERANCE]: compare these; ~0.01, ~1%, ~30s, ~8h, ~2d."),
    ],
    fold: Annotated[
        list[str] | None, typer.Option("--fold", help="X=case,width,blanks: differences that are none.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--map", help="X=1:男,2:女 or X=codeLists/sex: what left values stand for."),
    ] = None,
    authoritative: Annotated[
        Side | None,
        typer.Option("--authoritative", help="Whose values are right: tells the other's accuracy."),
    ] = None,
    agreement: Annotated[
        str | None, typer.Option("--agreement", help="Under which RIGHT is read. [default: the one in force]")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="What people read.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended, and show what it found.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two datasets, or two versions of one, by key and field by field."""
    here = plaza(context, url, as_json)
    keys, fields = column_pairs(key, field, fold or [], values or [])
    one, other = _side(left), _side(right)
    department = DatasetName.parse(one["dataset"]).department
    if DatasetName.parse(other["dataset"]).department != department:
        other["agreement"] = agreement or _agreement(here, other["dataset"], department)
    body = {
        "title": title,
        "left": one,
        "right": other,
        "key": keys,
        "fields": fields,
        "authority": f"AUTHORITY_{authoritative.upper()}" if authoritative else None,
    }
    path = f"departments/{department}/reconciliations"
    made = here.api.post(path, without_empty(body), {"requestId": str(uuid.uuid4())})
    run = here.api.post(f"{made['name']}:run", {"requestId": str(uuid.uuid4())})
    if wait:
        run = _wait(here, str(run["name"]))
    _show_run(here.out, run)


@reconcile.command("list")
def list_all(
    context: typer.Context,
    department: DepartmentOption = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a department's reconciliations, newest first."""
    here = plaza(context, url, as_json)
    path = f"departments/{resolve_department(here.api, department)}/reconciliations"
    found = list(here.api.pages(path, "reconciliations", {"showArchived": "true"} if archived else None))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["reconciliation", "title", "left", "right", "newest run", "agreed", "accuracy"],
        (_row(one) for one in found),
    )


@reconcile.command()
def show(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show what a run found, the newest one unless it is named."""
    here = plaza(context, url, as_json)
    _show_run(here.out, here.api.get(_run(here, name)))


@reconcile.command()
def run(
    context: typer.Context,
    name: NameArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended, and show what it found.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare once more, with the versions of now."""
    here = plaza(context, url, as_json)
    department, id_, _ = _parse(name)
    path = f"departments/{department}/reconciliations/{id_}:run"
    started = here.api.post(path, {"requestId": str(uuid.uuid4())})
    _show_run(here.out, _wait(here, str(started["name"])) if wait else started)


@reconcile.command()
def archive(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Take one out of the list; what it found stays readable."""
    here = plaza(context, url, as_json)
    department, id_, _ = _parse(name)
    done = here.api.post(f"departments/{department}/reconciliations/{id_}:archive", {})
    if here.out.as_json:
        here.out.document(done)
    else:
        here.out.line(f"{department}/{id_} is archived")


@reconcile.command()
def differences(
    context: typer.Context,
    name: NameArgument,
    kind: KindOption = None,
    field: FieldOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List differences with both values and what explains them, as far as you may read both sides."""
    here = plaza(context, url, as_json)
    asked = {"pageSize": min(limit, 1000), **_narrowed(kind, field)}
    path = f"{_run(here, name)}/differences"
    found = list(here.api.pages(path, "differences", asked, limit=limit))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["number", "kind", "key", "field", "left", "right", "rule", "hints"],
        (row for one in found for row in _difference(one)),
    )


@reconcile.command()
def export(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", help="Write the differences here.")],
    kind: KindOption = None,
    field: FieldOption = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="How they are written. [default: as the file is named]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all differences to a file, one line for each field that differs."""
    here = plaza(context, url, as_json)
    refuse_existing(output, force)
    chosen = form or (Form.XLSX if output.suffix.lower() == ".xlsx" else Form.CSV)
    path = f"{_run(here, name)}/differences:export"
    asked = {"format": chosen.value, **_narrowed(kind, field)}
    with whole_file(output) as stream:
        size = copy(here.api, path, asked, stream.write, "the differences")
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size})
    else:
        here.out.line(f"{output}: {count(size, 'byte')}")


def _side(text: str) -> dict[str, Any]:
    match = _VERSIONED.fullmatch(text)
    name = DatasetName.parse(match[1] if match else text)
    return {"dataset": name.path, **({"version": int(match[2])} if match else {})}


def _agreement(here: Plaza, dataset: str, department: str) -> str:
    for one in here.api.pages("agreements", "agreements"):
        in_force = word(one.get("state"), "AGREEMENT_STATE") == "in-force"
        if in_force and one.get("dataset") == dataset and one.get("consumer") == f"departments/{department}":
            return str(one["name"])
    raise Refused(
        f"no agreement lets {department} read {short(dataset)}",
        remedy=f"Where its class allows it, reading makes one: plaza rows {short(dataset)}.",
    )


def _wait(here: Plaza, name: str) -> dict[str, Any]:
    pause = 0.2
    while True:
        found = here.api.get(name)
        if _state(found) in _ENDED:
            return found
        here.surroundings.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _run(here: Plaza, text: str) -> str:
    """The named run, else the newest."""
    department, id_, number = _parse(text)
    path = f"departments/{department}/reconciliations/{id_}"
    if number:
        return f"{path}/runs/{number}"
    newest = here.api.get(path).get("latestRun") or {}
    if not newest:
        raise Refused(
            f"{department}/{id_} was never run", remedy=f"plaza quality reconcile run {department}/{id_}"
        )
    return str(newest["name"])


def _parse(text: str) -> tuple[str, str, str | None]:
    match = _NAME.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a reconciliation",
            remedy="Write DEPARTMENT/ID as `plaza quality reconcile list` shows it.",
        )
    return match[1], match[2], match[3]


def _narrowed(kind: str | None, field: str | None) -> dict[str, Any]:
    named = f"DIFFERENCE_KIND_{kind.upper().replace('-', '_')}" if kind else None
    return without_empty({"kind": named, "field": field})


def _state(run: dict[str, Any]) -> str:
    return word(run.get("state"), "RECONCILIATION_STATE")


def _shown(name: object) -> str:
    department, id_, number = _parse(str(name))
    return f"{department}/{id_}" + (f"/{number}" if number else "")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    newest = one.get("latestRun") or {}
    result = newest.get("result") or {}
    return (
        _shown(one.get("name")),
        one.get("title"),
        short(one["left"]["dataset"]),
        short(one["right"]["dataset"]),
        _state(newest) if newest else "",
        whole(result, "agreed") if result else "",
        _percent(result.get("accuracy")),
    )


def _show_run(out: Output, run: dict[str, Any]) -> None:
    """Raises `RunFailed` for one that failed."""
    if out.as_json:
        out.document(run)
    else:
        _tell(out, run)
    if _state(run) == "failed":
        raise RunFailed(f"{_shown(run.get('name'))} failed: {run.get('error')}")


def _tell(out: Output, run: dict[str, Any]) -> None:
    result = run.get("result") or {}
    out.facts(
        [
            ("run", _shown(run.get("name"))),
            ("state", _state(run)),
            ("versions", f"{whole(run, 'leftVersion')} and {whole(run, 'rightVersion')}"),
            ("ended", moment(run.get("endTime"))),
            ("agreed", f"{whole(result, 'agreed'):,}" if result else ""),
            ("accuracy", _percent(result.get("accuracy"))),
            *(
                (word(one.get("kind"), "DIFFERENCE_KIND"), f"{whole(one, 'count'):,}")
                for one in result.get("differences", [])
            ),
        ]
    )
    if not result:
        return
    out.line("")
    out.table(
        ["left", "right", "agreed", "differing", "left absent", "right absent", "agreement"],
        (
            (
                one.get("left"),
                one.get("right"),
                *(whole(one, name) for name in ("agreed", "differing", "leftAbsent", "rightAbsent")),
                _percent(one.get("agreement")),
            )
            for one in result.get("fields", [])
        ),
    )
    for one in result.get("patterns", []):
        constant = f" {one['constant']:g}" if "constant" in one else ""
        other = f" with {one['otherLeft']}" if one.get("otherLeft") else ""
        kind = word(one.get("kind"), "PATTERN_KIND")
        out.line(f"{one.get('left')}: {kind}{constant}{other} in {count(whole(one, 'count'), 'row')}")


def _difference(one: dict[str, Any]) -> list[tuple[object, ...]]:
    start = (whole(one, "number"), word(one.get("kind"), "DIFFERENCE_KIND"), " ".join(one.get("key") or []))
    rows: list[tuple[object, ...]] = [
        (
            *start,
            field.get("left"),
            field.get("leftValue"),
            field.get("rightValue"),
            field.get("rule"),
            " ".join(word(hint, "PATTERN_KIND") for hint in field.get("hints", [])),
        )
        for field in one.get("fields", [])
    ]
    return rows or [(*start, "", "", "", "", "")]


def _percent(value: object) -> str:
    return "" if value is None else f"{value} %"
