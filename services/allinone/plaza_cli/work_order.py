"""`plaza work-order …`: what must be repaired, until when, and what was done about it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import Refused, WrongUse
from .files import copy, whole_file
from .ingest import Loaded, load_file, tell
from .names import DatasetName, DepartmentOption, resolve_department, short, without_empty, word
from .output import count, moment, whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza

work_order = typer.Typer(
    no_args_is_help=True, help="Work orders: quality that must be repaired.", rich_markup_mode=None
)
_NAME = re.compile(
    r"(?:departments/)?([a-z][a-z0-9-]{0,62})/(?:workOrders/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.ASCII,
)
NameArgument = Annotated[
    str, typer.Argument(metavar="ORDER", help="DEPARTMENT/ID, as `plaza work-order list` shows it.")
]
TextArgument = Annotated[str, typer.Argument(metavar="TEXT", help="What colleagues should know.")]


@work_order.command("list")
def list_orders(
    context: typer.Context,
    department: DepartmentOption = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Those of all departments that you may see.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only of this one: DEPARTMENT/DATASET.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List work orders, the one that is due first, first."""
    here = plaza(context, url, as_json)
    parent = "-" if everywhere else resolve_department(here.api, department)
    query = {
        "dataset": DatasetName.parse(dataset).path if dataset else None,
        "showClosed": "true" if closed else None,
    }
    found = list(here.api.pages(f"departments/{parent}/workOrders", "workOrders", without_empty(query)))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["due", "dataset", "dimension", "score", "target", "state", "who", "work order"],
        (
            (
                _due(one),
                short(one.get("dataset")),
                word(one.get("dimension"), "DIMENSION"),
                one.get("score", 0.0),
                one.get("target", 0.0),
                word(one.get("state"), "WORK_ORDER_STATE"),
                one.get("assignee"),
                _short(one),
            )
            for one in found
        ),
    )


