"""Domain words for what can go wrong, said once.

A service raises a subclass of one of the kinds below, with facts inside; `plaza_kit.rpc` turns it into a
`google.rpc.Status` with `ErrorInfo` (AIP-193), and the gateway turns that into `application/problem+json`
(RFC 9457). Nothing else maps errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import grpc

DOMAIN = "plaza.city"
"""`google.rpc.ErrorInfo.domain` of every error of ours."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad place in a request: a path as the caller wrote it (`dataset.display_name`) and what is wrong."""

    field: str
    description: str


class PlazaError(Exception):
    """The root. Raise a subclass of a kind (`NotFound`, `FailedPrecondition`, …), never this.

    `message` names the place and what is wrong; `remedy` says what the reader can do; `facts` are the
    values a program would want (all text, no personal data). The reason is the class name in UPPER_SNAKE.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    http_status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        facts: Mapping[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.facts: dict[str, str] = dict(facts or {})
        self.violations = violations

    @property
    def reason(self) -> str:
        """`UnknownField` → `UNKNOWN_FIELD`: the machine-readable name (AIP-193)."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).upper()


class InvalidArgument(PlazaError):
    """The request is wrong whatever the state of the system (HTTP 400)."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    http_status = 400


class Unauthenticated(PlazaError):
    """No caller, or a token that does not hold (HTTP 401)."""

    code = grpc.StatusCode.UNAUTHENTICATED
    http_status = 401


class PermissionDenied(PlazaError):
    """The caller is known and may not (HTTP 403)."""

    code = grpc.StatusCode.PERMISSION_DENIED
    http_status = 403


class NotFound(PlazaError):
    """The named thing is not there, or the caller may not know that it is (HTTP 404)."""

    code = grpc.StatusCode.NOT_FOUND
    http_status = 404


class AlreadyExists(PlazaError):
    """The name is taken, or the work was done before (HTTP 409)."""

    code = grpc.StatusCode.ALREADY_EXISTS
    http_status = 409


class Aborted(PlazaError):
    """Somebody else was faster: an etag or a fence does not match (HTTP 409). Read again, then retry."""

    code = grpc.StatusCode.ABORTED
    http_status = 409


class FailedPrecondition(PlazaError):
    """Right in itself, but not in the state that the thing is in (HTTP 400, AIP-193)."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    http_status = 400


class ResourceExhausted(PlazaError):
    """A limit or quota is used up (HTTP 429)."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    http_status = 429


class Unavailable(PlazaError):
    """Cannot answer just now; the same request may succeed soon (HTTP 503)."""

    code = grpc.StatusCode.UNAVAILABLE
    http_status = 503


class DeadlineExceeded(PlazaError):
    """Took longer than the caller was ready to wait (HTTP 504)."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    http_status = 504


class DataLoss(PlazaError):
    """Stored data do not say what they must: a hash or signature does not match (HTTP 500)."""

    code = grpc.StatusCode.DATA_LOSS
    http_status = 500
