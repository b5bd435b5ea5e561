"""Who reads whose data, and whether it is shared with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from plaza_kit.errors import InvalidArgument, PermissionDenied
from plaza_kit.names import DatasetName, DepartmentId, check_id, parse_department

UNCONDITIONAL: Final = "unconditional"
CONDITIONAL: Final = "conditional"
NOT_SHARED: Final = "not_shared"
SHAREABLE_LEVELS: Final = frozenset({"public", "internal"})
"""City levels of which another department may read rows without a decision of the owner."""


class ReaderAmbiguous(InvalidArgument):
    """The caller belongs to several departments and did not say for which one they read."""


class ForeignReader(PermissionDenied):
    """Rows are read for a department that the caller does not belong to, or for none."""


class SharedOnCondition(PermissionDenied):
    """The dataset is shared on conditions, which its owner has to find fulfilled."""


class NotShared(PermissionDenied):
    """The dataset is not shared with other departments."""


class OwnerOnly(PermissionDenied):
    """The grade of the dataset leaves it to the department that owns it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as far as sharing looks at it."""

    name: DatasetName
    city_level: str
    """`public`, `internal`, `sensitive`, `core`; empty: unclassified."""
    sharing_class: str
    """`unconditional`, `conditional`, `not_shared`; empty: not declared."""
    guarded: bool = False
    """Whether a rule of its contract may stop a version from being shared."""


def reading_department(dataset: DatasetName, mine: Collection[str], named: str) -> DepartmentId:
    """For which department the caller reads: the named one (id or resource name), the owning one where they
    belong to it, or their only one.

    Raises ReaderAmbiguous, ForeignReader, BadName.
    """
    if named:
        reader = parse_department(named) if "/" in named else DepartmentId(check_id(named, "reader"))
        if reader not in mine:
            raise ForeignReader(
                f"reader: you do not belong to {reader}",
                remedy=f"name one of your own: {_listed(mine)}" if mine else "ask to be made its member",
                facts={"field": "reader"},
            )
        return reader
    if dataset.department in mine:
        return dataset.department
    if not mine:
        raise ForeignReader(
            "rows are read for a department, and you belong to none",
            remedy="ask a department's data officer to be made its reader",
        )
    if len(mine) > 1:
        raise ReaderAmbiguous(
            f"reader: you belong to several departments: {_listed(mine)}",
            remedy="name the one for which you read in `reader`",
            facts={"field": "reader", "departments": ",".join(sorted(mine))},
        )
    return DepartmentId(next(iter(mine)))


def check_shared(dataset: Dataset) -> None:
    """That other departments may read it by rule. Raises SharedOnCondition, NotShared, OwnerOnly."""
    owner = dataset.name.department
    facts = {"city_level": dataset.city_level, "sharing_class": dataset.sharing_class}
    if dataset.sharing_class == NOT_SHARED:
        raise NotShared(
            f"{dataset.name} is not shared (不予共享)",
            remedy=f"the directory gives the reason; questions go to {owner}, which owns it",
            facts=facts,
        )
    if dataset.sharing_class == CONDITIONAL:
        raise SharedOnCondition(
            f"{dataset.name} is shared on conditions (有条件共享)",
            remedy=f"an application will be possible here; until then ask {owner}, which owns it",
            facts=facts,
        )
    if dataset.sharing_class != UNCONDITIONAL or dataset.city_level not in SHAREABLE_LEVELS:
        level = dataset.city_level or "unclassified"
        declared = dataset.sharing_class or "no sharing class"
        raise OwnerOnly(
            f"{dataset.name} is {level} with {declared}: only {owner} reads it",
            remedy=f"ask the data officer of {owner} whether its grade is right",
            facts=facts,
        )


def _listed(departments: Collection[str]) -> str:
    return ", ".join(sorted(departments))
