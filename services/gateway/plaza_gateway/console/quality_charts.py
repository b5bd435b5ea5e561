"""Scores over versions or days as SVG geometry: all that varies is an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDE, NARROW = 720, 340
_LEFT, _TOP, _PLOT, _FOOT = 34, 18, 96, 24
_MOST_LABELS = {WIDE: 12, NARROW: 5}


@dataclass(frozen=True, slots=True)
class Mark:
    """A point."""

    x: float
    y: float
    label: str
    """Below the axis; empty: too many to be told."""


@dataclass(frozen=True, slots=True)
class LineChart:
    """Everything that a template draws."""

    width: int
    height: int
    left: int
    path: str
    """Open where nothing is known."""
    marks: tuple[Mark, ...]
    goal: float
    ticks: tuple[tuple[float, str], ...]
    foot: float
    """Where labels stand."""
    axis: float


def line(points: Sequence[tuple[str, float | None]], goal: float, width: int) -> LineChart:
    """Labels and scores, the oldest first. The scale begins where it shows the differences, and is written."""
    known = [score for _, score in points if score is not None]
    low = max(int(min([*known, goal]) // 10) * 10 - 10, 0)
    step = (width - _LEFT - 24) / max(len(points) - 1, 1)
    apart = -(-len(points) // _MOST_LABELS[width])

    def y(score: float) -> float:
        return round(_TOP + _PLOT * (100 - score) / (100 - low), 1)

    path, marks, pen = [], [], False
    for number, (label, score) in enumerate(points):
        x = round(_LEFT + 4 + step * number, 1)
        if score is not None:
            path.append(f"{'L' if pen else 'M'}{x} {y(score)}")
            shown = (len(points) - 1 - number) % apart == 0
            marks.append(Mark(x, y(score), label if shown else ""))
        pen = score is not None
    size = 10 if low >= 60 else 20
    return LineChart(
        width=width,
        height=_TOP + _PLOT + _FOOT,
        left=_LEFT,
        path="".join(path),
        marks=tuple(marks),
        goal=y(goal),
        ticks=tuple((y(at), str(at)) for at in range(100, low - 1, -size)),
        foot=_TOP + _PLOT + 17,
        axis=_TOP + _PLOT,
    )
