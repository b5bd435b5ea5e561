"""`plaza quality …`: what the rules say about a dataset, and how departments stand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .failures import Refused
from .names import DatasetName, word
from .output import moment, whole
from .surroundings import JsonOption, UrlOption, plaza

quality = typer.Typer(no_args_is_help=True, help="Quality: rules, scores and lights.", rich_markup_mode=None)
DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="DEPARTMENT/DATASET.")]


@quality.command()
def show(
    context: typer.Context,
    dataset: DatasetArgument,
    version: Annotated[int | None, typer.Option("--version", help="This one instead of the newest.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a version's assessment: score, dimensions, and the counts of every rule."""
    here = plaza(context, url, as_json)
    name = DatasetName.parse(dataset)
    if version is None:
        found = next(here.api.pages(f"{name.path}/assessments", "assessments", limit=1), None)
        if found is None:
            raise Refused(
                f"{name} has no assessed version", remedy="Load a file (plaza ingest), or wait some seconds."
            )
    else:
        found = here.api.get(f"{name.path}/versions/{version}/assessment")
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.facts(
        [
            ("dataset", str(name)),
            ("version", whole(found, "version")),
            ("assessed", moment(found.get("createTime"))),
            ("rows", f"{whole(found, 'rows'):,}"),
            ("score", found.get("score")),
            ("light", word(found.get("light"), "LIGHT")),
            ("rows without failure", _percent(found.get("rowPassRate"))),
            *(
                (word(one.get("dimension"), "DIMENSION"), one.get("score", 0))
                for one in found.get("dimensions", [])
            ),
        ]
    )
    here.out.line("")
    here.out.table(
        ["rule", "title", "passed", "failed", "n/a", "pass rate", "needs", ""],
        (_row(result) for result in found.get("rules", [])),
    )


@quality.command()
def scores(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show the city's score and every department's, with their work orders."""
    here = plaza(context, url, as_json)
    found = here.api.get("scores")
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["department", "score", "light", "datasets", "green", "yellow", "red", "work orders", "overdue"],
        (
            _standing("city" if position == 0 else str(one.get("name")).split("/")[1], one)
            for position, one in enumerate([found.get("city") or {}, *found.get("scores", [])])
        ),
    )


def _row(result: dict[str, Any]) -> tuple[object, ...]:
    rule = result.get("rule") or {}
    reason = result.get("reason") or ""
    if absent := result.get("absentFields"):
        reason = f"no field {', '.join(absent)}"
    return (
        rule.get("id"),
        rule.get("title"),
        whole(result, "passed"),
        whole(result, "failed"),
        whole(result, "notApplicable"),
        result.get("passRate", ""),
        rule.get("thresholdPercent", 0),
        reason or ("" if result.get("met") else "not met"),
    )


def _standing(who: str, score: dict[str, Any]) -> tuple[object, ...]:
    return (
        who,
        score.get("score", ""),
        word(score.get("light"), "LIGHT") if "light" in score else "",
        *(
            int(score.get(name, 0))
            for name in ("datasets", "green", "yellow", "red", "workOrders", "overdueWorkOrders")
        ),
    )


def _percent(value: object) -> str:
    return "" if value is None else f"{value} %"
