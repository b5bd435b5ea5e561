"""A repeated XML element as records.

Attributes are columns `@name`, child elements columns `name`, nested ones `name.inner`, an attribute of a child
`name.@attribute`; text beside children or of the record itself is `#text`. Namespaces are left out of the names. A
child that repeats within a record has two values under one name: the record is refused.
White space around the text of an element belongs to the layout and is taken off; within it stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from plaza_ingestion.worker.batches import (
    MOST_COLUMNS,
    Rows,
    RowsBuilder,
    UnreadableFile,
    json_text,
)
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile
from plaza_ingestion.worker.xml_stream import Document, local_name

_LOOKED_AT: Final = 200_000
"""Elements after which the one that repeats is known."""


class XmlReader:
    """See `batches.Reader`."""

    places = False

    def __init__(self, source: SourceFile, dialect: Dialect, wanted: Sequence[str], path: str = "") -> None:
        """`path`: element names from the root to the record, separated by `/`; empty: `repeated_path`."""
        self.headings = tuple(wanted)
        self._source = source
        self._limit = dialect.max_record_bytes
        self._path = tuple(path.strip("/").split("/")) if path.strip("/") else repeated_path(source)
        self._others: dict[str, None] = {}

    def ignored(self) -> tuple[str, ...]:
        """Names that were met beside the wanted ones."""
        return tuple(self._others)

    def batches(self) -> Iterator[Rows]:
        """One record an element; the line is its number + 1."""
        builder, number, depth = RowsBuilder(len(self.headings)), 1, 0
        with self._source.path.open("rb") as file:
            document = Document(file, "the file")
            names: list[str] = []
            for event, element in document.events():
                if event == "start":
                    names.append(local_name(element))
                    continue
                depth = len(names)
                at_record = depth == len(self._path) and tuple(names) == self._path
                names.pop()
                if at_record:
                    number += 1
                    self._take(builder, number, element)
                if at_record or depth <= len(self._path):
                    document.forget(element)
                if builder.full:
                    yield builder.take(file.tell())
        if number == 1:
            raise UnreadableFile(
                f"The file has no element {'/'.join(self._path)}.",
                remedy="Correct the record path: element names from the root on, separated by /.",
            )
        yield builder.take(self._source.size)

    def _take(self, builder: RowsBuilder, line: int, element: Any) -> None:
        pairs = list(_cells(element, ""))
        cells = dict(pairs)
        original = json_text(cells, cells.values()) if len(cells) == len(pairs) else _with_all(pairs)
        found = tuple(cells.pop(name, "") for name in self.headings)
        if cells and len(self._others) < MOST_COLUMNS:
            self._others.update(dict.fromkeys(cells))
        if len(original) > self._limit:
            detail = f"the record has more than {self._limit} bytes"
            builder.refuse(line, Fault.TOO_LONG, detail, original[: self._limit])
        elif len(pairs) != len({name for name, _ in pairs}):
            twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
            builder.refuse(line, Fault.SYNTAX, f"the record has more than one {twice!r}", original)
        elif not any(found):
            detail = "the record has a value for none of the contract's fields"
            builder.refuse(line, Fault.SYNTAX, detail, original)
        else:
            builder.add(line, found, original)


def _with_all(pairs: Sequence[tuple[str, str]]) -> bytes:
    """JSON of a record in which a name repeats: later values get a number behind the name."""
    times: Counter[str] = Counter()
    named = {}
    for name, value in pairs:
        times[name] += 1
        named[name if times[name] == 1 else f"{name}#{times[name]}"] = value
    return json_text(named, named.values())


def _cells(element: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        yield f"{prefix}@{name.rpartition('}')[2]}", value
    children = [child for child in element if local_name(child)]
    text = "".join([element.text or "", *(child.tail or "" for child in children)]).strip()
    if text or (prefix and not children and not element.attrib):
        yield (
            (
                prefix.removesuffix(".")
                if prefix and not children and not element.attrib
                else f"{prefix}#text"
            ),
            text,
        )
    for child in children:
        yield from _cells(child, f"{prefix}{local_name(child)}.")


def repeated_path(source: SourceFile) -> tuple[str, ...]:
    """The path of the element that repeats nearest to the root, of several the most frequent one.

    Looks at the first 200,000 elements. Raises `UnreadableFile` when none repeats.
    """
    times: Counter[tuple[str, ...]] = Counter()
    names: list[str] = []
    with source.path.open("rb") as file:
        document = Document(file, "the file")
        for event, element in document.events():
            if event == "start":
                names.append(local_name(element))
                times[tuple(names)] += 1
                if times.total() >= _LOOKED_AT:
                    break
            else:
                names.pop()
                document.forget(element)
    repeated = [path for path, seen in times.items() if seen > 1]
    if not repeated:
        # One record alone: the root's only kind of child that has cells of its own.
        single = [path for path in times if len(path) == 2]
        if len(single) != 1:
            raise UnreadableFile(
                "No element of the file repeats, so there are no records.",
                remedy="Declare the record path: element names from the root on, separated by /.",
            )
        return single[0]
    nearest = min(len(path) for path in repeated)
    return max((path for path in repeated if len(path) == nearest), key=lambda path: times[path])
