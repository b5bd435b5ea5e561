"""Small figures as SVG geometry: all that varies is an attribute, so that no inline style is needed."""

from __future__ import annotations

from dataclasses import dataclass

STONE = 8
"""Side of a stone; the grid's step is `STEP`."""
STEP = 10


@dataclass(frozen=True, slots=True)
class Waffle:
    """One row of the square: stones filled column by column, in three kinds."""

    width: int
    """Width of the view box, the same for all rows of a figure, so that stones are equally large."""
    height: int
    today: str
    """Path of the stones updated today."""
    kept: str
    """Path of the others."""
    late: str
    """Path of those later than promised (drawn as outlines)."""


def waffles(counts: list[tuple[int, int, int]]) -> list[Waffle]:
    """Rows for (today, kept, late) counts.

    Up to 24 stones stand in one line, more in three, so that a city with twelve datasets and one with twelve
    hundred both fill the square.
    """
    largest = max((sum(row) for row in counts), default=0)
    lines = 1 if largest <= 24 else 3
    columns = max(-(-largest // lines), 12 if lines == 1 else 40)
    return [_waffle(row, lines, columns) for row in counts]


def _waffle(row: tuple[int, int, int], lines: int, columns: int) -> Waffle:
    today, kept, late = row
    return Waffle(
        width=columns * STEP - 2,
        height=lines * STEP - 2,
        today=_stones(0, today, lines, inset=0),
        kept=_stones(today, kept, lines, inset=0),
        late=_stones(today + kept, late, lines, inset=1),
    )


def _stones(first: int, count: int, lines: int, inset: int) -> str:
    side = STONE - 2 * inset
    return "".join(
        f"M{i // lines * STEP + inset} {i % lines * STEP + inset}h{side}v{side}h-{side}z"
        for i in range(first, first + count)
    )
