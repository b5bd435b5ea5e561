"""The strict look at a body: what it reads, where it is wrong, before any codec sees it.

Duplicate keys, unknown keys, snake_case keys, null, two members of one oneof and values of a near-enough type
are all refused with the place; fields that the server sets are dropped (AIP-203: ignored, so that an object
that was read can be sent back).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import quote

from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.scalars import Refused, check, free, key_check
from plaza_gateway.transcode.shapes import FieldShape, Kind, MessageShape

MAX_COMPLAINTS = 50
MAX_DEPTH = 48


def pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer as URI fragment (RFC 6901, section 6): `#/dataset/fields/0`."""
    tokens = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "#" + "".join("/" + quote(token, safe="!$&'()*+,;=:@-._~") for token in tokens)


def parse_json(body: bytes) -> Any:
    """The JSON value of a body. Raises Problem (400) with the position of what is wrong."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} of the body is not UTF-8") from error
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"the body is not JSON: {error.msg} at {place}") from error
    except RecursionError as error:
        raise _malformed("the body is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise _malformed("the body holds a number that is too long") from error


def _malformed(detail: str) -> Problem:
    return Problem(400, "MALFORMED_BODY", detail, remedy="Send one JSON object in UTF-8.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _malformed(f"the key {json.dumps(twice)} stands twice in one object")
    return result


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not JSON")


class Walk:
    """One walk over one body; collects complaints instead of stopping at the first."""

    def __init__(self) -> None:
        self.complaints: list[Complaint] = []
        self.lenient = False
        """Nested objects may be incomplete too (an update mask names parts of them)."""

    def complain(self, path: tuple[str | int, ...], detail: str) -> None:
        """Note a wrong place."""
        if len(self.complaints) < MAX_COMPLAINTS:
            self.complaints.append(Complaint("body", pointer(path), detail))

    def message(
        self,
        shape: MessageShape,
        value: Any,
        path: tuple[str | int, ...] = (),
        *,
        hidden: frozenset[str] = frozenset(),
        partial: bool = False,
    ) -> dict[str, Any]:
        """The object as the codec may have it. `hidden`: JSON names that the path binds, unknown in the body;
        `partial`: required fields of this object may be absent."""
        if not isinstance(value, dict):
            self.complain(path, "must be an object")
            return {}
        if len(path) > MAX_DEPTH:
            self.complain(path, "is nested too deeply")
            return {}
        clean: dict[str, Any] = {}
        for key, each in value.items():
            field = None if key in hidden else shape.by_json.get(key)
            if field is None:
                self.complain((*path, key), _unknown(shape, key, hidden))
            elif not field.server_set:
                read = self.field(field, each, (*path, key))
                if read is not _NOTHING:
                    clean[key] = read
        self._whole(shape, value, path, hidden, partial or self.lenient)
        return clean

    def _whole(
        self,
        shape: MessageShape,
        value: dict[str, Any],
        path: tuple[str | int, ...],
        hidden: frozenset[str],
        partial: bool,
    ) -> None:
        """Complaints about what is missing and what excludes each other."""
        if not partial:
            for name in sorted(shape.required - value.keys() - hidden):
                self.complain((*path, name), "is required")
        for oneof, members in shape.oneofs.items():
            present = [each.json_name for each in members if each.json_name in value]
            names = ", ".join(each.json_name for each in members)
            if len(present) > 1:
                self.complain((*path, present[1]), f"only one of {names} may be given")
            elif not present and oneof in shape.required_oneofs and not partial:
                self.complain(path, f"one of {names} is required")

    def field(self, field: FieldShape, value: Any, path: tuple[str | int, ...] = ()) -> Any:
        """One value, list or map as the codec may have it."""
        if value is None and not (field.kind is Kind.VALUE and field.single):
            self.complain(path, "must not be null; leave it out instead")
            return _NOTHING
        if field.map_key is not None:
            return self._map(field, value, path)
        if field.repeated:
            if not isinstance(value, list):
                self.complain(path, "must be a list")
                return _NOTHING
            return [self._one(field, each, (*path, index)) for index, each in enumerate(value)]
        return self._one(field, value, path)

    def _map(self, field: FieldShape, value: Any, path: tuple[str | int, ...]) -> Any:
        if not isinstance(value, dict):
            self.complain(path, "must be an object")
            return _NOTHING
        assert field.map_key is not None
        for key in value:
            try:
                key_check(field.map_key, key)
            except Refused as refused:
                self.complain((*path, key), str(refused))
        return {key: self._one(field, each, (*path, key)) for key, each in value.items()}

    def _one(self, field: FieldShape, value: Any, path: tuple[str | int, ...]) -> Any:
        if field.message is not None:
            return self.message(field.message, value, path)
        try:
            if field.kind is Kind.VALUE:
                free(value)
            else:
                check(field, value)
        except Refused as refused:
            self.complain(path, str(refused))
        return value


_NOTHING = object()


def _unknown(shape: MessageShape, key: str, hidden: frozenset[str]) -> str:
    if key in hidden:
        return "stands in the path already"
    if (same := shape.by_name.get(key)) and same.json_name not in hidden:
        return f"is unknown here; write {same.json_name}"
    known = sorted(shape.by_json.keys() - hidden)
    return (
        f"is unknown here; known are {', '.join(known)}" if known else "is unknown here; no fields are known"
    )
