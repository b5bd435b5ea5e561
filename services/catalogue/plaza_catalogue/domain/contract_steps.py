"""What must hold between a contract's declared steps and its fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from plaza.common.v1 import contract_pb2 as pb
from plaza_kit.errors import FieldViolation
from plaza_kit.time_formats import BadTimeFormat, TimeFormat, time_format

Types = Mapping[str, pb.FieldType.ValueType]

_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
_NEEDED_PARTS: Final = frozenset({"year", "month", "day"})
_INTEGER: Final = (pb.FIELD_TYPE_INTEGER,)
_NUMERIC: Final = (pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_NUMBER)
_TIMES: Final = (pb.FIELD_TYPE_DATE, pb.FIELD_TYPE_TIMESTAMP)
_KEY_PARTS: Final = (pb.FIELD_TYPE_STRING, pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_BOOLEAN, *_TIMES)
_SIGNS_OF: Final = {
    pb.FIELD_TYPE_INTEGER: "0123456789",
    pb.FIELD_TYPE_BOOLEAN: "aeflrstu",
    pb.FIELD_TYPE_DATE: "0123456789-",
    pb.FIELD_TYPE_TIMESTAMP: "0123456789-:.TZ",
}
"""Characters that hardly any text of such a part is without, so that none of them can separate parts."""


def _signs_of(type_: pb.FieldType.ValueType) -> str:
    return _SIGNS_OF.get(type_, "")


def built_fields(contract: pb.Contract) -> set[str]:
    """Names of the fields that steps fill, so that they have no column in the file."""
    return {name for step in contract.steps for name in _target(step)}


def _target(step: pb.Step) -> Iterator[str]:
    match step.WhichOneof("kind"):
        case "build_timestamp":
            yield step.build_timestamp.target
        case "build_key":
            yield step.build_key.target


def step_violations(contract: pb.Contract, prefix: str) -> Iterator[FieldViolation]:
    """Every contradiction, in the order of the steps; places written like `contract.steps[0].trim.fields[1]`."""
    types = {field.name: field.type for field in contract.fields}
    check = _Check(types, {field.name: field for field in contract.fields}, built_fields(contract))
    ready = types.keys() - check.built
    for index, step in enumerate(contract.steps):
        kind = step.WhichOneof("kind")
        if kind is None:
            yield FieldViolation(f"{prefix}.steps[{index}]", "the step does not say what it does")
            continue
        yield from check.step(step, f"{prefix}.steps[{index}].{kind}", ready)
        ready = ready | set(_target(step))
    yield from _twice(contract.steps, f"{prefix}.steps")
    for index, step in enumerate(contract.steps):
        if step.WhichOneof("kind") == "keep_latest" and not contract.key:
            place = f"{prefix}.steps[{index}].keep_latest"
            yield FieldViolation(place, "rows without a key are never the same: name the contract's key")


def _twice(steps: Sequence[pb.Step], place: str) -> Iterator[FieldViolation]:
    """Steps of which a contract, or a field, may have one."""

    def named(kind: str, field: str) -> Iterable[str]:
        for step in steps:
            yield getattr(getattr(step, kind), field) if step.WhichOneof("kind") == kind else ""

    yield from repeated((step.name for step in steps), f"{place}[{{}}].name")
    built = (next(_target(step), "") for step in steps)
    ends = [f"{place}[{i}].{step.WhichOneof('kind')}.target" for i, step in enumerate(steps)]
    yield from repeated(built, "{}", ends)
    for kind in ("parse_time", "convert_unit"):
        yield from repeated(named(kind, "field"), f"{place}[{{}}].{kind}.field")
    latest = [i for i, step in enumerate(steps) if step.WhichOneof("kind") == "keep_latest"]
    for index in latest[1:]:
        yield FieldViolation(f"{place}[{index}].keep_latest", "another step says already which row stays")


def repeated(names: Iterable[str], place: str, places: Sequence[str] = ()) -> Iterator[FieldViolation]:
    """Names that stand before already; the empty one may. `place` takes the number, or the place of that number."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name and name in seen:
            yield FieldViolation(place.format(places[index] if places else index), f"{name!r} occurs twice")
        seen.add(name)


