"""The rows of a version that break rules, found by judging them again under the caller's own grant.

`FailingRows` is the port: whoever keeps verdicts can answer it without a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from plaza_kit.grants import GrantVerifier
from plaza_lake.access import open_grant
from plaza_lake.judged import numbers_in
from plaza_lake.judged_rows import verdicts
from plaza_lake.judgements import WORD, Judgement
from plaza_lake.tables import Lake

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.domain.fitting import absent_fields, unreadable
from plaza_quality.storage.rows import ByRow, prepared


@dataclass(frozen=True, slots=True)
class FailingRow:
    """A row that breaks rules."""

    file: int
    """Number among the version's files."""
    row: int
    rules: tuple[int, ...]
    """Numbers of the checks."""
    values: tuple[Any, ...] = ()
    """Of the columns that were asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows, and what of them."""

    grant: str
    checks: Sequence[Check]
    columns: bool = False
    """Whether the values of all granted columns come too."""
    limit: int | None = None


class FailingRows(Protocol):
    """Finds the rows of a version that break rules."""

    def columns(self, grant: str) -> tuple[str, ...]:
        """Those that the grant opens. Raises as `open_grant`."""

    def files(self, grant: str) -> tuple[str, ...]:
        """Of the version. Raises as `open_grant`."""

    def find(self, asked: Asked, around: Around) -> Iterator[FailingRow]:
        """In the order in which they lie. A check that looks at columns which the grant does not open, or that judges
        no single rows, finds none. Blocking. Raises as `plaza_lake.judged_rows.verdicts`."""


class JudgedAgain:
    """`FailingRows` by a scan of the rows."""

    def __init__(self, lake: Lake, verifier: GrantVerifier) -> None:
        self._lake = lake
        self._verifier = verifier

    def columns(self, grant: str) -> tuple[str, ...]:
        return open_grant(self._lake, self._verifier, grant).granted.names

    def files(self, grant: str) -> tuple[str, ...]:
        return open_grant(self._lake, self._verifier, grant).paths

    def find(self, asked: Asked, around: Around) -> Iterator[FailingRow]:
        schema = open_grant(self._lake, self._verifier, asked.grant).granted
        judged: list[tuple[int, Judgement]] = []
        for number, check in enumerate(asked.checks):
            if absent_fields(check, schema) or unreadable(check, schema):
                continue
            what = prepared(check, schema, around, (self._lake, self._verifier))
            if isinstance(what, ByRow):
                judged.append((number, what.judgement))
        if not judged:
            return
        names = schema.names if asked.columns else ()
        batches = verdicts(
            self._lake,
            self._verifier,
            asked.grant,
            [judgement for _, judgement in judged],
            columns=names,
            failing_only=True,
            limit=asked.limit,
        )
        numbers = [number for number, _ in judged]
        for batch in batches:
            yield from _rows(batch, numbers, len(names))


def _rows(batch: pa.RecordBatch, numbers: Sequence[int], columns: int) -> Iterator[FailingRow]:
    words = -(-len(numbers) // WORD)
    masks = np.column_stack([batch.column(f"failed{word}").to_numpy() for word in range(words)])
    files, rows = batch.column("file_number").to_pylist(), batch.column("file_row").to_pylist()
    # By place: a field may have any name, also one of ours.
    values = [
        batch.column(place).to_pylist() for place in range(batch.num_columns - columns, batch.num_columns)
    ]
    for at, mask in enumerate(masks.tolist()):
        broken = tuple(numbers[place] for place in numbers_in(mask, len(numbers)))
        yield FailingRow(files[at], rows[at], broken, tuple(column[at] for column in values))
