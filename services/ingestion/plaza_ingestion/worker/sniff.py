"""What a file is, by its own bytes: type, encoding, delimiter. A proposal only: a contract decides."""

from __future__ import annotations

import codecs
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from plaza_ingestion.worker.archive_reader import chosen_entries, unpacked
from plaza_ingestion.worker.encodings import Encoding, encoding_of_bom, settle
from plaza_ingestion.worker.json_reader import record_path
from plaza_ingestion.worker.plan import Dialect
from plaza_ingestion.worker.readers import Format, is_archive, likely_type
from plaza_ingestion.worker.records import split_fast
from plaza_ingestion.worker.source import SourceFile

_DELIMITERS: Final = (",", ";", "\t", "|")
_START: Final = 256 << 10
_BLOCK: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Why something is proposed: a stable code for programs and translations, a sentence for people."""

    code: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class ProposedFormat:
    """How a file seems to be written, and why."""

    format: Format
    encoding: str
    """Name of the encoding; `utf-8-sig` for UTF-8 with a byte order mark."""
    reasons: tuple[Finding, ...]


def propose_format(source: SourceFile, scratch: Path, entry: str = "") -> ProposedFormat:
    """Reads the file, or the chosen (else the first) file of an archive, as far as it takes."""
    if not is_archive(source):
        found = _propose(source)
    else:
        with ExitStack() as stack:
            first = chosen_entries(source, entry)[0]
            found = _propose(stack.enter_context(unpacked(source, first, scratch)))
    return replace(found, format=replace(found.format, entry=entry))


def _propose(source: SourceFile) -> ProposedFormat:
    start = source.read(0, _START)
    marked = encoding_of_bom(start)
    written = likely_type(start, settle(marked or "utf-8", start))
    said = Finding("type_by_content", f"the file begins as {written.upper()} does")
    if written in ("xlsx", "parquet", "xml"):  # they say their encoding themselves
        return ProposedFormat(Format(written, Dialect()), "utf-8", (said,))
    encoding, why = (marked, _BY_MARK) if marked else _by_validity(source)
    dialect = Dialect(encoding=encoding)
    name = "utf-8-sig" if marked == "utf-8" else encoding
    if written in ("json", "jsonl"):
        path = record_path(source, dialect) if written == "json" else ""
        return ProposedFormat(Format(written, dialect, record_path=path), name, (said, why))
    text = settle(encoding, start)
    # A character may be cut off at the end of what was read.
    signs = start.removeprefix(text.bom).decode(text.name, errors="replace").encode()
    delimiter = likely_delimiter(signs, final=len(start) == source.size)
    written = "tsv" if delimiter == "\t" else "csv"
    said = Finding("type_by_content", f"the file is text, cut by {delimiter!r}")
    return ProposedFormat(Format(written, Dialect(delimiter, encoding=encoding)), name, (said, why))


_BY_MARK: Final = Finding("encoding_marked", "the file begins with a byte order mark")


def _by_validity(source: SourceFile) -> tuple[str, Finding]:
    """Valid UTF-8, else valid GB18030, else whichever more of the lines are."""
    valid = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "gb18030")}
    at, ascii_only = 0, True
    while at < source.size and valid:
        block = source.read(at, _BLOCK)
        at += len(block)
        if ascii_only and block.isascii():
            continue
        ascii_only = False
        for name, decoder in list(valid.items()):
            try:
                decoder.decode(block, final=at >= source.size)
            except UnicodeDecodeError:
                del valid[name]
    if ascii_only:
        return "utf-8", Finding("encoding_ascii", "all characters are ASCII, the same in every encoding")
    if len(valid) == 2:
        return "utf-8", Finding(
            "encoding_ambiguous",
            "every byte is valid UTF-8; as GB18030 it would be valid too, with other characters: look at the texts",
        )
    if valid and "utf-8" in valid:
        return "utf-8", Finding(
            "encoding_utf8", "every byte is valid UTF-8, and not all of it is valid GB18030"
        )
    utf8, gb18030 = _valid_lines(source)
    if utf8 >= gb18030:
        return "utf-8", Finding(
            "encoding_mostly_utf8", f"{utf8} lines beyond ASCII are UTF-8, {gb18030} GB18030"
        )
    if valid:
        return "gb18030", Finding("encoding_gb18030", "not UTF-8; every byte is valid GB18030")
    return "gb18030", Finding(
        "encoding_mostly_gb18030", f"{gb18030} lines beyond ASCII are GB18030, {utf8} UTF-8"
    )


def _valid_lines(source: SourceFile) -> tuple[int, int]:
    """How many lines of the first blocks that are not ASCII are UTF-8, and how many GB18030.

    A line of Chinese in GB18030 is hardly ever valid UTF-8 (the second byte of most characters is none that may
    follow); the other way round it happens, so that a draw is UTF-8.
    """
    utf8 = gb18030 = at = 0
    while at < source.size and utf8 + gb18030 < 100_000:
        block = source.read(at, _BLOCK)
        at += len(block)
        for line in block.split(b"\n")[: None if at >= source.size else -1]:
            if not line.isascii():
                utf8 += Encoding("utf-8").is_valid(line)
                gb18030 += Encoding("gb18030").is_valid(line)
    return utf8, gb18030


def likely_delimiter(text: bytes, *, final: bool) -> str:
    """The delimiter that cuts most records of a UTF-8 text into the same number of fields; the comma when none does.

    `final`: the file ends with the text.
    """
    if not text:
        return ","

    def evenness(delimiter: str) -> tuple[float, int]:
        fields = split_fast(text, Dialect(delimiter), final=final).records.fields
        if not len(fields):
            return 0.0, 0
        number, times = Counter(fields.tolist()).most_common(1)[0]
        return (times / len(fields) if number > 1 else 0.0), number

    return max(_DELIMITERS, key=evenness)
