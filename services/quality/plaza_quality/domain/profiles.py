"""Profiles of versions: what of one a reader sees, and the figures by which versions are compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from plaza.quality.v1 import profiles_pb2 as pb
from plaza_kit.grants import GrantRefused, ReadGrant


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """Of a column in one version."""

    null_percent: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """Of one version; what was not assessed has no score, what was not profiled no columns."""

    version: int
    rows: int
    score: float | None
    columns: Mapping[str, ColumnFigures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which columns somebody sees who holds a read grant. None: all."""

    columns: frozenset[str] | None

    @classmethod
    def of(cls, grant: ReadGrant) -> Sight:
        """Columns of the grant without those that it masks: figures tell of values in clear. Raises GrantRefused for a
        grant of some rows only, for figures tell of all."""
        if grant.row_filter:
            raise GrantRefused(
                "row_filter",
                "figures of a whole version are not shown under a grant of some of its rows",
                remedy="Read the rows instead.",
            )
        masked = {column for column, _ in grant.masks}
        if grant.columns is None and masked:
            raise GrantRefused(
                "masks", "figures are not shown under a grant that masks fields and names none"
            )
        return cls(None if grant.columns is None else frozenset(grant.columns) - masked)

    def sees(self, fields: Collection[str]) -> bool:
        """All of them."""
        return self.columns is None or self.columns.issuperset(fields)

    def of_profile(self, profile: pb.Profile) -> pb.Profile:
        """What is seen of it."""
        if self.columns is None:
            return profile
        shown = pb.Profile()
        shown.CopyFrom(profile)
        for kept in (shown.columns, shown.keys, shown.dependencies):
            del kept[:]
        shown.columns.extend(each for each in profile.columns if self.sees((each.field,)))
        shown.keys.extend(each for each in profile.keys if self.sees(each.fields))
        shown.dependencies.extend(
            each for each in profile.dependencies if self.sees((each.determinant, each.dependent))
        )
        return shown
