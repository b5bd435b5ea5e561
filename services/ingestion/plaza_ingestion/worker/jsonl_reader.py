"""JSONL (one object a line) as batches. A record of another form is refused alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

from plaza_ingestion.worker.batches import Rows
from plaza_ingestion.worker.json_records import JsonRecords
from plaza_ingestion.worker.json_text import BLOCK
from plaza_ingestion.worker.json_values import BLANK, DECODER, NotARecord
from plaza_ingestion.worker.records import Fault


class JsonLinesReader(JsonRecords):
    """See `batches.Reader`. An empty line is no record, but counts as a line."""

    def batches(self) -> Iterator[Rows]:
        """One record a line; lines end with LF or CRLF."""
        end_sign = "\n".encode(self._encoding.name)
        at, line, rest = self._start, 1, b""
        unit = self._encoding.unit
        while at < self._source.size or rest:
            block = self._source.read(at + len(rest), BLOCK)
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
        text = raw.decode(self._encoding.name).strip(BLANK)
        if not text:
            return
        try:
            decoded = DECODER.decode(text)
        except NotARecord as error:
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
            block = self._source.read(end, BLOCK)
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
