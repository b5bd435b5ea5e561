"""What a rule can check: each kind with its parts, what it looks at, and for what it counts when nobody says so.

Every check has three outcomes: passes, fails, not applicable. A row without a value where the check looks is not
applicable, except for `NotNull`, which asks just that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from plaza_lake.comparing import AS_WRITTEN, Folding


class Dimension(StrEnum):
    """The six dimensions of quality, in the order in which they are shown."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"


class Scope(StrEnum):
    """How far one must look to judge."""

    ROW = "row"
    """The row alone: appended rows change no verdict of others."""
    KEYS = "keys"
    """The rows with the same key or in the same order."""
    TABLE = "table"
    """The table as a whole; it is judged once."""
    ACROSS = "across"
    """Rows of the table, against another dataset."""


class TextFormat(StrEnum):
    """Forms of a text, as the contract has them."""

    RESIDENT_ID = "resident_id"
    SOCIAL_CREDIT_CODE = "social_credit_code"
    ORGANISATION_CODE = "organisation_code"
    MOBILE_PHONE = "mobile_phone"
    PHONE = "phone"
    PLATE = "plate"
    POSTCODE = "postcode"
    EMAIL = "email"
    URL = "url"
    UUID = "uuid"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DIVISION_CODE = "division_code"


class Comparison(StrEnum):
    """Of two values."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class NotNull:
    """A row passes when the field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class InRange:
    """A row passes when the value lies between the bounds, both included; NaN lies nowhere."""

    field: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class Unique:
    """Of rows with the same values the first passes; an absent value equals an absent value."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HasFormat:
    """A row passes when the whole text has the form."""

    field: str
    format: TextFormat


@dataclass(frozen=True, slots=True)
class HasLength:
    """A row passes when the text has so many code points."""

    field: str
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Matches:
    """A row passes when the whole text matches the RE2 pattern."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class InList:
    """A row passes when the value is one of these, written as texts."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InCodeList:
    """A row passes when the value's text is a code of the list (`codeLists/…`, with or without a version)."""

    field: str
    code_list: str
    current_only: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A row passes when left stands so to right; a tolerance lets so much in the wrong direction pass."""

    left: str
    comparison: Comparison
    right: str
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Conditional:
    """A row for which `when` is true passes when `then` is true, and fails when it is false. Filter texts; an empty
    `when` is true."""

    when: str
    then: str


@dataclass(frozen=True, slots=True)
class Refers:
    """A row passes when its values stand together in a row of the other dataset."""

    fields: tuple[str, ...]
    dataset: str
    other_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotFuture:
    """A row passes when the day or moment is not later than the assessment's and the tolerance."""

    field: str
    tolerance: timedelta


@dataclass(frozen=True, slots=True)
class Monotone:
    """A row passes when its value is not below the last one before it in the order."""

    field: str
    ordered_by: str
    within: tuple[str, ...]
    falling: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class Fresh:
    """The table passes when its newest value is not older. None: as old as the promised update cycle allows."""

    field: str
    within: timedelta | None
    grace: timedelta


@dataclass(frozen=True, slots=True)
class RowCount:
    """The table passes when it has so many rows, absolutely and against the version before, in percent of those."""

    minimum: int | None
    maximum: int | None
    growth_percent: float | None
    loss_percent: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """The table passes when the field's population stability index against the version before is not above."""

    field: str
    limit: float
    bins: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A row passes when the department's own SQL expression is true, and fails when it is false."""

    text: str


@dataclass(frozen=True, slots=True)
class AgreesWith:
    """A row passes when the row of the other dataset with its key agrees with it, and fails when a field differs.
    Tolerances and foldings hold where they fit the type."""

    dataset: str
    key: tuple[str, ...]
    other_key: tuple[str, ...]
    fields: tuple[str, ...]
    other_fields: tuple[str, ...]
    absolute: float = 0.0
    relative: float = 0.0
    within: timedelta = timedelta(0)
    folding: Folding = AS_WRITTEN


Check: TypeAlias = (
    NotNull
    | InRange
    | Unique
    | HasFormat
    | HasLength
    | Matches
    | InList
    | InCodeList
    | Compared
    | Conditional
    | Refers
    | NotFuture
    | Monotone
    | Fresh
    | RowCount
    | Drift
    | Expression
    | AgreesWith
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What holds for all checks of a kind."""

    scope: Scope
    dimension: Dimension
    """What it usually counts for; the rule says."""
    indicator: str
    """Of GB/T 36344-2018, unless the rule says another."""


KINDS: Final[dict[type[Check], Kind]] = {
    NotNull: Kind(Scope.ROW, Dimension.COMPLETENESS, "0201"),
    InRange: Kind(Scope.ROW, Dimension.ACCURACY, "0301"),
    Unique: Kind(Scope.KEYS, Dimension.UNIQUENESS, "0304"),
    HasFormat: Kind(Scope.ROW, Dimension.VALIDITY, "0302"),
    HasLength: Kind(Scope.ROW, Dimension.VALIDITY, "0302"),
    Matches: Kind(Scope.ROW, Dimension.VALIDITY, "0302"),
    InList: Kind(Scope.ROW, Dimension.VALIDITY, "0101"),
    InCodeList: Kind(Scope.ROW, Dimension.VALIDITY, "0105"),
    Compared: Kind(Scope.ROW, Dimension.CONSISTENCY, "0402"),
    Conditional: Kind(Scope.ROW, Dimension.CONSISTENCY, "0104"),
    Refers: Kind(Scope.ACROSS, Dimension.CONSISTENCY, "0402"),
    NotFuture: Kind(Scope.ROW, Dimension.TIMELINESS, "0501"),
    Monotone: Kind(Scope.KEYS, Dimension.TIMELINESS, "0503"),
    Fresh: Kind(Scope.TABLE, Dimension.TIMELINESS, "0502"),
    RowCount: Kind(Scope.TABLE, Dimension.COMPLETENESS, "0202"),
    Drift: Kind(Scope.TABLE, Dimension.ACCURACY, "0301"),
    Expression: Kind(Scope.ROW, Dimension.VALIDITY, "0104"),
    AgreesWith: Kind(Scope.ACROSS, Dimension.ACCURACY, "0301"),
}
"""A code list's verdicts depend on the list's version too: a rule set that keeps row verdicts keeps that as well."""


def kind_of(check: Check) -> Kind:
    """What holds for all checks of its kind."""
    return KINDS[type(check)]
