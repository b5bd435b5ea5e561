"""A department: which fields may change, and what is possible in which state."""

from __future__ import annotations

from google.protobuf.field_mask_pb2 import FieldMask
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.errors import FailedPrecondition

from plaza_catalogue.domain.updates import paths_of

UPDATABLE = ("display_name", "display_name_en", "provider_code")
"""Fields that an update may change, and that a metadata version holds."""
_IGNORED = frozenset(pb.Department.DESCRIPTOR.fields_by_name) - {*UPDATABLE}


class DepartmentArchived(FailedPrecondition):
    """An archived department stays as it is and registers nothing."""


def update_paths(mask: FieldMask, given: pb.Department) -> tuple[str, ...]:
    """The paths to change (AIP-134). Raises NotUpdatable."""
    return paths_of(mask, given, UPDATABLE, ignored=_IGNORED)


def check_active(department: pb.Department) -> None:
    """Raises DepartmentArchived: the state and what is possible from it."""
    if department.state == pb.DEPARTMENT_STATE_ARCHIVED:
        raise DepartmentArchived(
            f"{department.name} is archived",
            remedy="it can only be read; a city administrator can activate it again",
            facts={"state": "archived"},
        )
