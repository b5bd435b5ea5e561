"""Declared steps between the words of the protos and those of the core."""

from __future__ import annotations

from fractions import Fraction

from plaza.common.v1 import contract_pb2 as pb

from plaza_ingestion.worker.plan import InvalidPlan
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
)


def declared_step(step: pb.Step) -> Step:
    """The step that a contract means. Raises `InvalidPlan` for one that this worker does not know."""
    match step.WhichOneof("kind"):
        case "trim":
            return Trim(tuple(step.trim.fields), step.name)
        case "map_missing":
            missing = step.map_missing
            return MapMissing(tuple(missing.tokens), tuple(missing.fields), step.name)
        case "map_codes":
            codes = step.map_codes
            pairs = tuple((pair.text, pair.code) for pair in codes.codes)
            return MapCodes(codes.field, pairs, codes.otherwise == pb.UNMAPPED_TEXT_KEEP, step.name)
        case "parse_time":
            time = step.parse_time
            return ParseTime(time.field, tuple(time.formats), time.zone, step.name)
        case "convert_unit":
            return _convert_unit(step.convert_unit, step.name)
        case "build_timestamp":
            return _build_timestamp(step.build_timestamp, step.name)
        case "build_key":
            key = step.build_key
            return BuildKey(key.target, tuple(key.parts), key.separator, step.name)
        case "keep_latest":
            return KeepLatest(step.keep_latest.field, step.name)
        case _:
            raise InvalidPlan(
                "The contract has a step that this worker does not know.",
                remedy="Update the department's worker to the version of the platform.",
            )


def _convert_unit(convert: pb.ConvertUnit, name: str) -> ConvertUnit:
    try:
        factor, offset, divisor = (
            Fraction(text or default)
            for text, default in ((convert.factor, "1"), (convert.offset, "0"), (convert.divisor, "1"))
        )
    except (ValueError, ZeroDivisionError):
        raise InvalidPlan(
            f"The unit of {convert.field!r} cannot be converted by {convert.factor!r}, {convert.offset!r}, "
            f"{convert.divisor!r}.",
            remedy="Write factor, offset and divisor as decimal numbers.",
        ) from None
    return ConvertUnit(convert.field, factor, offset, divisor, convert.from_unit, convert.to_unit, name=name)


def _build_timestamp(build: pb.BuildTimestamp, name: str) -> BuildTimestamp:
    return BuildTimestamp(
        target=build.target,
        year=build.year,
        month=build.month,
        day=build.day,
        hour=build.hour or None,
        minute=build.minute or None,
        second=build.second or None,
        zone=build.zone,
        name=name,
    )


def proposed_step(step: Trim | ParseTime | BuildTimestamp) -> pb.Step:
    """A step that an inference proposes, as a message."""
    match step:
        case Trim():
            return pb.Step(name=step.name, trim=pb.Trim(fields=step.fields))
        case ParseTime():
            time = pb.ParseTime(field=step.field, formats=step.formats, zone=step.zone)
            return pb.Step(name=step.name, parse_time=time)
        case BuildTimestamp():
            build = pb.BuildTimestamp(target=step.target, zone=step.zone, **dict(step.parts()))
            return pb.Step(name=step.name, build_timestamp=build)
