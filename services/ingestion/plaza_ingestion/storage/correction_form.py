"""A correction file as bytes: the source's own columns, encoding and delimiter, ours before them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from plaza.common.v1 import contract_pb2

from plaza_ingestion.domain.corrections import Identity
from plaza_ingestion.domain.quarantine import DETAIL_COLUMN, REASON_COLUMN, ROW_COLUMN
from plaza_ingestion.worker.translate import load_plan
from plaza_ingestion.worker.written import cell_writer

_TABLES: Final = ("", "csv", "tsv")
_WRITTEN_AS: Final = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "utf-16-le": "utf-16",
    "utf-16-be": "utf-16",
}
"""Encodings that cannot write every character, each with one that writes the same bytes and can; and those that do not
say what they are, without which a program that opens the file would have to guess."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule of the work order."""

    id: str
    title: str
    fields: tuple[str, ...]


class CorrectionForm:
    """Makes the file, line after line."""

    def __init__(
        self,
        order: str,
        version: int,
        contract: contract_pb2.Contract,
        headings: Sequence[str],
        rules: Sequence[BrokenRule],
        *,
        english: bool,
    ) -> None:
        """`headings`: of the newest file that the source gave, in its order; empty: not known. `contract`: the one in
        force, by which the file will be read."""
        plan = load_plan(contract)
        writers = {spec.source: (spec.name, cell_writer(plan, spec)) for spec in plan.fields if spec.source}
        known = list(dict.fromkeys(headings))
        self._order = order
        self._version = version
        self._key = tuple(contract.key)
        self._columns: list[tuple[str, tuple[str, Callable[[object], str]] | None]] = [
            (heading, writers.get(heading)) for heading in [*known, *(h for h in writers if h not in known)]
        ]
        self._rules = rules
        self._english = english
        self._sources = {spec.name: spec.source or spec.name for spec in plan.fields}
        form = contract.format
        table = form.type in _TABLES
        self._delimiter = (form.delimiter or ("\t" if form.type == "tsv" else ",")) if table else ","
        # Other kinds of files are shown as the table that spreadsheets open.
        encoding = (form.encoding or "utf-8") if table else "utf-8-sig"
        self._encode = codecs.getincrementalencoder(_WRITTEN_AS.get(encoding, encoding))()

    def heading(self) -> bytes:
        """The first line. `plaza_row` is there only where rows have a key to be found by."""
        own = [ROW_COLUMN] if self._key else []
        return self._line([*own, REASON_COLUMN, DETAIL_COLUMN, *(name for name, _ in self._columns)])

    def record(self, row: Mapping[str, object], broken: Sequence[int]) -> bytes:
        """One row, and the numbers of the rules that it breaks."""
        own = [str(Identity.of(self._order, self._version, self._key, row))] if self._key else []
        rules = [self._rules[number] for number in broken]
        cells = (field[1](row.get(field[0])) if field is not None else "" for _, field in self._columns)
        return self._line([*own, self._reason(rules), self._detail(rules), *cells])

    def _reason(self, rules: Sequence[BrokenRule]) -> str:
        if self._english:
            return "; ".join(f"breaks rule {r.id}" + (f" ({r.title})" if r.title else "") for r in rules)
        return "；".join(f"未满足规则 {r.id}" + (f"（{r.title}）" if r.title else "") for r in rules)

    def _detail(self, rules: Sequence[BrokenRule]) -> str:
        """The columns to look at, by their headings."""
        fields = dict.fromkeys(self._sources.get(name, name) for rule in rules for name in rule.fields)
        if self._english:
            return "look at: " + ", ".join(fields) if fields else ""
        return "请核对：" + "、".join(fields) if fields else ""

    def _line(self, cells: Sequence[str]) -> bytes:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator="\r\n").writerow(cells)
        return self._encode.encode(out.getvalue())
