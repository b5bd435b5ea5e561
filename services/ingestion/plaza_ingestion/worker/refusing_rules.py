"""Rules of a contract that refuse, as a plan declares them; `refusing` carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class NotNull:
    """The field has a value."""


@dataclass(frozen=True, slots=True)
class InRange:
    """The number lies between the bounds, both included; None: no bound."""

    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class HasLength:
    """The text has so many code points."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text matches the RE2 pattern."""

    pattern: str


@dataclass(frozen=True, slots=True)
class InList:
    """The value is one of these, written as texts."""

    values: tuple[str, ...]


Check: TypeAlias = NotNull | InRange | HasLength | Matches | InList


@dataclass(frozen=True, slots=True)
class RefusingRule:
    """A rule with the severity `refuse`."""

    id: str
    title: str
    field: str
    check: Check

    @property
    def words(self) -> str:
        """For the person who repairs the row."""
        return f"breaks rule {self.id}" + (f" ({self.title})" if self.title else "")
