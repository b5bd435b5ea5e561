"""The interface as this process describes it, and what it answers of it itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import orjson
import plaza_protos
from starlette.responses import Response

from plaza_gateway.openapi import merge_paths, openapi
from plaza_gateway.settings import GatewaySettings
from plaza_gateway.streams import stream_paths
from plaza_gateway.transcode.descriptors import Face

API = "/api/v1"
DOCS = f"{API}/docs"
"""The documentation for people."""
OWN = frozenset({f"{API}/identity", f"{API}/openapi.json"})
"""What this process answers itself under the interface, for everybody; beside the documentation."""
CLI_CLIENT = "plaza-cli"


def identity(settings: GatewaySettings) -> Any:
    """The endpoint of `identity`."""

    async def answer() -> dict[str, str]:
        """Where to log in, and as which client: what the command line needs before it has a token."""
        return {"issuer": settings.issuer, "clientId": CLI_CLIENT}

    return answer


_IDENTITY_PATH: dict[str, Any] = {
    f"{API}/identity": {
        "get": {
            "operationId": "GetIdentity",
            "summary": "Where to log in, and as which client.",
            "tags": ["Gateway"],
            "security": [],
            "responses": {
                "200": {
                    "description": "The issuer.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["issuer", "clientId"],
                                "properties": {
                                    "issuer": {"type": "string", "format": "uri"},
                                    "clientId": {"type": "string"},
                                },
                                "additionalProperties": False,
                            }
                        }
                    },
                }
            },
        }
    }
}


def described(faces: frozenset[Face]) -> dict[str, Any]:
    """The OpenAPI document of what a process with these faces serves."""
    contract = plaza_protos.descriptor_set()
    document = openapi(contract, faces=faces, title="Plaza", version=version("plaza-gateway"))
    document = merge_paths(document, stream_paths(contract, faces))
    return merge_paths(document, _IDENTITY_PATH)


def served(document: dict[str, Any]) -> Any:
    """The endpoint of the document itself."""
    text = orjson.dumps(document)

    async def answer() -> Response:
        """This interface, as OpenAPI 3.1."""
        return Response(text, media_type="application/json")

    return answer
