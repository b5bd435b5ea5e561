"""What the dataset's gate lets through to other departments: the rules are quality's, the consequences are ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from plaza_kit.errors import FailedPrecondition
from plaza_kit.names import DatasetName


class Verdict(StrEnum):
    """Of quality, on one version."""

    PASSED = "passed"
    STOPPED = "stopped"
    CHECKING = "checking"
    """Not assessed yet."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What quality says when it is asked about one version."""

    verdict: Verdict
    rules: tuple[tuple[str, str], ...] = ()
    """Id and title of those that stop it."""
    last_good: int = 0
    """The newest version up to the one asked about that may be shared; 0: none."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A newer version than the one that is given out."""

    version: int
    checking: bool
    rules: tuple[str, ...]
    """Ids."""


class VersionStopped(FailedPrecondition):
    """Rules of the dataset's contract stop the version from being shared."""


class VersionBeingChecked(FailedPrecondition):
    """The version is not assessed yet, and rules of the dataset's contract may stop it."""


def admitted(dataset: DatasetName, version: int, gate: Gate, *, named: bool) -> tuple[int, HeldBack | None]:
    """The version that another department gets, and what is held back from it. `version`: the newest, or the one that
    was asked for (`named`). Raises VersionStopped, VersionBeingChecked."""
    if gate.verdict is Verdict.PASSED:
        return version, None
    if not named and gate.last_good:
        held = HeldBack(version, gate.verdict is Verdict.CHECKING, tuple(id for id, _ in gate.rules))
        return gate.last_good, held
    raise _refusal(dataset, version, gate)


def _refusal(dataset: DatasetName, version: int, gate: Gate) -> FailedPrecondition:
    facts = {"version": str(version), "rules": ",".join(id for id, _ in gate.rules)}
    good = f"read version {gate.last_good}, the last that is shared" if gate.last_good else ""
    if gate.last_good:
        facts["last_good_version"] = str(gate.last_good)
    if gate.verdict is Verdict.CHECKING:
        return VersionBeingChecked(
            f"version {version} of {dataset} is being checked and is not shared before that",
            remedy=_joined("ask again in some seconds", good),
            facts=facts,
        )
    return VersionStopped(
        f"version {version} of {dataset} is not shared: it does not meet {_listed(gate.rules)}",
        remedy=_joined(good, f"{dataset.department} has to load corrected data"),
        facts=facts,
    )


def _listed(rules: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{id} ({title})" if title else id for id, title in rules)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
