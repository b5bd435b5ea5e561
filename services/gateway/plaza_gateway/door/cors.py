"""Cross-origin reads (the Fetch standard, section 3.2): public reads for everybody, nothing else for anybody.

`*` and never credentials: a page of another site can read only what a stranger without a token can.
"""

from __future__ import annotations

from collections.abc import Mapping

from plaza_gateway.door.visits import Visit

_EXPOSED = (
    "Content-Disposition, Content-Range, ETag, Link, Plaza-Content-Sha256, Plaza-Release, Plaza-Rows, "
    "Plaza-Version, RateLimit, RateLimit-Policy, Retry-After"
)
_ASKED = "Accept, Content-Type, If-None-Match, If-Range, Range"
_METHODS = "GET, HEAD, OPTIONS"
_KEPT_SECONDS = 24 * 3600


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """A browser asks whether a script of another site may do something."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(visit: Visit, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the answer; none of permission where the answer is no."""
    vary = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
    if not visit.open_read or headers["access-control-request-method"] not in _METHODS.split(", "):
        return vary
    return vary | {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _ASKED,
        "Access-Control-Max-Age": str(_KEPT_SECONDS),
    }


def allowed(visit: Visit, method: str) -> dict[str, str]:
    """The headers of an answer itself."""
    if not visit.open_read or method not in visit.verbs:
        return {}
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
