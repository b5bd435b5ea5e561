"""Repair files come back as whatever a person's spreadsheet program saves: XLSX, or CSV in its own dialect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from plaza_ingestion.domain.quarantine import ROW_COLUMN
from plaza_ingestion.worker.plan import LoadPlan
from plaza_ingestion.worker.sniff import propose_format
from plaza_ingestion.worker.source import SourceFile

_SPREADSHEETS: Final = frozenset({"csv", "tsv", "xlsx"})


def as_it_was_saved(plan: LoadPlan, source: Path, scratch: Path) -> LoadPlan:
    """The plan for a repair file, with the file's own type, encoding and delimiter; any other plan as it is.

    A contract says how a department's files are written, and no contract says it of repair files. Raises as
    `propose_format`.
    """
    if all(field.source != ROW_COLUMN for field in plan.fields):
        return plan
    with SourceFile(source) as file:
        found = propose_format(file, scratch).format
    if found.type not in _SPREADSHEETS:
        return plan  # read as CSV it will say what is wrong
    dialect = found.dialect
    return replace(plan, type=found.type, delimiter=dialect.delimiter, encoding=dialect.encoding, sheet="")
