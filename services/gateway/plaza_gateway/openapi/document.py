"""The OpenAPI 3.1 document of what the transcoder serves, from the same descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.operations import Operations
from plaza_gateway.openapi.problems import PROBLEM_RESPONSE, PROBLEM_SCHEMA, QUOTA_RESPONSE
from plaza_gateway.transcode.descriptors import Contract, Face
from plaza_gateway.transcode.routes import Route, routes_of
from plaza_gateway.transcode.shapes import Shapes

SECURITY_SCHEME = "oidc"
_DESCRIPTION = """\
Names in JSON and in queries are lowerCamelCase. 64-bit whole numbers are text, times are RFC 3339 in UTC,
unknown members and parameters are refused. What goes wrong is `application/problem+json` (RFC 9457).

Quotas: each answer tells in `RateLimit-Policy` and `RateLimit` what a client may ask of one process of the
gateway and what is left of it (draft-ietf-httpapi-ratelimit-headers). Beyond it: 429 with `Retry-After`.

Sizes: a JSON body has at most 1 MiB (413), address and headers together at most 32 KiB (414, 431); files go by
the upload routes. A body that stands still is given up (408). Calls are answered within 30 seconds (504), uploads,
downloads and watches may last an hour; the installation may set other limits.

Repeating: a POST whose request has a `requestId` may be sent again with the same one, or with the same header
`Idempotency-Key`, and is done once. Changing: `If-Match` with the `ETag` that was read; 412 when somebody was faster.
Reading in part: `fields` names the members that a GET is to answer.

Scripts of other sites may read what is public, and nothing else (CORS)."""


class PathTaken(ValueError):
    """Two sources describe the same operation; the message names it."""


def openapi(
    descriptor_set: bytes,
    *,
    faces: frozenset[Face],
    title: str,
    version: str,
    servers: Iterable[str] = (),
) -> dict[str, Any]:
    """The document of all routes of the given faces.

    Prose comes from the comments in the protos, constraints from `buf.validate`. What a schema requires of an
    answer is always there; what it forbids in a request is refused. Rules that JSON Schema has no words for
    are answered with 422."""
    contract = Contract(descriptor_set)
    operations = Operations(contract, Shapes(contract))
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, Schema] = {}
    for route in routes_of(contract.methods, faces):
        path, operation = operations.describe(route)
        _add(paths, path, route.verb.lower(), operation)
        tags.setdefault(operation["tags"][0], _tag(operation["tags"][0], route, contract))
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "servers": [{"url": each} for each in servers],
        "security": [{SECURITY_SCHEME: []}],
        "tags": list(tags.values()),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**dict(sorted(operations.schemas.components.items())), "Problem": PROBLEM_SCHEMA},
            "responses": {"Problem": PROBLEM_RESPONSE, "QuotaUsedUp": QUOTA_RESPONSE},
            "securitySchemes": {
                SECURITY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of the platform's OpenID Connect issuer.",
                }
            },
        },
    }
    return document if document["servers"] else {k: v for k, v in document.items() if k != "servers"}


def merge_paths(document: Mapping[str, Any], paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document with hand-written paths added; the given one is left as it is. Operations may refer to
    `#/components/responses/Problem`. Raises PathTaken when an operation is already there."""
    merged = {path: dict(item) for path, item in document["paths"].items()}
    for path, item in paths.items():
        for key, operation in item.items():
            _add(merged, path, key, operation)
    return {**document, "paths": dict(sorted(merged.items()))}


def _add(paths: dict[str, dict[str, Any]], path: str, key: str, operation: Any) -> None:
    item = paths.setdefault(path, {})
    if key in item:
        raise PathTaken(f"{key.upper()} {path} is described twice")
    item[key] = operation


def _tag(name: str, route: Route, contract: Contract) -> Schema:
    text = contract.comment(route.method.service)
    return {"name": name, **({"description": text} if text else {})}
