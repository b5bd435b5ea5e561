"""`plaza source …`: ways of getting data again and again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .following import check_succeeded, follow, how_to_watch
from .names import DatasetName, DepartmentOption, parse_department, resolve_department, short, word
from .output import Output, count, moment, whole
from .run import assessment_facts, refusals
from .source_add import add
from .source_credential import credential
from .source_names import SourceArgument, SourceName, short_source
from .surroundings import JsonOption, Plaza, UrlOption, plaza

source = typer.Typer(
    no_args_is_help=True, help="Sources: web addresses and databases that are pulled.", rich_markup_mode=None
)
source.command()(add)
source.command()(credential)


@source.command("list")
def list_sources(
    context: typer.Context,
    department: DepartmentOption = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only those that fill this dataset.")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a department's sources."""
    here = plaza(context, url, as_json)
    wanted = DatasetName.parse(dataset) if dataset else None
    if wanted and not department:
        department = wanted.department
    parent = parse_department(department) if department else resolve_department(here.api, None)
    parameters = {"dataset": wanted.path} if wanted else {}
    found = list(here.api.pages(f"departments/{parent}/sources", "sources", parameters))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["source", "name", "class", "state", "dataset", "mode", "from", "next pull", "last success"],
        (
            (
                short_source(one.get("name")),
                one.get("displayName"),
                word(one.get("class"), "SOURCE_CLASS"),
                word(one.get("state"), "SOURCE_STATE"),
                short(one.get("dataset")),
                word(one.get("mode"), "LOAD_MODE") or "append",
                address(one),
                moment(one.get("nextPullTime")),
                moment(one.get("lastSuccessTime")),
            )
            for one in found
        ),
    )


@source.command()
def show(
    context: typer.Context, name: SourceArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one source: why it is lawful, where it comes from, how its pulls fare."""
    here = plaza(context, url, as_json)
    found = here.api.get(SourceName.parse(name).path)
    if here.out.as_json:
        here.out.document(found)
    else:
        show_source(here.out, found)


@source.command()
def pull(
    context: typer.Context,
    name: SourceArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it has ended.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull a source now. A pull that is under way already is the answer then."""
    here = plaza(context, url, as_json)
    run = here.api.post(f"{SourceName.parse(name).path}:pull", {})
    if wait:
        run = follow(here, str(run.get("name") or ""))
    if here.out.as_json:
        here.out.document(run)
    elif not wait:
        started = str(run.get("name") or "")
        here.out.line(
            f"run {short(started)} pulls {short_source(run.get('source'))}. {how_to_watch(started)}"
        )
    if wait:
        check_succeeded(run)
        _tell(here, run)


@source.command()
def pause(
    context: typer.Context, name: SourceArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Stop pulls of a source, by schedule and by hand."""
    _turn(plaza(context, url, as_json), name, "pause")


@source.command()
def resume(
    context: typer.Context, name: SourceArgument, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Let a paused or failing source be pulled again."""
    _turn(plaza(context, url, as_json), name, "resume")


def _turn(here: Plaza, name: str, method: str) -> None:
    found = here.api.post(f"{SourceName.parse(name).path}:{method}", {})
    if here.out.as_json:
        here.out.document(found)
    else:
        coming = moment(found.get("nextPullTime"))
        said = f", next pull {coming}" if coming else ""
        here.out.line(f"{short_source(found.get('name'))}: {word(found.get('state'), 'SOURCE_STATE')}{said}")


def _tell(here: Plaza, run: dict[str, Any]) -> None:
    """What became of a pull, for a person."""
    if here.out.as_json:
        return
    version = whole(run, "version")
    if run.get("unchanged"):
        here.out.line("nothing new: there is no new version")
    elif version:
        accepted = whole(run.get("progress") or {}, "rowsAccepted")
        here.out.line(f"version {version:,}: {count(accepted, 'row')} accepted, {refusals(run)} refused")
    else:
        here.out.line(f"no new version, {refusals(run)} rows refused")
    for warning in run.get("warnings") or []:
        here.out.note(f"warning: {warning}")


def show_source(out: Output, found: dict[str, Any]) -> None:
    """One source for a person."""
    schedule, error = found.get("schedule") or {}, found.get("lastError") or {}
    cursor, database = found.get("cursor") or {}, found.get("postgres") or {}
    out.facts(
        [
            ("source", short_source(found.get("name"))),
            ("name", found.get("displayName")),
            ("state", word(found.get("state"), "SOURCE_STATE")),
            ("class", word(found.get("class"), "SOURCE_CLASS")),
            ("source system", found.get("sourceSystem")),
            ("owner", found.get("owner")),
            ("lawful basis", found.get("lawfulBasis")),
            ("justification", found.get("justification")),
            ("dataset", short(found.get("dataset"))),
            ("mode", word(found.get("mode"), "LOAD_MODE") or "append"),
            ("from", address(found)),
            ("query", database.get("query")),
            ("watermark", database.get("watermarkColumn")),
            ("lateness", database.get("lateness")),
            ("credential", (found.get("http") or database).get("credential")),
            ("schedule", " ".join(str(schedule.get(part) or "") for part in ("cron", "zone")).strip()),
            ("next pull", moment(found.get("nextPullTime"))),
            ("last run", short(found.get("lastRun"))),
            ("last success", moment(found.get("lastSuccessTime"))),
            ("pulled up to", cursor.get("watermark")),
            *assessment_facts(found.get("lastAssessment") or {}),
            ("error", error.get("message")),
            ("remedy", error.get("remedy")),
        ]
    )


def address(found: dict[str, Any]) -> str:
    """Where a source gets its data, on one line."""
    database = found.get("postgres")
    if not isinstance(database, dict):
        return str((found.get("http") or {}).get("url") or "")
    table = database.get("table") or {}
    rows = f"{table.get('schema') or 'public'}.{table.get('table')}" if table else "query"
    port = whole(database, "port") or 5432
    return f"postgresql://{database.get('host')}:{port}/{database.get('database')} {rows}"
