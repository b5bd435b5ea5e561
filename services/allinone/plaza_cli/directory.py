"""`plaza directory …`: a department's directory as a spreadsheet."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import Refused, WrongUse
from .files import copy, refuse_existing, whole_file
from .names import DepartmentOption, resolve_department, short, word
from .output import Output, count, whole
from .surroundings import JsonOption, UrlOption, plaza

directory = typer.Typer(
    no_args_is_help=True, help="A department's directory: spreadsheets in and out.", rich_markup_mode=None
)
_MAX_BYTES = 20 * 1024 * 1024


class Form(StrEnum):
    """How a directory is written."""

    XLSX = "xlsx"
    CSV = "csv"


@directory.command("import")
def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="XLSX, or CSV in UTF-8 or GB18030.")],
    department: DepartmentOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register the datasets of a spreadsheet and change those that differ: all or nothing."""
    here = plaza(context, url, as_json)
    data = _bytes_of(path)
    target = f"departments/{resolve_department(here.api, department)}/directory:import"

    def send(look: bool) -> dict[str, Any]:
        parameters = {"validateOnly": "true" if look else "false"}
        return here.api.upload(target, lambda: [data], len(data), parameters)

    # The look names every cell that is wrong; an error has room for a few.
    answer = send(True)
    if not whole(answer, "problemCount") and not dry_run:
        answer = send(False)
    if here.out.as_json:
        here.out.document(answer)
    else:
        _show(here.out, answer)
    problems = whole(answer, "problemCount")
    if problems:
        raise Refused(
            f"{path}: {count(problems, 'cell')} with problems; nothing was imported",
            remedy="Correct the cells and run the command again.",
        )


@directory.command()
def export(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", help="Write the spreadsheet here.")],
    department: DepartmentOption = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="How it is written. [default: as the file is named]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole directory as the spreadsheet that `directory import` reads."""
    here = plaza(context, url, as_json)
    refuse_existing(output, force)
    chosen = form or (Form.CSV if output.suffix.lower() == ".csv" else Form.XLSX)
    path = f"departments/{resolve_department(here.api, department)}/directory:export"
    with whole_file(output) as stream:
        size = copy(here.api, path, {"format": chosen.value}, stream.write, "the directory")
    if here.out.as_json:
        here.out.document({"output": str(output), "sizeBytes": size})
    else:
        here.out.line(f"{output}: {count(size, 'byte')}")


def _show(out: Output, answer: dict[str, Any]) -> None:
    for kind in ("notices", "problems"):
        remarks = answer.get(kind) or []
        if remarks:
            out.line(f"{kind}:")
            out.table(
                ["cell", "heading", "what", "remedy"],
                ((_place(one), one.get("heading"), one.get("text"), one.get("remedy")) for one in remarks),
            )
    changes = answer.get("changes") or []
    if changes:
        out.table(
            ["dataset", "name", "row", "what", "fields"],
            (
                (
                    short(one.get("dataset")),
                    one.get("displayName"),
                    whole(one, "row"),
                    word(one.get("action"), "ACTION"),
                    ", ".join(one.get("changedFields") or []),
                )
                for one in changes
            ),
        )
    would = "would be " if answer.get("validateOnly") else ""
    out.line(
        f"{whole(answer, 'createdCount'):,} {would}registered, {whole(answer, 'changedCount'):,} {would}changed,"
        f" {whole(answer, 'unchangedCount'):,} unchanged, {count(whole(answer, 'problemCount'), 'problem')}"
    )


def _place(remark: dict[str, Any]) -> str:
    row = whole(remark, "row")
    cell = f"{remark['column']}{row}" if remark.get("column") else f"row {row}"
    return f"{remark['sheet']}!{cell}" if remark.get("sheet") else cell


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise WrongUse(f"{path} has more than {_MAX_BYTES:,} bytes", remedy="Split the spreadsheet.")
        return path.read_bytes()
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
