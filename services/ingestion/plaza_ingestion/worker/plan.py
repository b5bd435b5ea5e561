"""What a load is told: the contract's fields, key and steps, and how the file is written.

A plan is checked when it is made, so that the modules that carry it out need not doubt it.
"""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker.encodings import ENCODINGS, normal_name

TYPES: Final = ("string", "integer", "number", "boolean", "date", "timestamp")
"""The types a field may have: `integer` has 64 bits, `number` is a double, `timestamp` UTC microseconds."""

FORMATS: Final = ("csv", "tsv", "json", "jsonl", "xml", "xlsx", "parquet")
"""How a file may be written. A ZIP archive of such files is read like the files in it, whichever they are."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_DEFAULT_MAX_RECORD_BYTES: Final = 1_048_576
RESERVED_NAMES: Final = frozenset({"file_row_number"})
"""Names that the engine gives to columns of its own when it reads Parquet."""


class InvalidPlan(InvalidArgument):
    """A load plan contradicts itself; no file was read."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file (RFC 4180) is written: one ASCII character each for delimiter and quote."""

    delimiter: str = ","
    quote: str = '"'
    max_record_bytes: int = _DEFAULT_MAX_RECORD_BYTES
    """A longer record is refused; a quoted field that does not close within it is taken for a stray quote."""
    encoding: str = "utf-8"
    """One of `encodings.ENCODINGS`."""

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise InvalidPlan(
                f"The encoding {self.encoding!r} is not known.", remedy=f"Use one of {', '.join(ENCODINGS)}."
            )
        for name, sign in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(sign) != 1 or not sign.isascii() or sign in "\r\n\0":
                raise InvalidPlan(
                    f"The {name} {sign!r} is not one ASCII character other than a line end.",
                    remedy='Use for instance "," or ";" as delimiter and \'"\' as quote.',
                )
        if self.delimiter == self.quote:
            raise InvalidPlan("Delimiter and quote are the same character.", remedy="Use two different ones.")
        if self.max_record_bytes < 1:
            raise InvalidPlan("max_record_bytes must be at least 1.", remedy="Leave it at its default.")

    @property
    def delimiter_byte(self) -> int:
        """The delimiter as a byte value."""
        return ord(self.delimiter)

    @property
    def quote_byte(self) -> int:
        """The quote as a byte value."""
        return ord(self.quote)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of the contract, as far as a load needs it."""

    name: str
    """The field's name in the table: `[a-z][a-z0-9_]*`."""
    source: str
    """The heading of its column in the file, to the letter; empty when a step builds the field."""
    type: str
    """One of `TYPES`."""
    required: bool = False
    """A row without a value is refused."""
    missing: tuple[str, ...] = ()
    """Cell texts that mean "no value", to the letter. The empty cell always does, for every type, quoted or
    not: quoting is transport, not meaning (RFC 4180 gives it none)."""


@dataclass(frozen=True, slots=True)
class BuildTimestamp:
    """A declared step: `target` becomes the instant that the parts say in `zone`.

    The names are names of integer fields; a part that is None counts as its smallest value (hour 0 …). A
    local time that does not exist in the zone, or exists twice, is refused: a load never guesses.
    """

    target: str
    year: str
    month: str
    day: str
    hour: str | None = None
    minute: str | None = None
    second: str | None = None
    zone: str = "Asia/Shanghai"
    """IANA time zone name."""

    def parts(self) -> Iterator[tuple[str, str]]:
        """(part, field name) for each part that is given, coarsest first."""
        for part in ("year", "month", "day", "hour", "minute", "second"):
            name: str | None = getattr(self, part)
            if name is not None:
                yield part, name


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Everything a load needs to know. Raises `InvalidPlan` when made of parts that do not fit."""

    fields: tuple[FieldSpec, ...]
    key: tuple[str, ...] = ()
    """Names of the fields that identify a row. They are required, whatever their own flag says."""
    steps: tuple[BuildTimestamp, ...] = ()
    delimiter: str = ","
    quote: str = '"'
    max_record_bytes: int = _DEFAULT_MAX_RECORD_BYTES
    type: str = "csv"
    """How the file is written: one of `FORMATS`."""
    encoding: str = "utf-8"
    """Of a text file, one of `encodings.ENCODINGS` or an alias of one; XLSX, XML and Parquet say theirs."""
    sheet: str = ""
    """XLSX: name of the sheet; empty: the first one."""
    record_path: str = ""
    """JSON: dotted names down to the array of records; empty: the whole file is that array. XML: element names
    from the root to the repeated element, separated by `/`; empty: the element that repeats nearest to the root."""
    dialect: Dialect = field(init=False, repr=False, compare=False)
    """Delimiter, quote, limit and encoding in one."""

    def __post_init__(self) -> None:
        dialect = Dialect(self.delimiter, self.quote, self.max_record_bytes, normal_name(self.encoding))
        object.__setattr__(self, "dialect", dialect)
        problems = [
            *self._format_problems(),
            *_field_problems(self.fields),
            *self._key_problems(),
            *self._step_problems(),
        ]
        if problems:
            raise InvalidPlan(
                "The load plan contradicts itself: " + "; ".join(problems) + ".",
                remedy="Correct the contract's schema and steps, then load again.",
            )

    def is_required(self, spec: FieldSpec) -> bool:
        """Whether a row without a value in this field is refused."""
        return spec.required or spec.name in self.key

    def _format_problems(self) -> Iterator[str]:
        if self.type not in FORMATS:
            yield f"format {self.type!r} is none of {', '.join(FORMATS)}"

    def _key_problems(self) -> Iterator[str]:
        known = {spec.name for spec in self.fields}
        yield from (f"key field {name!r} is not a field" for name in self.key if name not in known)
        if len(set(self.key)) != len(self.key):
            yield "the key names a field twice"

    def _step_problems(self) -> Iterator[str]:
        by_name = {spec.name: spec for spec in self.fields}
        targets = Counter(step.target for step in self.steps)
        for spec in self.fields:
            if not spec.source and targets[spec.name] != 1:
                yield f"field {spec.name!r} has no column and is built by {targets[spec.name]} steps, not one"
        for step in self.steps:
            target = by_name.get(step.target)
            if target is None or target.source or target.type != "timestamp":
                yield f"step target {step.target!r} is not a timestamp field without a column"
            for part, name in step.parts():
                source = by_name.get(name)
                if source is None or source.type != "integer" or not source.source:
                    yield f"{part} {name!r} of step target {step.target!r} is no integer field of the file"
            if not _zone_exists(step.zone):
                yield f"time zone {step.zone!r} is not known"


def _field_problems(fields: tuple[FieldSpec, ...]) -> Iterator[str]:
    if not any(spec.source for spec in fields):
        yield "no field has a column in the file"
    names = Counter(spec.name for spec in fields)
    sources = Counter(spec.source for spec in fields if spec.source)
    yield from (f"field name {name!r} is used {n} times" for name, n in names.items() if n > 1)
    yield from (f"column {source!r} feeds {n} fields" for source, n in sources.items() if n > 1)
    for spec in fields:
        if not _NAME.fullmatch(spec.name):
            yield f"field name {spec.name!r} does not match [a-z][a-z0-9_]*"
        if spec.name in RESERVED_NAMES:
            yield f"field name {spec.name!r} is reserved"
        if spec.type not in TYPES:
            yield f"type {spec.type!r} of field {spec.name!r} is none of {', '.join(TYPES)}"


def _zone_exists(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
