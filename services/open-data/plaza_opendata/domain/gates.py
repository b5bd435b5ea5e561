"""The gates of a release: conditions with their evidence. All are looked at, and all that fail are told at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plaza.common.v1 import grades_pb2
from plaza_kit.errors import FailedPrecondition, FieldViolation

_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\+?")
"""A licence's short identifier, or `LicenseRef-…` (SPDX 2.3, annex D)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gates look at."""

    city_level: grades_pb2.CityLevel.ValueType
    opening_allowed: bool
    licence: str
    asked_version: int
    """0: the newest."""
    version: int
    """The committed version that was found; 0 for none."""
    has_rules: bool
    """The contract has quality rules."""
    assessed: bool
    """The version was assessed by them."""
    stopped_by: tuple[str, ...] = ()
    """Rules that stop the version from being opened, as people read them."""
    last_good_version: int = 0
    """Of a stopped one: the newest before it that may be opened; 0: none."""


@dataclass(frozen=True, slots=True)
class GateFailure:
    """A gate that did not let through."""

    gate: str
    reason: str
    remedy: str


class GatesNotPassed(FailedPrecondition):
    """Some gates did not let the version through; `violations` has one entry for each, by the gate's name."""

    def __init__(self, dataset: str, failures: tuple[GateFailure, ...]) -> None:
        super().__init__(
            f"{dataset} cannot be released: " + "; ".join(f"{f.gate}: {f.reason}" for f in failures),
            remedy="; ".join(f.remedy for f in failures),
            facts={"gates": ",".join(f.gate for f in failures)},
            violations=tuple(FieldViolation(f.gate, f"{f.reason}; {f.remedy}") for f in failures),
        )
        self.failures = failures


def check(dataset: str, evidence: Evidence) -> None:
    """Raises GatesNotPassed with every gate that fails, in the order of the gates."""
    failures = tuple(failure for gate in GATES if (failure := gate(evidence)) is not None)
    if failures:
        raise GatesNotPassed(dataset, failures)


def _city_level(evidence: Evidence) -> GateFailure | None:
    if evidence.city_level == grades_pb2.CITY_LEVEL_PUBLIC:
        return None
    word = grades_pb2.CityLevel.Name(evidence.city_level).removeprefix("CITY_LEVEL_").lower()
    return GateFailure(
        "city-level",
        "the dataset is not graded" if word == "unspecified" else f"the dataset is graded {word}, not public",
        "only data of the city level public (公开) are opened: have the grading reviewed",
    )


def _opening(evidence: Evidence) -> GateFailure | None:
    if evidence.opening_allowed:
        return None
    return GateFailure(
        "opening",
        "the directory does not allow the dataset to be opened",
        "set opening.allowed of the dataset, if its department decides so",
    )


def _licence(evidence: Evidence) -> GateFailure | None:
    if _SPDX.fullmatch(evidence.licence):
        return None
    return GateFailure(
        "licence",
        f"{evidence.licence!r} is not an SPDX id" if evidence.licence else "the dataset has no licence",
        "set licence of the dataset to an SPDX id, for example CC-BY-4.0",
    )


def _version(evidence: Evidence) -> GateFailure | None:
    if evidence.version:
        return None
    asked = f"version {evidence.asked_version} was never committed" if evidence.asked_version else ""
    return GateFailure(
        "version", asked or "nothing was loaded yet", "load data, or name a version that was committed"
    )


def _assessment(evidence: Evidence) -> GateFailure | None:
    # Without a version there is nothing to assess, and that gate has spoken already.
    if not evidence.version or not evidence.has_rules or evidence.assessed:
        return None
    return GateFailure(
        "assessment",
        f"version {evidence.version} was not assessed by the contract's rules yet",
        "wait a moment and try again: every version is assessed after its load",
    )


def _quality(evidence: Evidence) -> GateFailure | None:
    if not evidence.stopped_by:
        return None
    good = evidence.last_good_version
    return GateFailure(
        "quality",
        f"version {evidence.version} does not meet {', '.join(evidence.stopped_by)}",
        "load corrected data" + (f", or release version {good}, the last that meets them" if good else ""),
    )


GATES: Final[tuple[Callable[[Evidence], GateFailure | None], ...]] = (
    _city_level,
    _opening,
    _licence,
    _version,
    _assessment,
    _quality,
)