class _Check:
    """The rules of each kind."""

    def __init__(self, types: Types, fields: Mapping[str, pb.Field], built: set[str]) -> None:
        self.types = types
        self.fields = fields
        self.built = built

    def step(self, step: pb.Step, place: str, ready: set[str]) -> Iterator[FieldViolation]:
        match step.WhichOneof("kind"):
            case "trim":
                yield from self._of_file_each(step.trim.fields, place)
            case "map_missing":
                yield from self._of_file_each(step.map_missing.fields, place)
            case "map_codes":
                yield from self._of_file(step.map_codes.field, f"{place}.field")
                texts = (pair.text for pair in step.map_codes.codes)
                yield from repeated(texts, f"{place}.codes[{{}}].text")
            case "parse_time":
                yield from self._parse_time(step.parse_time, place)
            case "convert_unit":
                yield from self._convert_unit(step.convert_unit, place)
            case "build_timestamp":
                yield from self._build_timestamp(step.build_timestamp, place)
            case "build_key":
                yield from self._build_key(step.build_key, place, ready)
            case "keep_latest":
                words = "an integer, a number, a date or a timestamp"
                allowed = (*_NUMERIC, *_TIMES)
                yield from self._typed(step.keep_latest.field, allowed, words, f"{place}.field")

    def _parse_time(self, step: pb.ParseTime, place: str) -> Iterator[FieldViolation]:
        yield from self._of_file(step.field, f"{place}.field", _TIMES, "a date or a timestamp")
        is_date = self.types.get(step.field) == pb.FIELD_TYPE_DATE
        formats: list[TimeFormat] = []
        for index, text in enumerate(step.formats):
            try:
                formats.append(time_format(text))
            except BadTimeFormat as error:
                yield FieldViolation(f"{place}.formats[{index}]", str(error))
                continue
            if is_date and formats[-1].has_clock:
                yield FieldViolation(
                    f"{place}.formats[{index}]",
                    "a date has no clock: declare the field a timestamp, or write the clock's digits out",
                )
        if is_date and step.zone:
            yield FieldViolation(f"{place}.zone", "a date has no time zone: leave it out")
        elif not is_date and (step.zone or not all(format_.has_offset for format_ in formats)):
            yield from _zone(step.zone, f"{place}.zone")

    def _convert_unit(self, step: pb.ConvertUnit, place: str) -> Iterator[FieldViolation]:
        yield from self._of_file(step.field, f"{place}.field", _NUMERIC, "an integer or a number")
        for name in ("factor", "offset", "divisor"):
            text = str(getattr(step, name))
            try:
                number = Decimal(text or "1")
            except InvalidOperation:
                number = Decimal("nan")
            if not number.is_finite():
                yield FieldViolation(f"{place}.{name}", f"{text!r} is not a decimal number")
            elif not number and name != "offset":
                yield FieldViolation(f"{place}.{name}", "must not be zero")
        unit = self.fields[step.field].unit if step.field in self.fields else ""
        if unit and step.to_unit and unit != step.to_unit:
            yield FieldViolation(
                f"{place}.to_unit",
                f"{step.to_unit!r} is not the unit of {step.field!r}, {unit!r}: they must be the same",
            )

    def _build_timestamp(self, step: pb.BuildTimestamp, place: str) -> Iterator[FieldViolation]:
        yield from self._to_build(step.target, pb.FIELD_TYPE_TIMESTAMP, "a timestamp", f"{place}.target")
        for part in _PARTS:
            name = str(getattr(step, part))
            if name or part in _NEEDED_PARTS:
                yield from self._of_file(name, f"{place}.{part}", _INTEGER, "an integer")
        yield from _zone(step.zone, f"{place}.zone")

    def _build_key(self, step: pb.BuildKey, place: str, ready: set[str]) -> Iterator[FieldViolation]:
        yield from self._to_build(step.target, pb.FIELD_TYPE_STRING, "a string", f"{place}.target")
        words = "a string, an integer, a boolean, a date or a timestamp"
        for index, name in enumerate(step.parts):
            here = f"{place}.parts[{index}]"
            yield from self._typed(name, _KEY_PARTS, words, here)
            if name in self.built and name not in ready:
                yield FieldViolation(
                    here, f"{name!r} is built by this step or a later one: put that one before"
                )
            elif step.separator and name in self.types and step.separator in _signs_of(self.types[name]):
                yield FieldViolation(
                    f"{place}.separator",
                    f"{step.separator!r} stands in the values of {name!r}: take another one, for example '|'",
                )
        if len(step.separator) != 1:
            yield FieldViolation(f"{place}.separator", "must be one character")

    def _to_build(
        self, name: str, type_: pb.FieldType.ValueType, words: str, place: str
    ) -> Iterator[FieldViolation]:
        yield from self._typed(name, (type_,), words, place)
        if name in self.fields and self.fields[name].source_name:
            yield FieldViolation(
                place, f"{name!r} is built by this step and cannot have a source heading as well"
            )

    def _of_file_each(self, names: Sequence[str], place: str) -> Iterator[FieldViolation]:
        for index, name in enumerate(names):
            yield from self._of_file(name, f"{place}.fields[{index}]")

    def _of_file(
        self, name: str, place: str, allowed: tuple[pb.FieldType.ValueType, ...] = (), words: str = ""
    ) -> Iterator[FieldViolation]:
        yield from self._typed(name, allowed, words, place)
        if name in self.built:
            yield FieldViolation(place, f"{name!r} is built by a step, so the file has no text of it")

    def _typed(
        self, name: str, allowed: tuple[pb.FieldType.ValueType, ...], words: str, place: str
    ) -> Iterator[FieldViolation]:
        if name not in self.types:
            yield FieldViolation(place, f"{name!r} is not a field of the contract")
        elif allowed and self.types[name] not in allowed:
            yield FieldViolation(place, f"{name!r} must be {words}")


def _zone(name: str, place: str) -> Iterator[FieldViolation]:
    if not name:
        yield FieldViolation(place, "name the IANA time zone, for example Asia/Shanghai")
        return
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        yield FieldViolation(place, f"{name!r} is not an IANA time zone")
