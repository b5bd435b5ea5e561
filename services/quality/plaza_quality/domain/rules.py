"""The quality rules of a contract, as far as counting and scoring need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from plaza.common.v1 import contract_pb2, grades_pb2

from plaza_quality.domain.check_messages import UnknownCheck as UnknownCheck
from plaza_quality.domain.check_messages import check_of
from plaza_quality.domain.checks import Check, kind_of
from plaza_quality.domain.checks import Dimension as Dimension
from plaza_quality.domain.checks import InRange as InRange
from plaza_quality.domain.checks import NotNull as NotNull
from plaza_quality.domain.checks import Unique as Unique


class Severity(StrEnum):
    """How bad it is when a rule is not met."""

    MINOR = "minor"
    MAJOR = "major"
    SEVERE = "severe"
    REFUSE = "refuse"
    """Rows that fail do not come in; of those that are there it is severe."""


class Exit(StrEnum):
    """A way out of the department that a rule may guard."""

    SHARING = "sharing"
    """To other departments."""
    OPENING = "opening"
    """To everybody."""


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
    indicator: str = ""
    """Of GB/T 36344-2018; empty: the usual one of the check."""
    severity: Severity = Severity.MINOR
    stops: frozenset[Exit] = frozenset()
    """Where a version that does not meet it may not leave."""

    @property
    def counts_for(self) -> str:
        """The indicator of GB/T 36344-2018."""
        return self.indicator or kind_of(self.check).indicator


def rule_of(message: contract_pb2.QualityRule, code_lists: Mapping[str, str] | None = None) -> Rule:
    """A rule of a registered contract; `code_lists`: those that its fields have. Raises UnknownCheck."""
    severity = contract_pb2.RuleSeverity.Name(message.severity).removeprefix("RULE_SEVERITY_").lower()
    return Rule(
        dimension=Dimension(grades_pb2.Dimension.Name(message.dimension).removeprefix("DIMENSION_").lower()),
        threshold=_as_written(message.threshold_percent),
        weight=_as_written(message.weight) or Fraction(1),
        check=check_of(message, code_lists or {}),
        indicator=message.indicator,
        severity=Severity.MINOR if not message.severity else Severity(severity),
        stops=stops_of(message),
    )


def stops_of(message: contract_pb2.QualityRule) -> frozenset[Exit]:
    """The ways out that the rule guards."""
    guarded = {Exit.SHARING: message.stops_sharing, Exit.OPENING: message.stops_opening}
    return frozenset(exit for exit, stops in guarded.items() if stops)


def _as_written(value: float) -> Fraction:
    """The shortest decimal number that is stored as this double."""
    return Fraction(repr(value))
