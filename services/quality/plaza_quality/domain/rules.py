"""The quality rules of a contract, as far as counting and scoring need them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_kit.errors import InvalidArgument


class UnknownCheck(InvalidArgument):
    """The contract has a rule that this version of the service cannot check."""


class Dimension(StrEnum):
    """The six dimensions of quality, in the order in which they are shown."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"


@dataclass(frozen=True, slots=True)
class NotNull:
    """A row passes when the field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class InRange:
    """A row passes when the value lies between the bounds, both included; NaN lies nowhere."""

    field: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class Unique:
    """Of rows with the same values the first passes; an absent value equals an absent value."""

    fields: tuple[str, ...]


Check: TypeAlias = NotNull | InRange | Unique


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Threshold and weight are the decimal numbers that somebody wrote, not their binary neighbours:
    a pass rate of 999/1000 reaches 99.9."""

    dimension: Dimension
    threshold: Fraction
    """Percent."""
    weight: Fraction
    """Greater than 0."""
    check: Check


def rule_of(message: contract_pb2.QualityRule) -> Rule:
    """A rule of a registered contract. Raises UnknownCheck."""
    return Rule(
        dimension=Dimension(grades_pb2.Dimension.Name(message.dimension).removeprefix("DIMENSION_").lower()),
        threshold=_as_written(message.threshold_percent),
        weight=_as_written(message.weight) or Fraction(1),
        check=_check(message),
    )


def _check(message: contract_pb2.QualityRule) -> Check:
    match message.WhichOneof("check"):
        case "not_null":
            return NotNull(message.not_null.field)
        case "range":
            bounds = message.range
            return InRange(
                bounds.field,
                bounds.minimum if bounds.HasField("minimum") else None,
                bounds.maximum if bounds.HasField("maximum") else None,
            )
        case "unique":
            return Unique(tuple(message.unique.fields))
        case _:
            raise UnknownCheck(
                f"rule {message.id}: its check is not known here",
                remedy="bring the quality service to the version of the catalogue",
                facts={"rule": message.id},
            )


def _as_written(value: float) -> Fraction:
    """The shortest decimal number that is stored as this double."""
    return Fraction(repr(value))
