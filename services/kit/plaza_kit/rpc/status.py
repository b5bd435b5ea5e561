"""Domain errors ↔ `google.rpc.Status` with `ErrorInfo` and `BadRequest` (AIP-193). The only mapping to gRPC."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from plaza_kit.errors import DOMAIN, FieldViolation, PlazaError

DETAILS_KEY = "grpc-status-details-bin"
REMEDY = "remedy"
"""Key in `ErrorInfo.metadata` that holds what the reader can do."""


def to_status(error: PlazaError) -> status_pb2.Status:
    """The rich status of a domain error."""
    metadata = dict(error.facts)
    if error.remedy:
        metadata[REMEDY] = error.remedy
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))]
    if error.violations:
        details.append(_pack(_bad_request(error.violations)))
    return status_pb2.Status(code=error.code.value[0], message=error.message, details=details)


def internal(trace_id: str) -> status_pb2.Status:
    """What a stranger may know about a fault of ours: nothing but where to find it in the logs."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"trace_id": trace_id})
    return status_pb2.Status(
        code=code_pb2.INTERNAL, message="an internal error; the logs name it", details=[_pack(info)]
    )


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The rich status inside a failed call; made from code and text when the peer sent none."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def code_of(status: status_pb2.Status) -> grpc.StatusCode:
    """The gRPC status code of a rich status."""
    return next(code for code in grpc.StatusCode if code.value[0] == status.code)


def _bad_request(violations: Iterable[FieldViolation]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in violations
        ]
    )


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
