"""`plaza quality …`: what the rules say about a dataset, and how departments stand."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated, Any

import typer

from .failures import BrokenOff, Refused, WrongUse
from .names import DatasetName, word
from .output import moment, whole
from .quality_anomalies import anomalies
from .quality_profile import profile
from .quality_report import report
from .quality_suggest import rules, suggest
from .reconciliation import reconcile
from .surroundings import JsonOption, Plaza, UrlOption, plaza

_LOOKS = 600
_PAUSE_SECONDS = 1.0

quality = typer.Typer(no_args_is_help=True, help="Quality: rules, scores and lights.", rich_markup_mode=None)
_EXITS = {"EXIT_SHARING": "shared", "EXIT_OPENING": "opened"}
quality.add_typer(reconcile, name="reconcile")
quality.command()(report)
DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="DEPARTMENT/DATASET.")]
quality.command()(profile)
quality.command()(suggest)
quality.command()(rules)
quality.command()(anomalies)


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
    place = f"{name.path}/versions/{version}/assessment"
    found = _newest(here, name) if version is None else here.api.get(place)
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
            *(
                (f"not to be {_EXITS[one['exit']]}", ", ".join(_rule(rule) for rule in one["stoppedBy"]))
                for one in found.get("gates", [])
                if one.get("stopped")
            ),
        ]
    )
    here.out.line("")
    here.out.table(
        ["rule", "title", "passed", "failed", "n/a", "pass rate", "needs", ""],
        (_row(result) for result in found.get("rules", [])),
    )


@quality.command()
def run(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET[@VERSION]", help="Version: the newest assessed.")
    ],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is assessed.")] = True,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assess a version again by the rules in force. Where they have judged it already, nothing is done."""
    here = plaza(context, url, as_json)
    given, _, number = dataset.partition("@")
    name = DatasetName.parse(given)
    if number and not number.isdigit():
        raise WrongUse(f"{number!r} is no version", remedy="Write DATASET@3, or leave the version out.")
    version = int(number) if number else whole(_newest(here, name), "version")
    place = f"{name.path}/versions/{version}"
    answer = here.api.post(f"{place}:assess", {"requestId": str(uuid.uuid4())})
    queued, made = bool(answer.get("queued")), whole(answer, "number")
    if queued and wait:
        _wait_for(here, f"{place}/assessment", made)
    if here.out.as_json:
        here.out.document({"version": version, "queued": queued, "number": made})
    elif not queued:
        here.out.line(f"{name}@{version} is assessed by the rules in force already (assessment {made}).")
    else:
        done = "is assessed again" if wait else "is being assessed"
        here.out.line(f"{name}@{version} {done} (assessment {made}).")


def _wait_for(here: Plaza, place: str, number: int) -> None:
    """Raises `BrokenOff` when it takes too long."""
    for _ in range(_LOOKS):
        try:
            if whole(here.api.get(place), "number") >= number:
                return
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:  # the first one of this version
                raise
        here.surroundings.sleep(_PAUSE_SECONDS)
    raise BrokenOff(
        "the assessment is not made yet; it goes on",
        remedy="Look later: plaza quality show DATASET --version N.",
    )


def _newest(here: Plaza, name: DatasetName) -> dict[str, Any]:
    found = next(here.api.pages(f"{name.path}/assessments", "assessments", limit=1), None)
    if found is None:
        raise Refused(
            f"{name} has no assessed version", remedy="Load a file (plaza ingest), or wait some seconds."
        )
    return found


@quality.command()
def gate(
    context: typer.Context,
    dataset: DatasetArgument,
    version: Annotated[int | None, typer.Option("--version", help="This one instead of the newest.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a version may be shared and opened, by which rules not, and which is the last that may."""
    here = plaza(context, url, as_json)
    name = DatasetName.parse(dataset)
    found = here.api.get(f"{name.path}/gate", {"version": version} if version else {})
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.facts([("dataset", str(name)), ("version", whole(found, "version"))])
    here.out.line("")
    here.out.table(
        ["to be", "state", "rules", "last good version"],
        (
            (
                done,
                word((found.get(way) or {}).get("state"), "GATE_STATE"),
                ", ".join(_rule(rule) for rule in (found.get(way) or {}).get("stoppedBy", [])),
                whole(found.get(way) or {}, "lastGoodVersion") or None,
            )
            for way, done in (("sharing", "shared"), ("opening", "opened"))
        ),
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


def _rule(rule: dict[str, Any]) -> str:
    return f"{rule['id']} ({rule['title']})" if rule.get("title") else str(rule["id"])


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
