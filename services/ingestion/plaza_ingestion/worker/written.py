"""Values as the source writes them: reading and the contract's steps, backwards.

What is written here and read under the same contract is the value again. Where no text of the source's own says the
value (the contract has changed since it was read), the plain form of its type is written, which the contract then
judges like anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from plaza_kit.time_formats import Part, TimeFormat

from plaza_ingestion.worker.plan import FieldSpec, LoadPlan
from plaza_ingestion.worker.steps.declared import ConvertUnit, MapCodes, ParseTime, Step

_LONGEST_DECIMAL: Final = 30
_TENTH: Final = 10


def cell_writer(plan: LoadPlan, spec: FieldSpec) -> Callable[[object], str]:
    """How the values of a field are written. No value is the empty cell, which every contract takes for that."""
    mine = [step for step in plan.steps if getattr(step, "field", None) == spec.name]
    units = [step for step in reversed(mine) if isinstance(step, ConvertUnit)]
    codes = [step for step in reversed(mine) if isinstance(step, MapCodes)]
    times = _times(mine)
    originals = [_originals(step) for step in codes]

    def write(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int | float):
            text = _number(value, units)
        elif isinstance(value, datetime):
            text = _moment(value, times)
        elif isinstance(value, date):
            text = _day(value, times)
        else:
            text = str(value)
        for known in originals:
            text = known.get(text, text)
        return text

    return write


def _times(steps: Sequence[Step]) -> list[tuple[TimeFormat, ZoneInfo]]:
    return [
        (form, ZoneInfo(step.zone or "UTC"))
        for step in steps
        if isinstance(step, ParseTime)
        for form in step.read_formats()
    ]


def _originals(step: MapCodes) -> dict[str, str]:
    """By code the first text that becomes it."""
    return {code: text for text, code in reversed(step.codes) if code}


def _number(value: int | float, units: Sequence[ConvertUnit]) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # no contract reads it, and none let it in
    for unit in units:
        value = _before(value, unit)
    if isinstance(value, int):
        return str(value)
    return _decimal(Decimal(repr(value)))


def _before(value: int | float, unit: ConvertUnit) -> int | float:
    """The value that the conversion makes this one of. Of doubles the neighbours are tried: rounding is not undone
    by reckoning."""
    exact = (Fraction(repr(value)) * unit.divisor - unit.offset) / unit.factor
    if isinstance(value, int):
        return exact.numerator if exact.denominator == 1 else value
    near = float(exact)
    for candidate in (near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf)):
        if float((Fraction(repr(candidate)) * unit.factor + unit.offset) / unit.divisor) == value:
            return candidate
    return near


def _decimal(number: Decimal) -> str:
    text = format(number.normalize(), "f")
    return text if len(text) <= _LONGEST_DECIMAL else repr(float(number))


def _moment(value: datetime, times: Sequence[tuple[TimeFormat, ZoneInfo]]) -> str:
    for form, zone in times:
        text = _formatted(value.astimezone(zone), form)
        if text is not None:
            return text
    moment = value.astimezone(UTC)
    fraction = f".{moment.microsecond:06}" if moment.microsecond else ""
    return f"{moment:%H:%M:%S}".join((f"{moment.date().isoformat()}T", f"{fraction}Z"))


def _day(value: date, times: Sequence[tuple[TimeFormat, ZoneInfo]]) -> str:
    for form, _ in times:
        text = _formatted(datetime(value.year, value.month, value.day, tzinfo=UTC), form)
        if text is not None:
            return text
    return value.isoformat()


def _formatted(moment: datetime, form: TimeFormat) -> str | None:
    """None when the format has no place for a part that the moment has."""
    numbers = {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "fraction": moment.microsecond,
    }
    said = {piece.name for piece in form.pieces if isinstance(piece, Part)}
    if any(number and name not in said for name, number in numbers.items()):
        return None
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset is not None else 0
    signed = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    texts = {
        name: f"{number:06}" if name == "fraction" else _padded(number, form, name)
        for name, number in numbers.items()
    }
    texts["offset"] = signed
    return "".join(texts[piece.name] if isinstance(piece, Part) else piece for piece in form.pieces)


def _padded(number: int, form: TimeFormat, name: str) -> str:
    """With as many digits as the format needs at least."""
    for piece in form.pieces:
        if isinstance(piece, Part) and piece.name == name:
            return f"{number:0{min(piece.widths)}}"
    return ""
