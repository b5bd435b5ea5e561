"""`plaza quality report`: a month's data health report, on the screen or as a file."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from .client import Api
from .failures import WrongUse
from .files import copy, refuse_existing, whole_file
from .names import DepartmentOption, resolve_department, short, word
from .output import count, moment, whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)
_ZONE = ZoneInfo("Asia/Shanghai")


class Form(StrEnum):
    """How the file is written."""

    PDF = "pdf"
    HTML = "html"


class Tongue(StrEnum):
    """In which language."""

    ZH = "zh"
    EN = "en"


def report(
    context: typer.Context,
    department: DepartmentOption = None,
    city: Annotated[bool, typer.Option("--city", help="Of the whole city, for the data bureau.")] = False,
    month: Annotated[
        str | None, typer.Option("--month", help="Like 2026-11. [default: the month that is under way]")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the report here.")] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="How it is written. [default: as the file is named]")
    ] = None,
    language: Annotated[Tongue, typer.Option("--language", help="In which language.")] = Tongue.ZH,
    new: Annotated[
        bool, typer.Option("--new", help="Make another one, when the month has a report already.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a month's data health report, or write it as PDF or HTML. Of a month that is over the report that is there;
    else one is made now."""
    here = plaza(context, url, as_json)
    if city and department:
        raise WrongUse("--city and --department are two reports", remedy="Name one of them.")
    if form and not output:
        raise WrongUse("--format needs a file", remedy="Name one with -o.")
    if output:
        refuse_existing(output, force)
    parent = f"departments/{'-' if city else resolve_department(here.api, department)}"
    found = _report(here.api, parent, _month(month, here.surroundings.now()), new)
    if output is None:
        _show(here, found)
        return
    chosen = form or (Form.HTML if output.suffix.lower() in (".html", ".htm") else Form.PDF)
    size = _write(here.api, found, output, {"format": chosen.value, "language": language.value})
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size, "report": found.get("name")})
    else:
        here.out.line(f"{output}: {count(size, 'byte')}")


def _month(text: str | None, now: float) -> str:
    if text is None:
        return f"{datetime.fromtimestamp(now, _ZONE):%Y-%m}"
    if not _MONTH.fullmatch(text):
        raise WrongUse(f"{text!r} is not a month", remedy="Write it like 2026-11.")
    return text


def _report(api: Api, parent: str, month: str, new: bool) -> dict[str, Any]:
    """The month's report: the newest one when the month was over by then, else a new one."""
    path = f"{parent}/healthReports"
    if not new:
        for one in api.pages(path, "healthReports"):
            if str(one.get("month")) < month:
                break
            # As long as a month goes on its reports tell of the days up to then.
            if one.get("month") == month and one.get("asOfTime") != one.get("createTime"):
                return api.get(str(one["name"]))
    return api.post(path, {"month": month}, {"requestId": str(uuid.uuid4())})


def _write(api: Api, found: dict[str, Any], output: Path, query: dict[str, str]) -> int:
    with whole_file(output) as stream:
        return copy(api, f"{found['name']}:download", query, stream.write, "the report")


def _show(here: Plaza, found: dict[str, Any]) -> None:
    if here.out.as_json:
        here.out.document(found)
        return
    figures = found.get("figures") or {}
    now, orders, came = (figures.get(part) or {} for part in ("now", "workOrders", "intake"))
    here.out.facts(
        [
            ("report", found.get("name")),
            ("month", found.get("month")),
            ("as of", moment(found.get("asOfTime"))),
            ("score", found.get("score")),
            ("light", word(found.get("light"), "LIGHT")),
            ("month before", (figures.get("before") or {}).get("score")),
            ("datasets", f"{_counts(now, ('green', 'yellow', 'red'))}, {whole(now, 'withoutScore')} without"),
            ("work orders", _counts(orders, ("opened", "reopened", "closed", "active", "overdue"))),
            ("rows", f"{whole(came, 'rowsAdded'):,} loaded, {whole(came, 'rowsRefused'):,} refused"),
            ("figures", found.get("figuresSha256")),
        ]
    )
    here.out.line("")
    here.out.table(
        ["dataset", "score", "before", "light", "rules not met", "worst rule", "work orders"],
        (
            (
                short(one.get("dataset")),
                one.get("score", ""),
                one.get("scoreBefore", ""),
                word(one.get("light"), "LIGHT"),
                whole(one, "rulesNotMet"),
                one.get("worstRule", ""),
                whole(one, "workOrders"),
            )
            for one in figures.get("worst", [])
        ),
    )


def _counts(message: dict[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{whole(message, name)} {name}" for name in names)
