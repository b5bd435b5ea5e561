"""The files of a correction: which lines take the place of a row, by the table as it is now.

Blocking; call it in a thread, under the lock of the dataset's commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from plaza_lake import engine
from plaza_lake.files import local_path
from plaza_lake.overwrite import all_rows
from plaza_lake.render import column, read_parquet, same_key
from plaza_lake.schema import TableSchema, arrow_schema
from plaza_lake.tables import Lake, TableNotFound
from plaza_lake.versions import versions_of
from plaza_lake.write import StagedFile
from sqlglot import exp

from plaza_ingestion.domain.batches import Decision
from plaza_ingestion.domain.corrections import UNCHANGED, refusal, said
from plaza_ingestion.domain.quarantine import ROW_COLUMN, without_cells
from plaza_ingestion.storage.final_files import Staged, Target, check_rows, read_refused
from plaza_ingestion.storage.staging import StagedFileChanged

_SHOWN: Final = 20
"""Lines that a run names one by one; of more it says how many."""


@dataclass(slots=True)
class Judged:
    """Every line of a correction file, told apart."""

    unwanted: list[int] = field(default_factory=list)
    """Numbers of accepted rows that do not come in."""
    reasons: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def refuse(self, line: int, reason: str, words: str) -> None:
        self.reasons[reason] += 1
        if reason != UNCHANGED:
            self.notes.append(f"line {line}: {words}")

    def decision(self, accepted: StagedFile | None) -> Decision:
        """As it is kept. Refused lines make no quarantined rows: the row that they were made of is in the table."""
        shown = self.notes[:_SHOWN]
        if len(self.notes) > _SHOWN:
            shown.append(f"{len(self.notes) - _SHOWN} lines more were not taken for such reasons")
        if self.reasons[UNCHANGED]:
            shown.append(f"lines that say what the table says, and change nothing: {self.reasons[UNCHANGED]}")
        filled = accepted if accepted is not None and accepted.rows else None
        return Decision(filled, None, dict(sorted(self.reasons.items())), tuple(shown))


def judge(lake: Lake, staged: Staged, target: Target, order: str) -> Judged:
    """Raises StagedFileChanged when a file does not hold what its manifest says."""
    try:
        check_rows(staged)
        judged = Judged()
        if staged.accepted is not None and staged.positions is not None:
            _judge_accepted(lake, staged.accepted, staged.positions, target, order, judged)
        for row in read_refused(staged.refused):
            judged.refuse(row.line, row.reason.value, without_cells(row.detail))
        return judged
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StagedFileChanged(
            f"the staged files cannot be read: {error}", remedy="hand the correction file in again"
        ) from error


def _judge_accepted(
    lake: Lake, accepted: StagedFile, positions: StagedFile, target: Target, order: str, judged: Judged
) -> None:
    key = target.schema.key
    stored = {said(_part(row, key)): row for row in _stored_rows(lake, target, accepted.uri).to_pylist()}
    lines = pq.read_table(local_path(positions.uri), columns=["line"]).column(0).to_pylist()
    rows = pq.read_table(local_path(accepted.uri), columns=[*target.schema.names, ROW_COLUMN]).to_pylist()
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        name = str(row.pop(ROW_COLUMN))
        reason, words = refusal(order, key, row, name, stored.get(said(_part(row, key))))
        if reason:
            judged.unwanted.append(number)
            judged.refuse(line, reason, words)


def _part(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _stored_rows(lake: Lake, target: Target, uri: str) -> pa.Table:
    """The rows of the newest version whose key the file has."""
    schema = arrow_schema(target.schema)
    paths = _files(lake, target.dataset)
    if not paths:
        return schema.empty_table()
    staged = str(local_path(uri))
    query = _with_key_of(lake, target.schema, paths, staged)
    return pa.Table.from_batches(engine.stream(lake, query, [staged, *paths], schema), schema)


def _with_key_of(lake: Lake, schema: TableSchema, paths: list[str], staged: str) -> exp.Expr:
    keys = exp.select(*(column(name) for name in schema.key)).from_(read_parquet([staged])).subquery()
    return all_rows(lake, schema, paths).join(
        exp.alias_(keys, "staged"), on=same_key(schema.key, "stored", "staged"), join_type="semi"
    )


def _files(lake: Lake, dataset: str) -> list[str]:
    try:
        table = lake.load(dataset, "rows")
    except TableNotFound:
        return []
    known = versions_of(table)
    return engine.planned_files(table, known[-1].snapshot_id) if known else []
