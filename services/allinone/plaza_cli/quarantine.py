"""`plaza quarantine …`: rows that were refused at a load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from .failures import BrokenOff, WrongUse
from .files import whole_file
from .names import DatasetArgument, DatasetName, parse_run
from .output import count, stdout_is_terminal, whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza

quarantine = typer.Typer(
    no_args_is_help=True, help="Refused rows: look at them, get them back.", rich_markup_mode=None
)

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only rows of this run (DEPARTMENT/ID).")
]


@quarantine.command("list")
def list_rows(
    context: typer.Context,
    name: DatasetArgument,
    run: RunOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List refused rows with line, field and reason, in the order of the file."""
    here = plaza(context, url, as_json)
    path = f"{DatasetName.parse(name).path}/quarantine"
    found: list[dict[str, Any]] = []
    total = 0
    for page in here.api.whole_pages(path, {"pageSize": min(limit, 1000), **_of_run(run)}):
        total = max(total, whole(page, "totalSize"))
        found.extend(page.get("rows") or [])
        if len(found) >= limit:
            break
    found = found[:limit]
    if here.out.as_json:
        here.out.document(found)
    else:
        here.out.table(
            ["file", "line", "field", "reason", "detail", "original"],
            (
                (
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
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the refused records exactly as they stood in the file: to --output, else to standard output."""
    here = plaza(context, url, as_json)
    path = f"{DatasetName.parse(name).path}/quarantine:export"
    if output is None:
        if here.out.as_json or stdout_is_terminal():
            what = "are no JSON" if here.out.as_json else "may not suit a terminal"
            raise WrongUse(f"the exact bytes {what}", remedy="Give --output FILE, or a pipe without --json.")
        _copy(here, path, _of_run(run), here.out.piece)
        return
    with whole_file(output) as stream:
        size = _copy(here, path, _of_run(run), stream.write)
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size})
    else:
        here.out.line(f"{output}: {count(size, 'byte')} of refused records")


def _of_run(run: str | None) -> dict[str, str]:
    return {"run": parse_run(run)} if run else {}


def _copy(here: Plaza, path: str, parameters: dict[str, str], write: Any) -> int:
    size = 0
    with here.api.stream(path, parameters) as response:
        try:
            for piece in response.iter_bytes():
                write(piece)
                size += len(piece)
        except httpx.HTTPError as error:
            raise BrokenOff(
                f"the refused records broke off after {count(size, 'byte')}: {error}",
                remedy="Run the command again.",
            ) from error
    return size
