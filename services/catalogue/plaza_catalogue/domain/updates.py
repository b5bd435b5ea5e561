"""Updates by field mask (AIP-134), the same for datasets and source systems."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from plaza_kit.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)


class NotUpdatable(InvalidArgument):
    """The update names a field that it cannot change."""


def paths_of(
    mask: FieldMask,
    given: Message,
    updatable: Sequence[str],
    *,
    parts: Sequence[str] = (),
    ignored: Collection[str] = (),
) -> tuple[str, ...]:
    """The paths to change, each one of `updatable` or a part of one. Raises NotUpdatable.

    An empty mask means every updatable field that is set; `*` means all of them. Ignored fields (output only,
    AIP-203) may be named and change nothing.
    """
    if not mask.paths:
        return tuple(name for name in updatable if is_set(given, name))
    if list(mask.paths) == ["*"]:
        return tuple(updatable)
    unknown = [path for path in mask.paths if path not in (*updatable, *parts) and path not in ignored]
    if unknown:
        raise NotUpdatable(
            f"update_mask: {unknown[0]!r} is not a field that an update changes",
            remedy=f"name some of {', '.join(updatable)}",
            violations=tuple(
                FieldViolation("update_mask", f"{path!r} is not a field that an update changes")
                for path in unknown
            ),
        )
    return tuple(path for path in mask.paths if path not in ignored)


def is_set(message: Message, name: str) -> bool:
    """Whether a field holds something other than its default."""
    return any(field.name == name for field, _ in message.ListFields())


def merged(current: M, given: M, paths: Sequence[str]) -> M:
    """The current message with the values of some paths taken from another."""
    result = type(current)()
    result.CopyFrom(current)
    FieldMask(paths=paths).MergeMessage(
        given, result, replace_message_field=True, replace_repeated_field=True
    )
    return result


def changed_fields(names: Sequence[str], before: Message, after: Message) -> list[str]:
    """Those of some fields that differ, in their order."""
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def part(message: M, names: Sequence[str]) -> M:
    """Only some fields of a message."""
    kept = type(message)()
    FieldMask(paths=names).MergeMessage(message, kept)
    return kept
