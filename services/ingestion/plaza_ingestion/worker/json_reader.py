"""JSON (one array of objects) and JSONL (one object a line) as batches.

- Numbers keep their letters: `1.10` is the text `1.10`, whatever a double would make of it.
- Nested objects become dotted names (`address.city`). An array becomes the JSON text of itself, which a string
  field takes and every other type refuses. `null` and a name that is absent have no value.
- A record of another form (no object, one name twice, too long, nested too deep) is refused alone in JSONL; in JSON
  too, as long as it is JSON. Broken JSON ends the file with `UnreadableFile`: what follows cannot be told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from plaza_ingestion.worker.batches import (
    MOST_COLUMNS,
    OversizedFile,
    Rows,
    RowsBuilder,
    UnreadableFile,
    one_line,
)
from plaza_ingestion.worker.encodings import Encoding, settle
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.records import Fault
from plaza_ingestion.worker.source import SourceFile

_BLOCK: Final = 2 << 20
_BLANK: Final = " \t\r\n"
_DEEPEST: Final = 64


class _NotARecord(Exception):
    """Why a record is refused, in plain words."""


class _Number(str):
    """A JSON number, to the letter."""


class _Broken(Exception):
    """No JSON, or not all of it yet."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotARecord(f"the name {json.dumps(twice, ensure_ascii=False)} stands twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise _NotARecord(f"{word} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=_no_constant,
    strict=True,
)
# Where a record is refused for what stands in it, this one still tells where it ends.
_LENIENT: Final = json.JSONDecoder(parse_float=_Number, parse_int=_Number, strict=False)


def flat(record: Any) -> dict[str, str]:
    """The cells of one decoded record under dotted names. Raises `_NotARecord`."""
    if not isinstance(record, dict):
        raise _NotARecord("the record is no JSON object")
    cells: dict[str, str] = {}
    _flatten(record, "", cells, 0)
    return cells


