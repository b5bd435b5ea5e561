"""Charts of health reports as SVG. Only attributes, no style: the same picture stands in HTML and in PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import escape
from plaza_design import formats

INK: Final = "#0e1321"
SOFT: Final = "#3c4558"
LINE: Final = "#d3d8e2"
ACCENT: Final = "#1b38b8"
PALE: Final = "#7c95e8"
LIGHTS: Final = {"green": "#0d8768", "yellow": "#b97400", "red": "#cc3a26", "unspecified": "#566073"}
"""The design language's marks on white."""
WIDE: Final = 720
NARROW: Final = 340
"""Units across: a unit is about a pixel on a screen, 0.75 point on paper."""
_FONT: Final = "Noto Sans SC, PingFang SC, Noto Sans CJK SC, Microsoft YaHei, sans-serif"
_SIZE: Final = 13
_LEFT: Final = 44
_TOP: Final = 22
_PLOT: Final = 130


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of each month, as columns beside each other."""

    values: Sequence[tuple[float, ...]]
    labels: Sequence[str]
    """Under the columns."""
    notes: Sequence[str] = ()
    """Above them."""


def line(values: Sequence[float | None], labels: Sequence[str], goal: float, width: int) -> str:
    """Scores over months. What is absent is left open; the scale begins where it shows the changes, and says so."""
    present = [value for value in values if value is not None]
    low = min([*present, goal])
    floor = max(0, int(low // 10) * 10 - (10 if low % 10 < 3 else 0))
    place = _Plot(width, len(values), floor, 100)
    parts = [place.grid(_steps(floor, 100))]
    height = place.y(goal)
    parts.append(
        f'<path d="M{_LEFT} {height:.1f}H{width}" stroke="{SOFT}" stroke-width="1" stroke-dasharray="4 3" fill="none"/>'
    )
    pen, path = False, []
    for number, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if pen else 'M'}{place.x(number):.1f} {place.y(value):.1f}")
        pen = value is not None
    parts.append(
        f'<path d="{"".join(path)}" fill="none" stroke="{ACCENT}" stroke-width="2" stroke-linejoin="round"/>'
    )
    for number, value in enumerate(values):
        if value is not None:
            parts.append(
                f'<circle cx="{place.x(number):.1f}" cy="{place.y(value):.1f}" r="3" fill="{ACCENT}"/>'
            )
    if present:
        number = max(at for at, value in enumerate(values) if value is not None)
        last = values[number]
        assert last is not None
        # Beside the line, not on it: below when the month before stood higher.
        before = values[number - 1] if number else None
        up = before is not None and before > last
        parts.append(
            _text(place.x(number), place.y(last) + (18 if up else -8), _cut(last), INK, "middle", bold=True)
        )
    parts.append(place.names(labels))
    return _svg(width, place.height, parts)


def stacked(counts: Sequence[tuple[int, int, int]], labels: Sequence[str], width: int) -> str:
    """Green, yellow, red of each month on one another."""
    steps = _counted(max((sum(each) for each in counts), default=0))
    place = _Plot(width, len(counts), 0, steps[-1])
    parts = [_HATCH, place.grid(steps)]
    for number, each in enumerate(counts):
        done = 0
        for kind, count in zip(("green", "yellow", "red"), each, strict=True):
            fill = "url(#hatch)" if kind == "yellow" else LIGHTS[kind]
            parts.append(place.block(number, done, done + count, fill))
            done += count
    parts.append(place.names(labels))
    return _svg(width, place.height, parts)


def columns(data: Columns, width: int) -> str:
    """One or two columns for each month."""
    steps = _counted(max((max(each) for each in data.values), default=0))
    place = _Plot(width, len(data.values), 0, steps[-1])
    parts = [place.grid(steps)]
    for number, each in enumerate(data.values):
        for at, value in enumerate(each):
            parts.append(place.block(number, 0, value, (ACCENT, PALE)[at], at, len(each)))
    for number, note in enumerate(data.notes):
        # On a narrow picture every second has room.
        if note and (width > NARROW or (len(data.notes) - 1 - number) % 3 == 0):
            parts.append(
                _text(place.x(number), place.y(max(data.values[number])) - 5, note, SOFT, "middle", size=11)
            )
    parts.append(place.names(data.labels))
    return _svg(width, place.height, parts)


def bars(rows: Sequence[tuple[str, float | None, str]], goal: float, width: int) -> str:
    """Name, score and light, one below the other, with the goal as an upright line."""
    step = 26
    names = 150 if width > NARROW else 96
    end = width - 46
    height = step * len(rows) + 8

    def x(value: float) -> float:
        return names + (end - names) * value / 100

    parts = [_HATCH]
    for number, (name, value, kind) in enumerate(rows):
        top = number * step + 4
        parts.append(_text(0, top + 14, _fit(name, names - 10), INK))
        parts.append(f'<rect x="{names}" y="{top + 4}" width="{end - names}" height="11" fill="#e8ebf1"/>')
        if value is not None:
            fill = "url(#hatch)" if kind == "yellow" else LIGHTS[kind]
            parts.append(
                f'<rect x="{names}" y="{top + 4}" width="{x(value) - names:.1f}" height="11" fill="{fill}"/>'
            )
        parts.append(_text(width, top + 14, "–" if value is None else _cut(value), INK, "end", bold=True))
        parts.append(f'<rect x="{x(goal):.1f}" y="{top}" width="2" height="19" fill="{INK}"/>')
    return _svg(width, height, parts)


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where things stand in a picture of months."""

    width: int
    months: int
    low: float
    high: float

    @property
    def height(self) -> int:
        return _TOP + _PLOT + 24

    @property
    def step(self) -> float:
        return (self.width - _LEFT) / max(self.months, 1)

    def x(self, number: int) -> float:
        """The middle of a month."""
        return _LEFT + self.step * (number + 0.5)

    def y(self, value: float) -> float:
        return _TOP + _PLOT * (1 - (value - self.low) / ((self.high - self.low) or 1))

    def grid(self, steps: Sequence[float]) -> str:
        return "".join(
            f'<path d="M{_LEFT} {self.y(at):.1f}H{self.width}" stroke="{LINE if at != self.low else INK}"'
            ' stroke-width="1" fill="none"/>' + _text(_LEFT - 6, self.y(at) + 4, _short(at), SOFT, "end")
            for at in steps
        )

    def names(self, labels: Sequence[str]) -> str:
        """Counted from the last month, so that it has its name on a narrow picture too."""
        apart = 1 if self.step >= 40 else 2 if self.step >= 24 else 3
        return "".join(
            _text(self.x(number), _TOP + _PLOT + 18, label, SOFT, "middle")
            for number, label in enumerate(labels)
            if (len(labels) - 1 - number) % apart == 0
        )

    def block(self, number: int, low: float, high: float, fill: str, place: int = 0, places: int = 1) -> str:
        if high <= low:
            return ""
        whole = self.step * 0.64
        one = whole / places
        left = self.x(number) - whole / 2 + one * place
        top, bottom = self.y(high), self.y(low)
        return (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{one - (1 if places > 1 else 0):.1f}"'
            f' height="{bottom - top:.1f}" fill="{fill}"/>'
        )


