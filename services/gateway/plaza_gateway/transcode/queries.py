"""Query parameters: every request field that neither the path nor the body holds (google.api.http)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.routes import Route
from plaza_gateway.transcode.scalars import Refused, from_text
from plaza_gateway.transcode.shapes import FieldShape, Kind, MessageShape

_DEPTH = 3
_NOT_IN_A_QUERY = (Kind.STRUCT, Kind.VALUE, Kind.LIST_VALUE, Kind.ANY)


@dataclass(frozen=True, slots=True)
class QueryField:
    """One parameter: JSON names joined by dots."""

    name: str
    path: tuple[str, ...]
    field: FieldShape
    required: bool


def query_fields(route: Route, request: MessageShape) -> dict[str, QueryField]:
    """The query parameters of a route by name; none when the body is the whole request."""
    if route.binding.body == "*":
        return {}
    taken = {each.field for each in route.template.variables} | {route.binding.body} | route.binding.without
    return {each.name: each for each in _fields(request, (), (), taken)}


def _fields(
    shape: MessageShape, names: tuple[str, ...], path: tuple[str, ...], taken: set[str]
) -> Iterator[QueryField]:
    for field in shape.fields:
        proto_path, json_path = (*names, field.name), (*path, field.json_name)
        if ".".join(proto_path) in taken or field.server_set or field.map_key is not None:
            continue
        if field.kind is Kind.MESSAGE:
            if field.single and field.message is not None and len(json_path) < _DEPTH:
                yield from _fields(field.message, proto_path, json_path, taken)
        elif field.kind not in _NOT_IN_A_QUERY:
            required = not path and field.json_name in shape.required
            yield QueryField(".".join(json_path), json_path, field, required)


def read_query(raw: bytes, known: dict[str, QueryField]) -> dict[tuple[str, ...], Any]:
    """JSON values by path. Raises Problem (400) for unknown, repeated, missing and ill-formed parameters."""
    complaints: list[Complaint] = []
    found: dict[tuple[str, ...], Any] = {}
    for name, text in pairs(raw):
        parameter = known.get(name)
        try:
            if parameter is None:
                raise Refused(_unknown(known))
            value = from_text(parameter.field, text)
            if parameter.field.repeated:
                found.setdefault(parameter.path, []).append(value)
            elif parameter.path in found:
                raise Refused("may be given once only")
            else:
                found[parameter.path] = value
        except Refused as refused:
            complaints.append(Complaint("query", name, str(refused)))
    complaints.extend(
        Complaint("query", each.name, "is required")
        for each in known.values()
        if each.required and each.path not in found
    )
    if complaints:
        raise Problem.of_complaints(tuple(complaints))
    return found


def pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a query string, decoded, in its order. Raises Problem (400)."""
    for part in raw.split(b"&"):
        if not part:
            continue
        name, _, value = part.partition(b"=")
        try:
            yield _decoded(name), _decoded(value)
        except UnicodeDecodeError as error:
            text = part.decode("ascii", "replace")
            raise Problem.of_complaints(
                (Complaint("query", text, "is not percent-encoded UTF-8"),)
            ) from error


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode()


def _unknown(known: dict[str, QueryField]) -> str:
    return (
        f"is unknown here; known are {', '.join(sorted(known))}"
        if known
        else "is unknown here; none is known"
    )
