"""What a table looks like, in the words of the contract: names, types, key. Without any engine: who only speaks about
tables (filters, expressions, contracts) needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from plaza_kit.errors import InvalidArgument

TableKind = Literal["rows", "quarantine"]
"""The two tables of a dataset: what was accepted, and what was refused with its reason."""


class FieldType(StrEnum):
    """The types that a column may have, in the words of the contract."""

    STRING = "string"
    INTEGER = "integer"
    """64 bits, signed."""
    NUMBER = "number"
    """IEEE 754 binary64."""
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """An instant, microseconds, UTC."""
    BYTES = "bytes"


_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED: Final = frozenset({"filename", "file_row_number", "file_index"})
"""Names that DuckDB gives to columns of its own when it reads Parquet."""


class InvalidFieldName(InvalidArgument):
    """A column has a name that not every engine can carry."""


class InvalidSchema(InvalidArgument):
    """The columns and the key do not make a table."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `required`: a row without a value is refused at load."""

    name: str
    type: FieldType
    required: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidFieldName(
                f"field name {self.name!r} is not [a-z][a-z0-9_]* of at most 63 characters",
                remedy="Use lower-case ASCII letters, digits and underscores; begin with a letter.",
                facts={"field": self.name},
            )
        if self.name in RESERVED:
            raise InvalidFieldName(
                f"field name {self.name!r} is reserved",
                remedy=f"Rename it; reserved are {', '.join(sorted(RESERVED))}.",
                facts={"field": self.name},
            )


@dataclass(frozen=True, slots=True)
class TableSchema:
    """Columns in the contract's order, and the names of the key (empty: the table has none)."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise InvalidSchema("a table needs at least one column", remedy="Declare its fields.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidSchema(f"fields declared twice: {', '.join(twice)}", remedy="Name each field once.")
        unknown = [name for name in self.key if name not in names]
        if unknown or len(set(self.key)) < len(self.key):
            raise InvalidSchema(
                f"key {', '.join(self.key)} must name declared fields, each once",
                remedy=f"Choose from: {', '.join(names)}.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def select(self, names: Iterable[str]) -> TableSchema:
        """The named columns in the order asked for; the key stays only when it is whole."""
        by_name = {column.name: column for column in self.columns}
        columns = tuple(by_name[name] for name in names)
        chosen = {column.name for column in columns}
        return TableSchema(columns, self.key if chosen.issuperset(self.key) else ())


QUARANTINE_SCHEMA: Final = TableSchema(
    columns=(
        Column("id", FieldType.STRING, required=True),
        Column("batch_id", FieldType.STRING, required=True),
        Column("file", FieldType.STRING, required=True),
        Column("line", FieldType.INTEGER, required=True),
        Column("field", FieldType.STRING),
        Column("reason", FieldType.STRING, required=True),
        Column("detail", FieldType.STRING, required=True),
        Column("original", FieldType.BYTES, required=True),
    ),
    key=("id",),
)
"""Refused rows: `line` is the first physical line of the record (header = 1), `field` is empty for a ragged
record, `original` holds the record's exact bytes, whatever their encoding."""
