"""The steps as a contract declares them, each checked against the contract's fields by `checks`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from plaza_kit.time_formats import TimeFormat, time_format


@dataclass(frozen=True, slots=True)
class Trim:
    """Blanks at both ends of the cells' texts are cut off."""

    fields: tuple[str, ...] = ()
    """Empty: all that have a column in the file."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class MapMissing:
    """Some texts become the empty one, which is no value."""

    tokens: tuple[str, ...]
    fields: tuple[str, ...] = ()
    """Empty: all that have a column in the file."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class MapCodes:
    """Texts take the place of texts; a cell without value stays so."""

    field: str
    codes: tuple[tuple[str, str], ...]
    """(text, what takes its place)."""
    keep_others: bool = False
    """A text that is not among them stays; else its row is refused."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ParseTime:
    """How the texts of a date or timestamp field are written. Raises BadTimeFormat when made of none."""

    field: str
    formats: tuple[str, ...]
    """In the language of `plaza_kit.time_formats`, tried in order."""
    zone: str = ""
    """IANA time zone of texts without an offset of their own; empty for dates."""
    name: str = ""

    def read_formats(self) -> tuple[TimeFormat, ...]:
        """The formats, cut into parts."""
        return tuple(time_format(text) for text in self.formats)


@dataclass(frozen=True, slots=True)
class ConvertUnit:
    """(value × factor + offset) ÷ divisor, reckoned exactly and rounded once."""

    field: str
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    divisor: Fraction = Fraction(1)
    from_unit: str = ""
    to_unit: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BuildTimestamp:
    """`target` becomes the instant that the parts say in `zone`.

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
    name: str = ""

    def parts(self) -> Iterator[tuple[str, str]]:
        """(part, field name) for each part that is given, coarsest first."""
        for part in ("year", "month", "day", "hour", "minute", "second"):
            name: str | None = getattr(self, part)
            if name is not None:
                yield part, name


@dataclass(frozen=True, slots=True)
class BuildKey:
    """`target` becomes the parts' texts joined by one character, so that different parts never give the same."""

    target: str
    parts: tuple[str, ...]
    separator: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class KeepLatest:
    """Of rows of one load with the same key that with the greatest value of a field stays."""

    field: str
    name: str = ""


Step = Trim | MapMissing | MapCodes | ParseTime | ConvertUnit | BuildTimestamp | BuildKey | KeepLatest
TextStep = Trim | MapMissing | MapCodes
ValueStep = ConvertUnit | BuildTimestamp | BuildKey


def targets(steps: tuple[Step, ...]) -> list[str]:
    """The fields that steps build, in the order of the steps."""
    return [step.target for step in steps if isinstance(step, BuildTimestamp | BuildKey)]
