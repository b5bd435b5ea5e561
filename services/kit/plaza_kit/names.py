"""Resource names: `departments/{d}`, `departments/{d}/datasets/{x}`, `…/versions/{n}` (AIP-122)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from plaza_kit.errors import InvalidArgument

DepartmentId = NewType("DepartmentId", str)
DatasetId = NewType("DatasetId", str)

_SLUG = "[a-z][a-z0-9-]{0,62}"
_DEPARTMENT = re.compile(rf"departments/({_SLUG})")
_DATASET = re.compile(rf"departments/({_SLUG})/datasets/({_SLUG})")
_VERSION = re.compile(rf"(departments/{_SLUG}/datasets/{_SLUG})/versions/([1-9][0-9]{{0,8}})")
_ID = re.compile(_SLUG)
ALL_DEPARTMENTS = "departments/-"


class BadName(InvalidArgument):
    """A resource name or id is not written as it must be."""


@dataclass(frozen=True, slots=True)
class DatasetName:
    """`departments/{department}/datasets/{dataset}`, taken apart."""

    department: DepartmentId
    dataset: DatasetId

    @classmethod
    def parse(cls, name: str) -> DatasetName:
        """Raises BadName."""
        match = _DATASET.fullmatch(name)
        if match is None:
            raise _bad(name, "departments/{department}/datasets/{dataset}")
        return cls(DepartmentId(match[1]), DatasetId(match[2]))

    def __str__(self) -> str:
        return f"departments/{self.department}/datasets/{self.dataset}"


def parse_department(name: str) -> DepartmentId:
    """`departments/ecology` → `ecology`. Raises BadName."""
    match = _DEPARTMENT.fullmatch(name)
    if match is None:
        raise _bad(name, "departments/{department}")
    return DepartmentId(match[1])


def parse_version(name: str) -> tuple[DatasetName, int]:
    """`…/versions/3` → the dataset and 3. Raises BadName."""
    match = _VERSION.fullmatch(name)
    if match is None:
        raise _bad(name, "departments/{department}/datasets/{dataset}/versions/{version}")
    return DatasetName.parse(match[1]), int(match[2])


def check_id(value: str, place: str) -> str:
    """The id itself. Raises BadName when it cannot be part of a name."""
    if _ID.fullmatch(value) is None:
        raise BadName(
            f"{place}: {value!r} cannot be part of a name",
            remedy="use lower-case letters, digits and hyphens, a letter first, at most 63",
            facts={"field": place},
        )
    return value


def _bad(name: str, pattern: str) -> BadName:
    return BadName(f"{name!r} is not a name like {pattern}", remedy=f"write it as {pattern}")
