"""`plaza run …`: inferences and loads."""

from __future__ import annotations

from datetime import datetime
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
        [
            "run",
            "kind",
            "state",
            "dataset",
            "file",
            "bytes",
            "accepted",
            "refused",
            "version",
            "tries",
            "started",
            "took",
        ],
        (
            (
                short(one.get("name")),
                word(one.get("kind"), "RUN_KIND"),
                state_of(one),
                short(one.get("dataset")),
                one.get("fileName"),
                whole(one.get("progress") or {}, "bytesTotal"),
                whole(one.get("progress") or {}, "rowsAccepted"),
                whole(one.get("progress") or {}, "rowsRefused"),
                whole(one, "version") or None,
                whole(one, "attempts") or None,
                moment(one.get("createTime")),
                duration(one),
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


@run.command()
def cancel(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="DEPARTMENT/ID, or the full name.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a run that is not yet being committed. Nothing of it comes into the table; the file may come again."""
    here = plaza(context, url, as_json)
    found = here.api.post(f"{parse_run(name)}:cancel", {})
    if here.out.as_json:
        here.out.document(found)
    else:
        here.out.line(f"run {short(found.get('name'))}: {state_of(found)}")


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
            ("took", duration(found)),
            ("mode", _mode(found)),
            (
                "bytes",
                f"{whole(progress, 'bytesTotal'):,}" if ended else _of(progress, "bytesDone", "bytesTotal"),
            ),
            ("rows a second", f"{float(found['rate']):,.0f}" if found.get("rate") else None),
            ("remaining", seconds_as_words(whole(found, "remainingSeconds")) if _tells_rest(found) else None),
            ("rows read", whole(progress, "rowsRead")),
            ("rows accepted", whole(progress, "rowsAccepted")),
            ("rows refused", refusals(found)),
            ("rows replaced", whole(found, "rowsRemoved") or None),
            ("version", whole(found, "version") or None),
            ("error", error.get("message")),
            ("remedy", error.get("remedy")),
            ("corrects", short(found.get("workOrder")) or None),
            *assessment_facts(found.get("assessment") or {}),
            *(("warning", warning) for warning in found.get("warnings") or []),
        ]
    )


def assessment_facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    """What quality found in the version, for whoever sent it."""
    facts: list[tuple[str, object]] = [
        ("quality", " ".join(filter(None, [found.get("score"), found.get("light")])) or None)
    ]
    for rule in found.get("failedRules", []):
        named = f"{rule['id']} ({rule['title']})" if rule.get("title") else rule["id"]
        met = "" if rule.get("met") else ", not met"
        facts.append(("rule", f"{named}: {whole(rule, 'failed'):,} of {whole(rule, 'judged'):,} fail{met}"))
    facts += [("work order", short(order)) for order in found.get("workOrders", [])]
    for member, what in (("stoppedSharing", "not shared"), ("stoppedOpening", "not opened")):
        if found.get(member):
            facts.append((what, f"because of {', '.join(found[member])}"))
    return facts


def refusals(found: dict[str, Any]) -> str:
    """`20 (ragged 3, type 17)`: the refused rows of a run, with their reasons."""
    reasons = found.get("refusedByReason") or {}
    parts = ", ".join(f"{reason} {whole(reasons, reason):,}" for reason in sorted(reasons))
    total = f"{whole(found.get('progress') or {}, 'rowsRefused'):,}"
    return f"{total} ({parts})" if parts else total


def duration(found: dict[str, Any]) -> str | None:
    """How long it took from the asking to the end; None while it goes on."""
    began, ended = found.get("createTime"), found.get("endTime")
    if not began or not ended:
        return None
    took = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(began))
    return seconds_as_words(took.total_seconds())


def seconds_as_words(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _mode(found: dict[str, Any]) -> str | None:
    if found.get("replay"):
        return "replay of refused rows"
    return word(found.get("mode"), "LOAD_MODE") or None


def _tells_rest(found: dict[str, Any]) -> bool:
    return found.get("remainingSeconds") is not None


def _of(progress: dict[str, Any], done: str, total: str) -> str:
    return f"{whole(progress, done):,} of {whole(progress, total):,}"