def _flatten(record: Mapping[str, Any], prefix: str, cells: dict[str, str], depth: int) -> None:
    if depth > _DEEPEST:
        raise _NotARecord(f"objects are nested deeper than {_DEEPEST}")
    for name, value in record.items():
        path = prefix + _whole(name)
        if isinstance(value, dict):
            _flatten(value, path + ".", cells, depth + 1)
            continue
        if path in cells:
            raise _NotARecord(f"two values have the name {json.dumps(path, ensure_ascii=False)}")
        cells[path] = _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return _whole(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(_spelled(value, 0))


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NotARecord("a text holds half a character (a lone surrogate)") from None
    return text


def _spelled(value: Any, depth: int) -> Iterator[str]:
    """JSON again, numbers to the letter."""
    if depth > _DEEPEST:
        raise _NotARecord(f"values are nested deeper than {_DEEPEST}")
    if isinstance(value, _Number):
        yield str(value)
    elif isinstance(value, list):
        yield "["
        for place, item in enumerate(value):
            yield "," if place else ""
            yield from _spelled(item, depth + 1)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for place, (name, item) in enumerate(value.items()):
            yield ("," if place else "") + json.dumps(name, ensure_ascii=False) + ":"
            yield from _spelled(item, depth + 1)
        yield "}"
    else:
        yield one_line(value).decode()


class _Records:
    """What JSON and JSONL have in common: wanted names, and names that nobody wants."""

    def __init__(self, source: SourceFile, dialect: Dialect, wanted: Sequence[str]) -> None:
        self.headings = tuple(wanted)
        self.places = True
        self._source = source
        self._encoding: Encoding = settle(dialect.encoding, source.read(0, 4))
        self._start = len(self._encoding.bom) if source.read(0, 4).startswith(self._encoding.bom) else 0
        self._limit = dialect.max_record_bytes
        self._others: dict[str, None] = {}
        self._builder = RowsBuilder(len(self.headings))

    def ignored(self) -> tuple[str, ...]:
        """Names that were met beside the wanted ones."""
        return tuple(self._others)

    def _take(self, line: int, decoded: Any, original: bytes, place: tuple[int, int]) -> None:
        """Adds a decoded record, or refuses it."""
        try:
            cells = flat(decoded)
            found = tuple(cells.pop(name, "") for name in self.headings)
            if cells and len(self._others) < MOST_COLUMNS:
                self._others.update(dict.fromkeys(cells))
            if not any(found):
                raise _NotARecord("the record has a value for none of the contract's fields")
        except _NotARecord as error:
            self._builder.refuse(line, Fault.SYNTAX, str(error), original, place)
        else:
            self._builder.add(line, found, original, place)


class JsonLinesReader(_Records):
    """See `batches.Reader`. An empty line is no record, but counts as a line."""

    def batches(self) -> Iterator[Rows]:
        """One record a line; lines end with LF or CRLF."""
        end_sign = "\n".encode(self._encoding.name)
        at, line, rest = self._start, 1, b""
        unit = self._encoding.unit
        while at < self._source.size or rest:
            block = self._source.read(at + len(rest), _BLOCK)
            data = rest + block
            final = at + len(data) >= self._source.size
            begin = 0
            while (end := _find(data, end_sign, begin, unit)) >= 0 or (final and begin < len(data)):
                stop = end if end >= 0 else len(data)
                self._line(line, data[begin:stop], at + begin)
                begin, line = (end + unit if end >= 0 else len(data)), line + 1
                if self._builder.full:
                    yield self._builder.take(at + begin)
            at, rest = at + begin, data[begin:]
            if len(rest) > self._limit:
                at, rest = self._endless(line, at, end_sign), b""
                line += 1
            if final:
                break
        yield self._builder.take(self._source.size)

    def _line(self, line: int, raw: bytes, at: int) -> None:
        raw = raw.removesuffix("\r".encode(self._encoding.name))
        place = (at, len(raw))
        if len(raw) > self._limit:
            detail = f"the record is longer than {self._limit} bytes"
            self._builder.refuse(line, Fault.TOO_LONG, detail, raw[: self._limit], place)
            return
        wrong = None if self._encoding.is_valid(raw) else self._encoding.first_wrong_byte(raw)
        if wrong is not None:
            detail = f"byte {wrong + 1} of the record (0x{raw[wrong]:02X}) is not {self._encoding.label}"
            self._builder.refuse(line, Fault.ENCODING, detail, raw, place)
            return
        text = raw.decode(self._encoding.name).strip(_BLANK)
        if not text:
            return
        try:
            decoded = _DECODER.decode(text)
        except _NotARecord as error:
            self._builder.refuse(line, Fault.SYNTAX, str(error), raw, place)
        except RecursionError:
            self._builder.refuse(line, Fault.SYNTAX, "the record is nested too deep", raw, place)
        except ValueError as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else "no JSON"
            self._builder.refuse(line, Fault.SYNTAX, f"the record is not JSON: {said}", raw, place)
        else:
            self._take(line, decoded, raw, place)

    def _endless(self, line: int, at: int, end_sign: bytes) -> int:
        """Refuses a line longer than may be held; where the next one begins."""
        unit, end = self._encoding.unit, at
        while end < self._source.size:
            block = self._source.read(end, _BLOCK)
            found = _find(block, end_sign, 0, unit)
            if found >= 0:
                end += found
                break
            end += len(block)
        detail = f"the record is longer than {self._limit} bytes"
        first = self._source.read(at, self._limit)
        self._builder.refuse(line, Fault.TOO_LONG, detail, first, (at, end - at))
        return min(end + unit, self._source.size)


def _find(data: bytes, sign: bytes, begin: int, unit: int) -> int:
    """The first `sign` that stands at a whole unit; -1 without one. (LF is no part of a GB18030 character.)"""
    at = data.find(sign, begin)
    while unit > 1 and at >= 0 and (at - begin) % unit:
        at = data.find(sign, at + 1)
    return at


class JsonReader(_Records):
    """See `batches.Reader`. The records are the elements of one array: the file itself, or what `path` names."""

    def __init__(self, source: SourceFile, dialect: Dialect, wanted: Sequence[str], path: str = "") -> None:
        super().__init__(source, dialect, wanted)
        self._path = tuple(path.split(".")) if path else ()

    def batches(self) -> Iterator[Rows]:
        """The elements of the array; nothing in the file may be broken."""
        text = _Text(self._source, self._encoding, self._start, self._limit)
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

    def _element(self, text: _Text, number: int) -> None:
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


def _descend(text: _Text, name: str) -> None:
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
    text = _Text(source, encoding, start, dialect.max_record_bytes)
    if text.peek() != "{":
        return ""
    found = _array_of_objects(text, ())
    if found is None:
        raise text.broken("the file has no array of objects")
    return ".".join(found)


def _array_of_objects(text: _Text, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path to the first one within the object that begins here; None, behind the object, without one."""
    text.skip(1)
    while text.peek() == '"':
        name, _, _ = text.value()
        _expect(text, ":", "a colon is missing")
        if text.peek() == "{" and len(path) < _DEEPEST:
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


def _expect(text: _Text, sign: str, otherwise: str) -> None:
    if text.peek() != sign:
        raise text.broken(otherwise)
    text.skip(1)


class _Text:
    """The decoded text of a file from a place on, in bounded memory."""

    def __init__(self, source: SourceFile, encoding: Encoding, at: int, limit: int) -> None:
        self._source = source
        self._codec = encoding.name
        self._label = encoding.label
        self._limit = limit
        self._text, self._place = "", 0
        self._read_to = at
        self._left = b""
        self.at = at
        """Place in the file of what is read next."""

    def peek(self) -> str:
        """The next sign that is not blank; empty at the end of the file."""
        while True:
            begin = self._place
            while self._place < len(self._text) and self._text[self._place] in _BLANK:
                self._place += 1
            self._pass(begin, self._place)
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def skip(self, signs: int) -> None:
        """Passes signs that were peeked at."""
        self._place += signs
        self._pass(self._place - signs, self._place)

    def value(self) -> tuple[Any, str, bytes]:
        """(value, why it is refused, its bytes in the file) of the JSON value that begins here."""
        self.peek()
        while True:
            try:
                value, end, refused = self._decoded()
                if end < len(self._text) or not self._more():
                    break
            except _Broken as error:
                if len(self._text) - self._place > self._limit + _BLOCK:
                    raise OversizedFile(
                        f"A value that begins at byte {self.at} has more than {self._limit} bytes, or is broken JSON.",
                        remedy="Send records of at most 1 MiB, for instance as JSONL.",
                    ) from None
                if not self._more():
                    raise self.broken(str(error)) from None
        original = self._text[self._place : end].encode(self._codec)
        self._pass(self._place, end)
        self._place = end
        return value, refused, original

    def broken(self, what: str) -> UnreadableFile:
        """The error that names the place."""
        return UnreadableFile(
            f"The JSON cannot be read at byte {self.at}: {what}.",
            remedy="Check that the file was written and sent completely, and correct this place.",
            facts={"byte": str(self.at)},
        )

    def _decoded(self) -> tuple[Any, int, str]:
        try:
            value, end = _DECODER.raw_decode(self._text, self._place)
            return value, end, ""
        except _NotARecord as error:
            refused = str(error)
        except RecursionError:
            raise self.broken("values are nested too deep") from None
        except json.JSONDecodeError as error:
            raise _Broken(error.msg) from None
        except ValueError:
            raise _Broken("no JSON") from None
        try:
            _, end = _LENIENT.raw_decode(self._text, self._place)
        except ValueError:
            raise _Broken(refused) from None
        return None, end, refused

    def _pass(self, begin: int, end: int) -> None:
        piece = self._text[begin:end]
        self.at += (
            len(piece)
            if piece.isascii() and self._codec in ("utf-8", "gb18030")
            else len(piece.encode(self._codec))
        )

    def _more(self) -> bool:
        """Reads on; False at the end of the file. Raises `UnreadableFile` where bytes are no characters."""
        block = self._source.read(self._read_to, _BLOCK)
        if not block:
            return False
        self._read_to += len(block)
        data = self._left + block
        final = self._read_to >= self._source.size
        try:
            decoded, used = data.decode(self._codec), len(data)
        except UnicodeDecodeError as error:
            # A character may be cut by the end of the block: at most four bytes of it are here.
            if final or error.start < len(data) - 4:
                at = self._read_to - len(data) + error.start
                raise UnreadableFile(
                    f"Byte {at} of the file is not {self._label}.",
                    remedy="Declare the file's encoding in the contract's format, or send the file again.",
                ) from None
            decoded, used = data[: error.start].decode(self._codec), error.start
        self._left = data[used:]
        self._text = self._text[self._place :] + decoded
        self._place = 0
        return True
