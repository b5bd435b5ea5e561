"""The file's first record against the contract's columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from plaza_kit.errors import FailedPrecondition

from plaza_ingestion.worker.cells import split_record
from plaza_ingestion.worker.encodings import UTF8, Encoding
from plaza_ingestion.worker.plan import Dialect, LoadPlan
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import Window


class HeaderMismatch(FailedPrecondition):
    """The file's headings are not those of the contract. The batch is refused; no row was judged."""


@dataclass(frozen=True, slots=True)
class Header:
    """The headings of a file in order, unquoted and otherwise to the letter."""

    headings: tuple[str, ...]

    def columns_of(self, plan: LoadPlan) -> tuple[int, ...]:
        """The column of each field that has one, in contract order. Raises `HeaderMismatch`."""
        expected = [spec.source for spec in plan.fields if spec.source]
        found = Counter(self.headings)
        missing = [name for name in expected if not found[name]]
        twice = [name for name in expected if found[name] > 1]
        problems = []
        if missing:
            problems.append("no column " + ", ".join(f'"{name}"' for name in missing))
        if twice:
            problems.append("more than one column " + ", ".join(f'"{name}"' for name in twice))
        if problems:
            raise HeaderMismatch(
                f"The header has {' and '.join(problems)}.",
                remedy=self._remedy(missing),
                facts={
                    "expected": plan.delimiter.join(expected),
                    "found": plan.delimiter.join(self.headings),
                },
            )
        return tuple(self.headings.index(name) for name in expected)

    def ignored_by(self, plan: LoadPlan) -> tuple[str, ...]:
        """The headings that the contract does not name: their columns are left out."""
        named = {spec.source for spec in plan.fields}
        return tuple(heading for heading in self.headings if heading not in named or not heading)

    def _remedy(self, missing: list[str]) -> str:
        near = {heading.strip().casefold(): heading for heading in self.headings}
        for name in missing:
            if (heading := near.get(name.strip().casefold())) is not None:
                return f'Headings count to the letter: "{heading}" is not "{name}". Correct the file.'
        return "Name these columns in the file's heading, or adopt a contract version that fits the file."


def read_header(window: Window | None, dialect: Dialect) -> Header:
    """The header in the first window of a file (None: the file is empty). Raises `HeaderMismatch`."""
    if window is None:
        raise HeaderMismatch(
            "The file is empty: it has no header.",
            remedy="Send a file whose first line names the columns.",
        )
    original, fault, encoding = window.original(0), Fault(window.records.fault[0]), window.encoding
    if fault is Fault.ENCODING:
        guess = " (GB18030 fits)" if encoding is UTF8 and Encoding("gb18030").is_valid(original) else ""
        raise HeaderMismatch(
            f"The header is not {encoding.label}{guess}.",
            remedy="Declare the file's encoding in the contract's format, for instance gb18030, or convert it: "
            "iconv -f GB18030 -t UTF-8 old.csv > new.csv",
        )
    if fault is not Fault.NONE:
        raise HeaderMismatch(
            f"The header is no CSV record: {window.describe(0, dialect)[0]}.",
            remedy="Correct the quotes in the first line of the file.",
        )
    cells = split_record(encoding.to_utf8(original), int(window.records.fields[0]), dialect)
    return Header(tuple(cell.decode("utf-8") for cell in cells))