_HATCH: Final = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
    f'<rect width="6" height="6" fill="{LIGHTS["yellow"]}"/>'
    '<path d="M-1 1l2 -2M-1 7l8 -8M5 7l2 -2" stroke="#fff" stroke-opacity=".5" stroke-width="1.6"/>'
    "</pattern></defs>"
)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{_FONT}"'
        f' font-size="{_SIZE}">{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, text: str, fill: str, anchor: str = "start", *, bold: bool = False, size: int = 0
) -> str:
    more = f' stroke="{fill}" stroke-width=".35"' if bold else ""
    more += f' font-size="{size}"' if size else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _steps(low: int, high: int) -> list[float]:
    size = 10 if high - low <= 50 else 20
    return [float(at) for at in range(high, low - 1, -size)]


def _counted(most: float) -> list[float]:
    """Round numbers from 0 to the first that is not below, at most six of them."""
    size = 1
    while most / size > 4:
        size = size * 2 if str(size)[0] in "15" else size * 5 // 2
    return [float(at * size) for at in range(max(-(-int(most) // size), 1) + 1)]


def _short(value: float) -> str:
    for size, mark in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{mark}"
    return f"{value:g}"


def _cut(score: float) -> str:
    return formats.score(score)


def _fit(name: str, room: float) -> str:
    """What fits in so many units: Chinese is as wide as the type is high, Latin about half."""
    used = 0.0
    for kept, char in enumerate(name):
        used += _SIZE if ord(char) > 0x2E7F else _SIZE * 0.56
        if used > room:
            return f"{name[: kept - 1]}…"
    return name
