"""Routes that carry bytes, written by hand: uploads, rows, refused and failing rows, released files, directories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.operations import Operations
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams import (
    corrections,
    differences,
    directory,
    quarantine,
    releases,
    reports,
    rows,
    rows_described,
    uploads,
)
from plaza_gateway.transcode.descriptors import Contract, Face
from plaza_gateway.transcode.endpoints import HandWritten
from plaza_gateway.transcode.routes import on_face
from plaza_gateway.transcode.shapes import Shapes

STREAMS: tuple[HandWritten, ...] = (
    uploads.ROUTE,
    rows.ROUTE,
    rows.OF_VERSION,
    rows.OF_RELEASE,
    quarantine.ROUTE,
    corrections.ROUTE,
    releases.ROUTE,
    directory.IMPORT,
    directory.EXPORT,
    differences.ROUTE,
    reports.ROUTE,
)

# What is generated knows path, query and problems; of quarantine and corrections it is the whole truth.
_DESCRIBED: Mapping[HandWritten, Callable[[Schema, Schemas], Schema]] = {
    uploads.ROUTE: uploads.describe,
    rows.ROUTE: rows_described.describe,
    rows.OF_VERSION: rows_described.describe,
    rows.OF_RELEASE: rows_described.describe_open,
    releases.ROUTE: releases.describe,
    directory.IMPORT: directory.describe_import,
    directory.EXPORT: directory.describe_export,
    differences.ROUTE: differences.describe,
    reports.ROUTE: reports.describe,
}


def stream_paths(descriptor_set: bytes, faces: frozenset[Face]) -> dict[str, dict[str, Any]]:
    """The OpenAPI paths of the hand-written routes of some faces. Raises ContractError as the routes do."""
    contract = Contract(descriptor_set)
    operations = Operations(contract, Shapes(contract))
    paths: dict[str, dict[str, Any]] = {}
    for each in STREAMS:
        if on_face(each.face, faces):
            path, operation = operations.describe(each.route(contract))
            if each in _DESCRIBED:
                operation = _DESCRIBED[each](operation, operations.schemas)
            paths.setdefault(path, {})[each.verb.lower()] = _inlined(operation, operations.schemas.components)
    return paths


def _inlined(part: Any, components: Mapping[str, Schema]) -> Any:
    """Schemas in the places of references to them: these paths go into a document with components of its own."""
    if isinstance(part, dict):
        name = str(part.get("$ref", "")).removeprefix("#/components/schemas/")
        if name in components:
            return _inlined(components[name], components)
        return {key: _inlined(value, components) for key, value in part.items()}
    return [_inlined(each, components) for each in part] if isinstance(part, list) else part
