"""The schema of `application/problem+json` as the gateway answers it (RFC 9457)."""

from __future__ import annotations

from typing import Any

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong, and what can be done about it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:plaza:problem:` and the reason."},
        "title": {"type": "string", "description": "The reason in words; the same for every occurrence."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "The place, and what is wrong there."},
        "reason": {"type": "string", "description": "For programs; UPPER_SNAKE (AIP-193)."},
        "remedy": {"type": "string", "description": "What the reader can do."},
        "facts": {"type": "object", "additionalProperties": {"type": "string"}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "pointer", "detail"],
                "properties": {
                    "in": {"type": "string", "enum": ["body", "query", "path", "header"]},
                    "pointer": {
                        "type": "string",
                        "description": "In the body a JSON pointer as URI fragment, elsewhere the name.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
        "trace_id": {"type": "string", "description": "Under which the logs know this request."},
    },
}
PROBLEM_RESPONSE: dict[str, Any] = {
    "description": "A problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_TEXT: dict[str, Any] = {"type": "string"}
QUOTA_RESPONSE: dict[str, Any] = {
    **PROBLEM_RESPONSE,
    "description": "A quota is used up, or the service is busy",
    "headers": {
        "Retry-After": {"description": "Seconds to wait.", "schema": _TEXT},
        "RateLimit-Policy": {
            "description": 'The quotas that hold here: `"signed-in";q=6000;w=60` is 6,000 requests in 60 seconds.',
            "schema": _TEXT,
        },
        "RateLimit": {
            "description": 'What is left of them: `"signed-in";r=5999;t=1`; `t`: seconds until all is there again.',
            "schema": _TEXT,
        },
    },
}


def problem(description: str) -> dict[str, Any]:
    """A reference to the problem response with its own words."""
    return {"$ref": "#/components/responses/Problem", "description": description}
