"""Routes that carry bytes, written by hand: uploads, rows, refused rows, released files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.operations import Operations
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams import quarantine, releases, rows, uploads
from plaza_gateway.transcode.descriptors import Contract, Face
from plaza_gateway.transcode.endpoints import HandWritten
from plaza_gateway.transcode.routes import on_face
from plaza_gateway.transcode.shapes import Shapes

STREAMS: tuple[HandWritten, ...] = (uploads.ROUTE, rows.ROUTE, quarantine.ROUTE, releases.ROUTE)

# What is generated knows path, query and problems; of the quarantine it is the whole truth.
_DESCRIBED: Mapping[HandWritten, Callable[[Schema, Schemas], Schema]] = {
    uploads.ROUTE: uploads.describe,
    rows.ROUTE: rows.describe,
    releases.ROUTE: releases.describe,
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
            paths.setdefault(path, {})[each.verb.lower()] = operation
    return paths
