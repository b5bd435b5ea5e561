"""`plaza rows`: the rows of a dataset, under the rules of sharing."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer

from .client import Parameters
from .failures import BrokenOff, StrangeAnswer, WrongUse
from .files import whole_file
from .names import DatasetArgument, DatasetName, parse_department
from .output import Output, clean, count, stdout_is_terminal
from .records import Cut
from .row_pages import RowPage, read_pages, write_document
from .surroundings import JsonOption, Plaza, UrlOption, plaza

_ROWS_FOR_PEOPLE = 20
_VERDICTS = ("_verdict", "_failed_rules", "_reasons", "_rule_set")
Write = Callable[[bytes], object]


class RowForm(StrEnum):
    """In which form rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def binary(self) -> bool:
        """Not for eyes, and whole or nothing."""
        return self in (RowForm.PARQUET, RowForm.ARROW)


_FILES = tuple(form.value for form in RowForm if form is not RowForm.TABLE)


def rows(
    context: typer.Context,
    name: DatasetArgument,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="FILTER",
            help='For example: station = "Dongsi" AND pm2_5 > 300; or: verdict = fail; or: verdict.RULE = fail',
        ),
    ] = None,
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Beside the fields: verdict, rules broken, why, rule set.")
    ] = False,
    columns: Annotated[str | None, typer.Option("--columns", help="Fields, separated by commas.")] = None,
    order_by: Annotated[
        str | None, typer.Option("--order-by", help="For example: time desc, station")
    ] = None,
    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="VERSION", min=1, help="Version. [default: newest]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most this many rows. [default: 20 in a table]")
    ] = None,
    form: Annotated[
        RowForm | None, typer.Option("--format", help="[default: by the name of --output, else table]")
    ] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", help="What the rows are for.")] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="DEPARTMENT", help="Who reads, when you are of several.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write to this file.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read rows: a table, or everything as CSV, JSON lines, JSON, Parquet or Arrow. --json is --format json.

    Version, agreement and delivery are told on standard error.
    """
    here = plaza(context, url, as_json)
    wanted = _form(form, output, here.out.as_json)
    _check_binary(wanted, output, limit)
    path = f"{DatasetName.parse(name).path}/rows"
    named = [part.strip() for part in (columns or "").split(",") if part.strip()]
    told = [each for each in _VERDICTS if verdicts and each not in named]
    query = _query(where, [*named, *told], order_by, as_of, purpose, reader)
    if wanted is RowForm.TABLE:
        _show_table(here, path, query, limit or _ROWS_FOR_PEOPLE)
        return
    with _sink(here.out, output) as write:
        if wanted is RowForm.JSON:
            pages = read_pages(here.api, path, query, limit)
            write_document(_told_once(here.out, pages), write)
        else:
            _copy(here, path, {**query, "format": wanted.value}, limit, write)
    if output is not None:
        here.out.note(f"{output}: written")


def _form(form: RowForm | None, output: Path | None, as_json: bool) -> RowForm:
    if form is None and as_json:
        return RowForm.JSON
    if form is None and output is not None:
        suffix = output.suffix.lower().lstrip(".")
        return RowForm(suffix) if suffix in _FILES else RowForm.CSV
    if form is RowForm.TABLE and output is not None:
        raise WrongUse("a table is for people, not for a file", remedy=f"Give --format {', '.join(_FILES)}.")
    return form or RowForm.TABLE


def _check_binary(form: RowForm, output: Path | None, limit: int | None) -> None:
    if form.binary and limit is not None:
        raise WrongUse(
            f"--limit cannot cut a {form} file", remedy="Narrow it by --where, or take --format csv or jsonl."
        )
    if form.binary and output is None and stdout_is_terminal():
        raise WrongUse(
            f"{form} is not for a terminal", remedy="Give --output FILE, or send it into a program."
        )


def _query(
    where: str | None,
    columns: list[str],
    order_by: str | None,
    as_of: int | None,
    purpose: str | None,
    reader: str | None,
) -> dict[str, str | int]:
    given = {
        "filter": where,
        "columns": ",".join(columns),
        "orderBy": order_by,
        "version": as_of,
        "purpose": purpose,
        "reader": f"departments/{parse_department(reader)}" if reader else None,
    }
    return {name: value for name, value in given.items() if value}


def _show_table(here: Plaza, path: str, query: dict[str, str | int], limit: int) -> None:
    heads: list[str] = []
    shown: list[list[object]] = []
    more = False
    for page in _told_once(here.out, read_pages(here.api, path, query, limit)):
        heads, more = page.columns, page.more
        # As texts: data are shown digit by digit, not as our own numbers are.
        shown.extend([None if value is None else _text(value) for value in row] for row in page.rows)
    here.out.table(heads, shown)
    if more:
        here.out.note(
            f"The first {count(len(shown), 'row')}; there are more: --limit N, or --format csv for all."
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Line breaks would tear the table apart.
    return str(value).replace("\r", "␍").replace("\n", "␊")


def _copy(here: Plaza, path: str, query: Parameters, limit: int | None, write: Write) -> None:
    size = 0
    cut = None if limit is None else Cut(limit, heading=query["format"] == "csv")
    with here.api.stream(path, query) as response:
        _tell(here.out, response.headers)
        try:
            for piece in response.iter_bytes():
                kept = piece if cut is None else cut(piece)
                write(kept)
                size += len(kept)
                if cut is not None and cut.complete:
                    return
        except httpx.HTTPError as error:
            raise BrokenOff(
                f"the rows broke off after {count(size, 'byte')}: what came is not complete ({error})",
                remedy="Run the command again.",
            ) from error


@contextmanager
def _sink(out: Output, output: Path | None) -> Iterator[Write]:
    if output is None:
        yield _for_terminal(out) if stdout_is_terminal() else out.piece
        sys.stdout.flush()
        return
    with whole_file(output) as stream:
        yield stream.write


def _for_terminal(out: Output) -> Write:
    """Data are strangers' words: on a terminal they are shown, but do not steer it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(piece: bytes) -> None:
        out.piece(clean(decoder.decode(piece).replace("\r", "")).encode("utf-8", "replace"))

    return write


def _told_once(out: Output, pages: Iterator[RowPage]) -> Iterator[RowPage]:
    told = False
    for page in pages:
        if not told:
            _tell(out, page.headers)
            told = True
        yield page
    if not told:
        raise StrangeAnswer("the server gave no page of rows")


def _tell(out: Output, headers: httpx.Headers) -> None:
    named = (("version", "plaza-version"), ("agreement", "plaza-agreement"), ("delivery", "plaza-delivery"))
    said = ", ".join(f"{name} {headers[header]}" for name, header in named if headers.get(header))
    if said:
        out.note(said)
    version, _, why = headers.get("plaza-held-back", "").partition("; ")
    if version:
        kind, _, rules = why.partition("=")
        because = f"it does not meet {rules.replace(',', ', ')}" if kind == "rules" else "it is being checked"
        out.note(f"version {version} is held back: {because}")
