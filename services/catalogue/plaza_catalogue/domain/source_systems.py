"""A source system: its name, which fields may change, which of them a dataset may name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import source_systems_pb2 as pb
from plaza_kit.errors import FailedPrecondition, FieldViolation, InvalidArgument
from plaza_kit.names import BadName, DepartmentId

from plaza_catalogue.domain.updates import paths_of

SourceSystemId = NewType("SourceSystemId", str)

UPDATABLE = ("display_name", "display_name_en", "class", "owner", "vendor", "description")
"""Fields that an update may change, and that a metadata version holds."""
_IGNORED = frozenset(pb.SourceSystem.DESCRIPTOR.fields_by_name) - {*UPDATABLE}
_NAME = re.compile(r"departments/([a-z][a-z0-9-]{0,62})/sourceSystems/([a-z][a-z0-9-]{0,62})", re.ASCII)


class WrongSourceSystem(InvalidArgument):
    """The dataset names a source system that its department does not have."""


class SourceSystemRetired(FailedPrecondition):
    """A retired source system stays as it is, and no dataset can newly name it."""


@dataclass(frozen=True, slots=True)
class SourceSystemName:
    """`departments/{department}/sourceSystems/{source_system}`, taken apart."""

    department: DepartmentId
    source_system: SourceSystemId

    @classmethod
    def parse(cls, name: str) -> SourceSystemName:
        """Raises BadName."""
        match = _NAME.fullmatch(name)
        if match is None:
            pattern = "departments/{department}/sourceSystems/{source_system}"
            raise BadName(f"{name!r} is not a name like {pattern}", remedy=f"write it as {pattern}")
        return cls(DepartmentId(match[1]), SourceSystemId(match[2]))

    def __str__(self) -> str:
        return f"departments/{self.department}/sourceSystems/{self.source_system}"


def update_paths(mask: FieldMask, given: pb.SourceSystem) -> tuple[str, ...]:
    """The paths to change (AIP-134). Raises NotUpdatable."""
    return paths_of(mask, given, UPDATABLE, ignored=_IGNORED)


def check_named(name: str, systems: Iterable[pb.SourceSystem]) -> None:
    """That a dataset may name a source system, given those of its department. An empty name says nothing.

    Raises WrongSourceSystem with the names that exist, SourceSystemRetired.
    """
    if not name:
        return
    known = {system.name: system for system in systems}
    if name not in known:
        active = [each.name for each in known.values() if each.state == pb.SOURCE_SYSTEM_STATE_ACTIVE]
        text = "is no source system of the dataset's department"
        raise WrongSourceSystem(
            f"dataset.source_system: {name} {text}",
            remedy=f"name one of {', '.join(active[:20])}" if active else "register the source system first",
            violations=(FieldViolation("dataset.source_system", text),),
        )
    if known[name].state == pb.SOURCE_SYSTEM_STATE_RETIRED:
        raise retired(name)


def retired(name: object) -> SourceSystemRetired:
    """The state and what is possible from it."""
    return SourceSystemRetired(
        f"{name} is retired",
        remedy="it can only be read; register the system that came after it and name that one",
        facts={"state": "retired"},
    )
