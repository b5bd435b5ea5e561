"""Update masks (AIP-134, AIP-161): from the query when given, from the keys of the body when not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaza_gateway.transcode.shapes import MessageShape

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Mask:
    """Which fields of a resource an update names; paths in JSON names."""

    paths: tuple[tuple[str, ...], ...]
    whole: bool = False
    """`*`: the whole resource is replaced."""

    def covers(self, path: Sequence[str | int]) -> bool:
        """True when the update touches this place. A rule about the resource as a whole is not covered:
        it holds for the merged object, which only the service sees."""
        if self.whole:
            return True
        return bool(path) and any(
            tuple(path[: len(each)]) == each or each[: len(path)] == tuple(path) for each in self.paths
        )

    @property
    def deep(self) -> bool:
        """Names parts of nested objects, so that these may be incomplete in the body."""
        return any(len(path) > 1 for path in self.paths)

    @property
    def text(self) -> str:
        """As JSON writes a FieldMask."""
        return EVERYTHING if self.whole else ",".join(".".join(path) for path in self.paths)


class UnknownPath(ValueError):
    """A mask names what the resource does not have."""


def parse(text: str, resource: MessageShape) -> Mask:
    """The mask of `displayName,contact.email`. Raises UnknownPath naming the valid paths."""
    if text == EVERYTHING:
        return Mask((), whole=True)
    paths = tuple(tuple(path.split(".")) for path in text.split(",") if path)
    for path in paths:
        shape: MessageShape | None = resource
        for name in path:
            field = shape.by_json.get(name) if shape else None
            if field is None:
                known = ", ".join(".".join(each) for each in settable(resource, depth=1))
                raise UnknownPath(f"names {'.'.join(path)}, which is unknown; known are {known}")
            shape = field.message if field.single else None
    return Mask(paths)


def derive(body: Mapping[str, Any], resource: MessageShape) -> Mask:
    """The mask of all keys that a (cleaned) body holds; the etag is a condition, not a change."""
    names = (name for name in body if name in resource.by_json and name != "etag")
    return Mask(tuple((name,) for name in names))


def settable(resource: MessageShape, *, depth: int = 2) -> Iterator[tuple[str, ...]]:
    """All paths that a mask may name, down to `depth`."""
    for field in resource.fields:
        if field.server_set or field.name == "etag":
            continue
        yield (field.json_name,)
        if field.message is not None and field.single and depth > 1:
            for rest in settable(field.message, depth=depth - 1):
                yield (field.json_name, *rest)
