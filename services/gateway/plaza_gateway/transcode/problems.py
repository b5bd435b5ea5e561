"""What went wrong, as `application/problem+json` (RFC 9457).

One mapping for all: errors of services arrive as `google.rpc.Status` with `ErrorInfo` (AIP-193), errors of
the door itself are raised as Problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import grpc
import orjson
from google.rpc import code_pb2, error_details_pb2, status_pb2
from plaza_kit import telemetry
from plaza_kit.errors import DOMAIN, PlazaError
from plaza_kit.rpc.status import REMEDY, status_of, to_status

CONTENT_TYPE = b"application/problem+json"
CLIENT_CLOSED_REQUEST = 499
"""Not registered with IANA; what google.rpc.Code names for CANCELLED."""

_log = telemetry.log("gateway")

# google.rpc.Code says which HTTP status belongs to which code.
_HTTP: dict[int, int] = {
    code_pb2.CANCELLED: CLIENT_CLOSED_REQUEST,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
}
_RETRY_AFTER_SECONDS = 2
# gRPC itself puts texts of exceptions and addresses of sockets into these; a stranger learns neither.
_PRIVATE: dict[int, str] = {
    code_pb2.UNKNOWN: "an internal error; the logs name it",
    code_pb2.INTERNAL: "an internal error; the logs name it",
    code_pb2.UNAVAILABLE: "the service behind this route cannot answer just now",
}

Where = Literal["body", "query", "path", "header"]
Locate = Callable[[str], tuple[Where, str]]
"""Turns a field path of a request (`dataset.display_name`) into the place where the caller wrote it."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One wrong place in a request."""

    where: Where
    pointer: str
    """In the body a JSON pointer as URI fragment; elsewhere the name of the parameter or header."""
    detail: str


class Problem(Exception):
    """An answer other than success. `reason` is UPPER_SNAKE; the problem type is made of it."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        remedy: str = "",
        facts: Mapping[str, str] | None = None,
        errors: tuple[Complaint, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.remedy = remedy
        self.facts = dict(facts or {})
        self.errors = errors
        self.headers = dict(headers or {})

    @classmethod
    def of_complaints(cls, complaints: tuple[Complaint, ...], status: int = 400) -> Problem:
        """The problem of a request with wrong places."""
        first = complaints[0]
        more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
        return cls(
            status,
            "INVALID_REQUEST",
            f"{first.pointer} {first.detail}{more}",
            remedy="Correct the places that `errors` lists; the API document tells what each takes.",
            errors=complaints,
        )

    @classmethod
    def of_error(cls, error: PlazaError) -> Problem:
        """The problem of a domain error, by the same way as if a service had answered it."""
        return cls.of_status(to_status(error))

    @classmethod
    def of_rpc(cls, error: grpc.aio.AioRpcError, locate: Locate | None = None) -> Problem:
        """The problem of a failed call. What no service of ours has said is logged: the answer says so."""
        status = status_of(error)
        if not status.details:
            _log.warning("a call failed on its way", code=error.code().name, details=error.details())
        return cls.of_status(status, locate)

    @classmethod
    def of_status(cls, status: status_pb2.Status, locate: Locate | None = None) -> Problem:
        """The problem of a rich status."""
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for packed in status.details:
            # Unpack leaves a message of another type alone.
            packed.Unpack(info) or packed.Unpack(bad) or packed.Unpack(retry)
        facts = dict(info.metadata)
        ours = info.domain == DOMAIN
        code: int = status.code if status.code in _HTTP else code_pb2.UNKNOWN
        public = status.message if ours else _PRIVATE.get(code, status.message)
        return cls(
            _HTTP[code],
            info.reason or ("INTERNAL" if code == code_pb2.UNKNOWN else code_pb2.Code.Name(code)),
            public or phrase(_HTTP[code]),
            remedy=facts.pop(REMEDY, ""),
            facts=facts,
            errors=tuple(_complaint(each, locate) for each in bad.field_violations),
            headers=_headers(code, retry),
        )

    def document(self, trace_id: str = "") -> dict[str, Any]:
        """The members of the problem document; empty extensions are left out."""
        extensions = {
            "remedy": self.remedy,
            "facts": self.facts,
            "errors": [{"in": e.where, "pointer": e.pointer, "detail": e.detail} for e in self.errors],
            "trace_id": self.facts.get("trace_id", "") or trace_id,
        }
        return {
            "type": f"urn:plaza:problem:{self.reason.lower().replace('_', '-')}",
            "title": self.reason.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            **{name: value for name, value in extensions.items() if value},
        }

    def body(self, trace_id: str = "") -> bytes:
        """The document as UTF-8 JSON."""
        return orjson.dumps(self.document(trace_id))


def _complaint(violation: error_details_pb2.BadRequest.FieldViolation, locate: Locate | None) -> Complaint:
    where, place = locate(violation.field) if locate else ("body", violation.field)
    return Complaint(where, place, violation.description)


def _headers(code: int, retry: error_details_pb2.RetryInfo) -> dict[str, str]:
    if retry.HasField("retry_delay"):
        delay = retry.retry_delay
        return {"Retry-After": str(max(1, math.ceil(delay.seconds + delay.nanos / 1e9)))}
    if code in (code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED):
        return {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    if code == code_pb2.UNAUTHENTICATED:
        return {"WWW-Authenticate": "Bearer"}
    return {}


def phrase(status: int) -> str:
    """The standard phrase of an HTTP status."""
    return "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else HTTPStatus(status).phrase
