"""Releases: their names and the states that they may be in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plaza_kit.errors import FailedPrecondition
from plaza_kit.names import BadName, DatasetName

_RELEASE: Final = re.compile(r"(departments/[a-z0-9-]+/datasets/[a-z0-9-]+)/releases/([1-9][0-9]{0,8})")
_OPEN_DATASET: Final = re.compile(r"(departments/[a-z0-9-]+/datasets/[a-z0-9-]+)/openDataset")


class State(StrEnum):
    """Where a release stands."""

    APPROVED = "approved"
    """Gates passed, files are being built."""
    PUBLISHED = "published"
    """Open to everybody; at most one of a dataset."""
    SUPERSEDED = "superseded"
    """A newer one is published; this one stays readable."""
    WITHDRAWN = "withdrawn"
    """No longer given out."""
    FAILED = "failed"
    """Building failed."""


READABLE: Final = frozenset({State.PUBLISHED, State.SUPERSEDED})
"""States in which the files are given out."""


class IllegalTransition(FailedPrecondition):
    """The release is in a state from which this is not possible."""


@dataclass(frozen=True, slots=True)
class ReleaseName:
    """`departments/{department}/datasets/{dataset}/releases/{release}`, taken apart."""

    dataset: DatasetName
    number: int

    @classmethod
    def parse(cls, name: str) -> ReleaseName:
        """Raises BadName."""
        match = _RELEASE.fullmatch(name)
        if match is None:
            raise BadName(
                f"{name!r} is not the name of a release",
                remedy="write departments/{department}/datasets/{dataset}/releases/{release}",
            )
        return cls(DatasetName.parse(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.dataset}/releases/{self.number}"


def parse_open_dataset(name: str) -> DatasetName:
    """`departments/{d}/datasets/{x}/openDataset` → the dataset. Raises BadName."""
    match = _OPEN_DATASET.fullmatch(name)
    if match is None:
        raise BadName(
            f"{name!r} is not the name of an open dataset",
            remedy="write departments/{department}/datasets/{dataset}/openDataset",
        )
    return DatasetName.parse(match[1])


def csv_name(release: ReleaseName) -> str:
    """`air-quality-r1.csv`."""
    return f"{release.dataset.dataset}-r{release.number}.csv"


def parquet_name(release: ReleaseName) -> str:
    """`air-quality-r1.parquet`."""
    return f"{release.dataset.dataset}-r{release.number}.parquet"


def check_withdrawable(name: ReleaseName, state: State) -> None:
    """Raises IllegalTransition unless the release is given out now."""
    if state in READABLE:
        return
    possible = {
        State.APPROVED: "wait until it is published",
        State.WITHDRAWN: "nothing more can be done with it; make a new release",
        State.FAILED: "nothing was given out; correct the cause and make a new release",
    }[state]
    raise IllegalTransition(
        f"{name} is {state.value} and cannot be withdrawn; only published and superseded releases can",
        remedy=possible,
        facts={"state": state.value},
    )
