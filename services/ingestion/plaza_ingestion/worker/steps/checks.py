"""What must hold between the declared steps and the fields of a plan."""

from __future__ import annotations

import zoneinfo
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from plaza_kit.time_formats import BadTimeFormat

from plaza_ingestion.worker.steps.declared import (
    BuildKey,
    BuildTimestamp,
    ConvertUnit,
    KeepLatest,
    MapCodes,
    MapMissing,
    ParseTime,
    Step,
    Trim,
    targets,
)

if TYPE_CHECKING:
    from plaza_ingestion.worker.plan import FieldSpec

_LATEST_TYPES: Final = ("integer", "number", "date", "timestamp")
_KEY_PART_TYPES: Final = ("string", "integer", "boolean", "date", "timestamp")


def problems(steps: tuple[Step, ...], fields: tuple[FieldSpec, ...], key: tuple[str, ...]) -> Iterator[str]:
    """Each contradiction in plain words."""
    by_name = {spec.name: spec for spec in fields}
    built = Counter(targets(steps))
    for spec in fields:
        if not spec.source and built[spec.name] != 1:
            yield f"field {spec.name!r} has no column and is built by {built[spec.name]} steps, not one"
    ready = {spec.name for spec in fields if spec.source}
    for step in steps:
        yield from _of_step(step, by_name, ready)
        if isinstance(step, BuildTimestamp | BuildKey):
            ready.add(step.target)
    for kind in (ParseTime, ConvertUnit):
        named = Counter(step.field for step in steps if isinstance(step, kind))
        yield from (
            f"{kind.__name__} is declared {n} times for {name!r}" for name, n in named.items() if n > 1
        )
    latest = [step for step in steps if isinstance(step, KeepLatest)]
    if len(latest) > 1:
        yield "KeepLatest is declared more than once"
    if latest and not key:
        yield "KeepLatest needs a key"


def _of_step(step: Step, fields: Mapping[str, FieldSpec], ready: set[str]) -> Iterator[str]:
    match step:
        case Trim() | MapMissing():
            for name in step.fields:
                yield from _of_file(name, fields, type(step).__name__)
        case MapCodes():
            yield from _of_file(step.field, fields, "MapCodes")
            texts = Counter(text for text, _ in step.codes)
            yield from (f"MapCodes has the text {text!r} {n} times" for text, n in texts.items() if n > 1)
        case ParseTime():
            yield from _of_file(step.field, fields, "ParseTime", ("date", "timestamp"))
            if step.field in fields:
                yield from _times(step, fields[step.field].type)
        case ConvertUnit():
            yield from _of_file(step.field, fields, "ConvertUnit", ("integer", "number"))
            if not step.factor or not step.divisor:
                yield f"ConvertUnit of {step.field!r} has a factor or divisor of zero"
        case BuildTimestamp():
            yield from _timestamp(step, fields)
        case BuildKey():
            yield from _target(step.target, "string", fields)
            if len(step.separator) != 1:
                yield f"the separator {step.separator!r} of step target {step.target!r} is not one character"
            for name in step.parts:
                if name not in ready or fields[name].type not in _KEY_PART_TYPES:
                    yield f"part {name!r} of step target {step.target!r} is no text, date or whole number before it"
        case KeepLatest():
            spec = fields.get(step.field)
            if spec is None or spec.type not in _LATEST_TYPES:
                yield f"KeepLatest names {step.field!r}, which is no number, date or timestamp field"


def _of_file(
    name: str, fields: Mapping[str, FieldSpec], kind: str, types: tuple[str, ...] = ()
) -> Iterator[str]:
    spec = fields.get(name)
    if spec is None or not spec.source:
        yield f"{kind} names {name!r}, which is no field of the file"
    elif types and spec.type not in types:
        yield f"{kind} names {name!r}, which is no {' or '.join(types)} field"


def _target(name: str, type_name: str, fields: Mapping[str, FieldSpec]) -> Iterator[str]:
    target = fields.get(name)
    if target is None or target.source or target.type != type_name:
        yield f"step target {name!r} is not a {type_name} field without a column"


def _times(step: ParseTime, type_name: str) -> Iterator[str]:
    try:
        formats = step.read_formats()
    except BadTimeFormat as error:
        yield f"a format of {step.field!r} is none: {error}"
        return
    if type_name == "date":
        if step.zone or any(format_.has_clock for format_ in formats):
            yield f"{step.field!r} is a date: it has no time zone, and its formats no clock"
    elif step.zone or not all(format_.has_offset for format_ in formats):
        yield from _zone(step.zone)


def _timestamp(step: BuildTimestamp, fields: Mapping[str, FieldSpec]) -> Iterator[str]:
    yield from _target(step.target, "timestamp", fields)
    for part, name in step.parts():
        source = fields.get(name)
        if source is None or source.type != "integer" or not source.source:
            yield f"{part} {name!r} of step target {step.target!r} is no integer field of the file"
    yield from _zone(step.zone)


def _zone(name: str) -> Iterator[str]:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield f"time zone {name!r} is not known"