@work_order.command()
def show(
    context: typer.Context,
    name: NameArgument,
    rows: Annotated[int, typer.Option("--rows", min=0, max=1000, help="So many failing rows.")] = 10,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one with the rules that fail, the first rows that break them, and everything that happened.

    Rows are shown to whoever may read the dataset.
    """
    here = plaza(context, url, as_json)
    found = here.api.get(_path(name))
    failing = _rows(here, name, rows) if rows else {}
    if here.out.as_json:
        here.out.document(found | ({"failingRows": failing} if failing else {}))
        return
    here.out.facts(
        [
            ("work order", _short(found)),
            ("dataset", short(found.get("dataset"))),
            ("dimension", word(found.get("dimension"), "DIMENSION")),
            ("state", word(found.get("state"), "WORK_ORDER_STATE")),
            (
                "score",
                f"{found.get('score', 0)} of {found.get('target', 0)} (version {found.get('judgedVersion')})",
            ),
            ("due", _due(found)),
            ("who", found.get("assignee")),
        ]
    )
    here.out.line("")
    here.out.table(
        ["rule", "title", "failed", "of", "pass rate", "threshold"],
        (
            (
                rule.get("id"),
                rule.get("title"),
                whole(rule, "failed"),
                whole(rule, "judged"),
                rule.get("passRate", 0.0),
                rule.get("threshold", 0.0),
            )
            for rule in found.get("failedRules", [])
        ),
    )
    if failing:
        here.out.line("")
        here.out.table(
            [*failing.get("columns", []), "breaks"],
            (
                [*map(_cell, row.get("values", [])), ", ".join(row.get("rules", []))]
                for row in failing.get("rows", [])
            ),
        )
        if failing.get("nextPageToken"):
            here.out.note(f"There are more: --rows N, or all of them: plaza work-order patch {name} -o FILE")
    here.out.line("")
    for entry in found.get("history", []):
        here.out.line(_happened(entry))


@work_order.command()
def accept(
    context: typer.Context, name: NameArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Take it: you see to it."""
    _do(context, name, "accept", {}, url, as_json)


@work_order.command()
def resolve(
    context: typer.Context,
    name: NameArgument,
    text: TextArgument,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what was done. The next version that is loaded shows whether it helped."""
    _do(context, name, "answer", {"text": text}, url, as_json)


@work_order.command()
def comment(
    context: typer.Context,
    name: NameArgument,
    text: TextArgument,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a remark to its history."""
    _do(context, name, "comment", {"text": text, "requestId": str(uuid.uuid4())}, url, as_json)


@work_order.command()
def patch(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write the file here.")],
    english: Annotated[
        bool, typer.Option("--english", help="Reasons in English. [default: Chinese]")
    ] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the failing rows as a file of the source's own: its encoding, delimiter and columns.

    Correct the cells, keep plaza_row and the key as they are, and hand it back: plaza work-order correct.
    """
    here = plaza(context, url, as_json)
    language = "LANGUAGE_EN" if english else "LANGUAGE_ZH"
    with whole_file(output) as stream:
        size = copy(
            here.api,
            f"{_path(name)}:correctionFile",
            {"language": language},
            stream.write,
            "the correction file",
        )
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size})
    else:
        here.out.line(f"{output}: {count(size, 'byte')} of failing rows")


@work_order.command()
def correct(
    context: typer.Context,
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `patch` gave it, corrected.")],
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it has ended.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load corrected rows in the places of those that they were made of. The assessment that follows closes the work
    order, or opens it again."""
    here = plaza(context, url, as_json)
    path = _path(name)
    dataset = DatasetName.parse(str(here.api.get(path).get("dataset")))
    loaded = Loaded(file, work_order=path)
    load_file(here, dataset, loaded, {}, wait=wait)
    if here.out.as_json:
        here.out.document(loaded.document())
    else:
        tell(here.out, loaded, several=False)


def _rows(here: Plaza, name: str, most: int) -> dict[str, Any]:
    """The first failing rows; for those who may not read them, the reason instead."""
    try:
        return here.api.get(f"{_path(name)}/rows", {"pageSize": most})
    except Refused as refusal:
        here.out.note(f"no rows: {refusal.message}")
        return {}


def _cell(value: object) -> object:
    """As a text: data are shown digit by digit, not as our own numbers are."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _do(
    context: typer.Context,
    name: str,
    action: str,
    body: dict[str, str],
    url: str | None,
    as_json: bool,
) -> None:
    here = plaza(context, url, as_json)
    answer = here.api.post(f"{_path(name)}:{action}", body)
    if here.out.as_json:
        here.out.document(answer)
    else:
        here.out.line(f"{_short(answer)} is {word(answer.get('state'), 'WORK_ORDER_STATE')}")


def _due(order: dict[str, Any]) -> str:
    marks = [
        text for flag, text in (("overdue", "overdue"), ("dueProvisional", "provisional")) if order.get(flag)
    ]
    day = str(order.get("dueDate") or "")
    return f"{day} ({', '.join(marks)})" if marks else day


def _happened(entry: dict[str, Any]) -> str:
    parts = [
        moment(entry.get("time")),
        word(entry.get("state"), "WORK_ORDER_STATE"),
        entry.get("username") or "",
        f"version {entry['version']}" if entry.get("version") else "",
        f"score {entry['score']}" if "score" in entry else "",
        entry.get("text") or "",
    ]
    return "  ".join(part for part in parts if part)


def _parse(text: str) -> tuple[str, str]:
    match = _NAME.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a work order",
            remedy="Write DEPARTMENT/ID as `plaza work-order list` shows it.",
        )
    return match[1], match[2]


def _path(text: str) -> str:
    department, order = _parse(text)
    return f"departments/{department}/workOrders/{order}"


def _short(order: dict[str, Any]) -> str:
    return "/".join(_parse(str(order.get("name") or "")))
