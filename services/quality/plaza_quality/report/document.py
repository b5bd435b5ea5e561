"""What a health report says, in one language, as blocks that any format can set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Light = Literal["green", "yellow", "red", "unspecified", ""]
Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Lead:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Kpi:
    """A number that is looked at first."""

    name: str
    value: str
    unit: str = ""
    light: Light = ""
    said: str = ""
    """The light's word."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Kpis:
    """Some of them beside each other."""

    items: Sequence[Kpi]


@dataclass(frozen=True, slots=True)
class Points:
    """Findings."""

    items: Sequence[tuple[Light, str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its finding, its measure, and what is said where it cannot be seen."""

    finding: str
    measure: str
    said: str
    wide: str
    narrow: str
    """SVG."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column."""

    text: str
    align: Align = "left"
    weight: int = 2
    """Share of the width."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    sub: str = ""
    light: Light = ""
    """Set before the text, as a sign."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below heads."""

    name: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Formula:
    """What a number means."""

    term: str
    formula: str
    text: str


@dataclass(frozen=True, slots=True)
class Formulas:
    """The method."""

    items: Sequence[Formula]


Block = Lead | Kpis | Points | Chart | Table | Formulas


@dataclass(frozen=True, slots=True)
class Section:
    """A part with a heading."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """The whole."""

    language: str
    title: str
    """Of the file."""
    site: str
    name: str
    who: str
    month: str
    say: str
    """The first sentence, with the numbers in it."""
    light: Light
    notes: Sequence[str]
    """How it came to be."""
    contents: str
    page: str
    """With `{page}` and `{pages}`."""
    sections: Sequence[Section] = field(default_factory=tuple)
