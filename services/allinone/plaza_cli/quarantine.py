"""`plaza quarantine …`: rows that were refused at a load."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import WrongUse
from .files import copy, whole_file
from .ingest import Loaded, load_file, tell
from .names import DatasetArgument, DatasetName, parse_run, word
from .output import count, stdout_is_terminal, whole
from .surroundings import JsonOption, UrlOption, plaza

quarantine = typer.Typer(
    no_args_is_help=True, help="Refused rows: look at them, repair and replay them.", rich_markup_mode=None
)

_RECORDS = "the refused records"
_ROW = re.compile(
    r"(?:departments/)?([a-z][a-z0-9-]{0,62})/(?:datasets/)?([a-z][a-z0-9-]{0,62})/(?:quarantine/)?"
    r"([0-9a-f-]{36}-[0-9]{1,18})",
    re.ASCII,
)


class State(StrEnum):
    """What became of a refused row."""

    HELD = "held"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only rows of this run (DEPARTMENT/ID).")
]

ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", metavar="REASON", help="Only rows that their load refused for this reason."),
]
FieldOption = Annotated[
    str | None,
    typer.Option("--field", metavar="FIELD", help="Only rows that their load refused for this field."),
]


@quarantine.command("list")
def list_rows(
    context: typer.Context,
    name: DatasetArgument,
    run: RunOption = None,
    state: Annotated[
        State | None, typer.Option("--state", help="Only rows in this state. [default: all]")
    ] = None,
    reason: ReasonOption = None,
    field: FieldOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List refused rows with line, field and reason, in the order of the file."""
    here = plaza(context, url, as_json)
    path = f"{DatasetName.parse(name).path}/quarantine"
    found: list[dict[str, Any]] = []
    total = 0
    asked = {"state": f"QUARANTINE_STATE_{state.upper()}"} if state else {}
    for page in here.api.whole_pages(
        path, {"pageSize": min(limit, 1000), **_chosen(run, reason, field), **asked}
    ):
        total = max(total, whole(page, "totalSize"))
        found.extend(page.get("rows") or [])
        if len(found) >= limit:
            break
    found = found[:limit]
    if here.out.as_json:
        here.out.document(found)
    else:
        here.out.table(
            ["row", "state", "file", "line", "field", "reason", "detail", "original"],
            (
                (
                    _short_row(one),
                    word(one.get("state"), "QUARANTINE_STATE"),
                    one.get("fileName"),
                    whole(one, "line"),
                    one.get("field"),
                    one.get("reason"),
                    one.get("detail"),
                    str(one.get("originalText") or "").rstrip("\r\n"),
                )
                for one in found
            ),
        )
    if total > len(found):
        here.out.note(f"{len(found):,} of {count(total, 'refused row')}; --limit shows more.")


@quarantine.command()
def export(
    context: typer.Context,
    name: DatasetArgument,
    run: RunOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write the bytes here.")] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Held rows as a table to edit in a spreadsheet, for `replay`."),
    ] = False,
    reason: ReasonOption = None,
    field: FieldOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the refused records exactly as they stood in the file: to --output, else to standard output.

    With --repair: CSV in UTF-8 with the columns plaza_row, plaza_reason, plaza_detail and plaza_record (the whole
    record, where it cannot be split into cells) before those of the source. Edit the cells, keep plaza_row.
    """
    here = plaza(context, url, as_json)
    path = f"{DatasetName.parse(name).path}/quarantine:export"
    asked = _chosen(run, reason, field) | ({"form": "EXPORT_FORM_REPAIR"} if repair else {})
    if output is None:
        if here.out.as_json or (stdout_is_terminal() and not repair):
            what = "are no JSON" if here.out.as_json else "may not suit a terminal"
            raise WrongUse(f"the exact bytes {what}", remedy="Give --output FILE, or a pipe without --json.")
        copy(here.api, path, asked, here.out.piece, _RECORDS)
        return
    with whole_file(output) as stream:
        size = copy(here.api, path, asked, stream.write, _RECORDS)
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size})
    else:
        here.out.line(f"{output}: {count(size, 'byte')} of refused records")


@quarantine.command()
def replay(
    context: typer.Context,
    name: DatasetArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `export --repair` gave it, repaired.")],
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it has ended.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load repaired rows. Those that are accepted come in, the others stay held with their new reason."""
    here = plaza(context, url, as_json)
    loaded = Loaded(file, replay=True)
    load_file(here, DatasetName.parse(name), loaded, {}, wait=wait)
    if here.out.as_json:
        here.out.document(loaded.document())
    else:
        tell(here.out, loaded, several=False)


@quarantine.command()
def discard(
    context: typer.Context,
    row: Annotated[
        str, typer.Argument(metavar="ROW", help="DEPARTMENT/DATASET/BATCH-LINE, as `list` shows it.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why nobody will repair it.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a held row up. Its bytes stay readable."""
    here = plaza(context, url, as_json)
    found = here.api.post(f"{_parse_row(row)}:discard", {"reason": reason})
    if here.out.as_json:
        here.out.document(found)
    else:
        here.out.line(f"row {_short_row(found)}: {word(found.get('state'), 'QUARANTINE_STATE')}")


def _parse_row(text: str) -> str:
    match = _ROW.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a refused row",
            remedy="Write DEPARTMENT/DATASET/BATCH-LINE as `plaza quarantine list` shows it.",
        )
    return f"{DatasetName(match[1], match[2]).path}/quarantine/{match[3]}"


def _short_row(found: dict[str, Any]) -> str:
    name = str(found.get("name") or "")
    match = _ROW.fullmatch(name)
    return f"{match[1]}/{match[2]}/{match[3]}" if match else name


def _chosen(run: str | None, reason: str | None, field: str | None) -> dict[str, str]:
    wanted = {"run": parse_run(run) if run else "", "reason": reason or "", "field": field or ""}
    return {name: value for name, value in wanted.items() if value}
