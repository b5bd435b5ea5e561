"""A preview's columns: how their cells are aligned and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from plaza_design import formats

from plaza_gateway.portal.views import FieldView

LONGEST_CELL = 160
"""Characters of a text that are shown; the file has all of them."""
SHORT_CELL = 24
"""Characters up to which a column of texts is not wrapped."""

_NUMERIC = ("integer", "number")
_MOST_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the preview table."""

    field: FieldView
    kind: str
    """`n` (right-aligned), `t` (never wraps) or empty: classes of the design language."""
    unit: str
    """Stands once, in the head."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The table, ready to be written."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]


def preview(fields: Sequence[FieldView], rows: Sequence[Sequence[str | None]]) -> Preview:
    """Writes the cells of `rows` (text as the release has it) the way people read them.

    Decimals of a number column are padded to its longest, never cut, without thousands separators: a year
    stays 2013. Timestamps are shown in the pages' zone. What is not of the field's type stays as it is.
    """
    written = [_written(field, [row[i] for row in rows]) for i, field in enumerate(fields)]
    columns = tuple(_column(field, cells) for field, cells in zip(fields, written, strict=True))
    return Preview(columns, tuple(zip(*written, strict=True)) if rows else ())


def _column(field: FieldView, cells: Sequence[str | None]) -> Column:
    if field.type in _NUMERIC:
        return Column(field, "n", field.unit)
    if field.type == "timestamp":
        return Column(field, "t", field.unit or formats.ZONE_LABEL)
    # One long text among short ones would make every row tall; a column of short ones stays on its line.
    short = max((len(cell) for cell in cells if cell is not None), default=0) <= SHORT_CELL
    return Column(field, "t" if short else "", field.unit)


def _written(field: FieldView, cells: Sequence[str | None]) -> list[str | None]:
    if field.type in _NUMERIC:
        return _numbers(cells)
    if field.type == "timestamp":
        return [None if cell is None else _moment(cell) for cell in cells]
    return [None if cell is None else _short(cell) for cell in cells]


def _numbers(cells: Sequence[str | None]) -> list[str | None]:
    values = [None if cell is None else _decimal(cell) for cell in cells]
    places = max((_places(value) for value in values if value is not None), default=0)
    written: list[str | None] = []
    for cell, value in zip(cells, values, strict=True):
        if cell is None or value is None:
            written.append(None if cell is None else _short(cell))
        elif places > _MOST_DECIMALS:
            written.append(cell.replace("-", "−"))
        else:
            written.append(f"{value:.{places}f}".replace("-", "−"))
    return written


def _decimal(cell: str) -> Decimal | None:
    try:
        value = Decimal(cell)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value.adjusted()) < 20 else None


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _moment(cell: str) -> str:
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return _short(cell)
    if moment.tzinfo is None:
        return _short(cell)
    local = formats.local(moment)
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
