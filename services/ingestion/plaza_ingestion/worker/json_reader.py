"""JSON (one array of objects) as batches.

A record of another form (no object, one name twice, too long, nested too deep) is refused alone, as long as it is
JSON. Broken JSON ends the file with `UnreadableFile`: what follows cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plaza_ingestion.worker.batches import Rows
from plaza_ingestion.worker.encodings import settle
from plaza_ingestion.worker.json_records import JsonRecords
from plaza_ingestion.worker.json_text import JsonText
from plaza_ingestion.worker.json_values import DEEPEST
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile


class JsonReader(JsonRecords):
    """See `batches.Reader`. The records are the elements of one array: the file itself, or what `path` names."""

    def __init__(self, source: SourceFile, dialect: Dialect, wanted: Sequence[str], path: str = "") -> None:
        super().__init__(source, dialect, wanted)
        self._path = tuple(path.split(".")) if path else ()

    def batches(self) -> Iterator[Rows]:
        """The elements of the array; nothing in the file may be broken."""
        text = JsonText(self._source, self._encoding, self._start, self._limit)
        for name in self._path:
            _descend(text, name)
        _expect(text, "[", "a JSON file must be an array of objects; name the array by the record path")
        number = 1
        if text.peek() == "]":
            text.skip(1)
        else:
            while True:
                number += 1
                self._element(text, number)
                if self._builder.full:
                    yield self._builder.take(text.at)
                if text.peek() == ",":
                    text.skip(1)
                elif text.peek() == "]":
                    text.skip(1)
                    break
                else:
                    raise text.broken("a comma or the end of the array is missing")
        if not self._path and text.peek():
            raise text.broken("something stands behind the array")
        yield self._builder.take(self._source.size)

    def _element(self, text: JsonText, number: int) -> None:
        text.peek()
        at = text.at
        decoded, refused, original = text.value()
        place = (at, text.at - at)
        if refused:
            self._builder.refuse(number, Fault.SYNTAX, refused, original, place)
        elif len(original) > self._limit:
            detail = f"the record is longer than {self._limit} bytes"
            self._builder.refuse(number, Fault.TOO_LONG, detail, original[: self._limit], place)
        else:
            self._take(number, decoded, original, place)


def _descend(text: JsonText, name: str) -> None:
    """From the start of an object to the start of its value `name`."""
    _expect(text, "{", f"there is no object that could hold {name!r}; correct the record path")
    while text.peek() == '"':
        key, _, _ = text.value()
        _expect(text, ":", "a colon is missing")
        if key == name:
            return
        text.value()
        if text.peek() == ",":
            text.skip(1)
    raise text.broken(f"there is no {name!r}; correct the record path")


def record_path(source: SourceFile, dialect: Dialect) -> str:
    """The dotted names down to the first array of objects in a JSON file; empty when the file is that array."""
    encoding = settle(dialect.encoding, source.read(0, 4))
    start = len(encoding.bom) if source.read(0, 4).startswith(encoding.bom) else 0
    text = JsonText(source, encoding, start, dialect.max_record_bytes)
    if text.peek() != "{":
        return ""
    found = _array_of_objects(text, ())
    if found is None:
        raise text.broken("the file has no array of objects")
    return ".".join(found)


def _array_of_objects(text: JsonText, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path to the first one within the object that begins here; None, behind the object, without one."""
    text.skip(1)
    while text.peek() == '"':
        name, _, _ = text.value()
        _expect(text, ":", "a colon is missing")
        if text.peek() == "{" and len(path) < DEEPEST:
            found = _array_of_objects(text, (*path, name))
            if found is not None:
                return found
        elif text.peek() == "[":
            text.skip(1)
            if text.peek() == "{":
                return (*path, name)
            while text.peek() not in ("]", ""):
                text.value()
                if text.peek() == ",":
                    text.skip(1)
            _expect(text, "]", "an array does not end")
        else:
            text.value()
        if text.peek() == ",":
            text.skip(1)
    _expect(text, "}", "an object does not end")
    return None


def _expect(text: JsonText, sign: str, otherwise: str) -> None:
    if text.peek() != sign:
        raise text.broken(otherwise)
    text.skip(1)
