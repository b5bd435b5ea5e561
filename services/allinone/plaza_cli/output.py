"""What a person or a script sees. Data are never read as markup, and cannot steer the terminal."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .failures import Failure

_PIPE_WIDTH = 10_000
"""Cells wide when nobody looks: a pipe gets whole lines, not those of an 80-column terminal."""


class Output:
    """Standard output carries the result alone, standard error everything said about it."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: object) -> None:
        """One JSON document on standard output, Chinese as it is written."""
        text = json.dumps(value, ensure_ascii=False, indent=2)
        _write(text.encode("utf-8", "backslashreplace") + b"\n")

    def raw(self, data: bytes) -> None:
        """A file as the server gave it."""
        _write(data if data.endswith(b"\n") else data + b"\n")

    def line(self, text: str) -> None:
        _console(error=False).print(Text(clean(text)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Something to know that is no result."""
        _console(error=True).print(Text(clean(text)), soft_wrap=True)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Columns of numbers (`int`, `float`) are set to the right, with thousands apart."""
        kept = [list(row) for row in rows]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, head in enumerate(heads):
            numeric = any(isinstance(row[index], int | float) for row in kept)
            table.add_column(Text(head), justify="right" if numeric else "left", overflow="fold")
        for row in kept:
            table.add_row(*(Text(cell(value)) for value in row))
        _console(error=False).print(table)

    def piece(self, data: bytes) -> None:
        """A piece of a result that is written as it comes."""
        sys.stdout.buffer.write(data)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values below each other; empty values are left out."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            if value not in (None, ""):
                grid.add_row(Text(name, style="dim"), Text(cell(value)))
        _console(error=False).print(grid)

    def failure(self, failure: Failure) -> None:
        """Message, places and remedy on standard error."""
        if self.as_json:
            text = json.dumps(failure.facts(), ensure_ascii=False, indent=2)
            print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
            return
        console = _console(error=True)
        console.print(Text.assemble(("error: ", "bold red"), clean(failure.message)), soft_wrap=True)
        for place in failure.places:
            where = " ".join(part for part in (place.where, place.pointer) if part)
            console.print(Text(clean(f"  {where}: {place.detail}")), soft_wrap=True)
        if failure.remedy:
            console.print(Text.assemble(("remedy: ", "bold"), clean(failure.remedy)), soft_wrap=True)


def cell(value: object) -> str:
    """A value as text on one line: `280,512`, `yes`, nothing for `None`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return clean(str(value))


def clean(text: str) -> str:
    """Without what a terminal obeys: control characters, direction overrides and lone surrogates are shown
    as U+FFFD. Line feeds and tabs stay."""
    return "".join(c if c in "\n\t" or not _steers(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _steers(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _console(*, error: bool) -> Console:
    console = Console(stderr=error, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def whole(document: dict[str, Any], name: str) -> int:
    """A number of the API: ProtoJSON writes 64-bit ones as texts, and leaves zeroes out."""
    value = document.get(name) or 0
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def score(document: dict[str, Any]) -> float | None:
    """Its `score` in percent, to two places. `None` when it was not assessed."""
    value = document.get("score")
    return round(float(value), 2) if isinstance(value, int | float) else None


def moment(text: object) -> str:
    """A time of the API (RFC 3339, UTC) in the zone of this machine, with the offset: no doubt is left."""
    if not isinstance(text, str) or not text:
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat(" ", "seconds")
    except ValueError:
        return text


def count(number: int, one: str, many: str = "") -> str:
    """`1 row`, `280,512 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def stdout_is_terminal() -> bool:
    """Whether a person reads standard output; bytes of strangers do not go there."""
    return sys.stdout.isatty()
