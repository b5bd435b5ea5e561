"""The bar that a person sees on standard error while bytes go by. Scripts and pipes see none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from .output import Output, clean


class Advance(Protocol):
    """Says how far it is."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None: ...


@contextmanager
def bar(out: Output, title: str, total: int | None = None, *, speed: bool = True) -> Iterator[Advance]:
    """A bar over `total` bytes that is gone when the block ends. Without `speed` the note tells, not bytes
    and bytes a second."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    # A note says more than the bytes do; both would not fit beside each other on 80 columns.
    measure = [DownloadColumn(), TransferSpeedColumn()] if speed else [TaskProgressColumn()]
    columns = [
        TextColumn(
            "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
        ),
        BarColumn(bar_width=20),
        *measure,
        TextColumn("{task.fields[note]}", markup=False),
    ]
    shown = console.is_terminal and not out.as_json
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(clean(title), total=total, note="")

        def advance(done: int, total: int | None = None, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=clean(note))

        yield advance
