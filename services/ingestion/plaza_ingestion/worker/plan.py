"""What a load is told: the contract's fields, key and steps, and how the file is written.

A plan is checked when it is made, so that the modules that carry it out need not doubt it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker.encodings import ENCODINGS, normal_name
from plaza_ingestion.worker.refusing_rules import RefusingRule
from plaza_ingestion.worker.steps.checks import problems
from plaza_ingestion.worker.steps.declared import BuildTimestamp as BuildTimestamp
from plaza_ingestion.worker.steps.declared import KeepLatest, Step

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
class LoadPlan:
    """Everything a load needs to know. Raises `InvalidPlan` when made of parts that do not fit."""

    fields: tuple[FieldSpec, ...]
    key: tuple[str, ...] = ()
    """Names of the fields that identify a row. They are required, whatever their own flag says."""
    steps: tuple[Step, ...] = ()
    """What is done to texts and values on the way (`steps`), in the contract's order."""
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
    entry: str = ""
    """Of an archive: the file in it that is loaded; empty: all of them."""
    refusing: tuple[RefusingRule, ...] = ()
    """Rules that keep rows out, in the contract's order."""
    dialect: Dialect = field(init=False, repr=False, compare=False)
    """Delimiter, quote, limit and encoding in one."""

    def __post_init__(self) -> None:
        dialect = Dialect(self.delimiter, self.quote, self.max_record_bytes, normal_name(self.encoding))
        object.__setattr__(self, "dialect", dialect)
        found = [
            *self._format_problems(),
            *_field_problems(self.fields),
            *self._key_problems(),
            *problems(self.steps, self.fields, self.key),
            *self._rule_problems(),
        ]
        if found:
            raise InvalidPlan(
                "The load plan contradicts itself: " + "; ".join(found) + ".",
                remedy="Correct the contract's schema and steps, then load again.",
            )

    def is_required(self, spec: FieldSpec) -> bool:
        """Whether a row without a value in this field is refused."""
        return spec.required or spec.name in self.key

    @property
    def keep_latest(self) -> KeepLatest | None:
        """The step that says which of rows with the same key stays; None: the first."""
        return next((step for step in self.steps if isinstance(step, KeepLatest)), None)

    def _format_problems(self) -> Iterator[str]:
        if self.type not in FORMATS:
            yield f"format {self.type!r} is none of {', '.join(FORMATS)}"

    def _rule_problems(self) -> Iterator[str]:
        known = {spec.name for spec in self.fields}
        for rule in self.refusing:
            if rule.field not in known:
                yield f"rule {rule.id!r} looks at {rule.field!r}, which is no field"

    def _key_problems(self) -> Iterator[str]:
        known = {spec.name for spec in self.fields}
        yield from (f"key field {name!r} is not a field" for name in self.key if name not in known)
        if len(set(self.key)) != len(self.key):
            yield "the key names a field twice"


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
