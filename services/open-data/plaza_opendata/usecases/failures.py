"""Which failures of a build are worth another try, and what is written on a release that failed."""

from __future__ import annotations

from typing import Final

import grpc
from plaza_kit.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PlazaError,
)
from plaza_kit.grants import GrantRefused
from plaza_kit.rpc.status import status_of

_KINDS: Final = (DataLoss, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied)
_CODES: Final = frozenset(kind.code for kind in _KINDS)


def is_permanent(error: Exception) -> bool:
    """Whether the same would happen again, whatever else changes."""
    if isinstance(error, GrantRefused):
        return False  # it ran out, or we waited too long: the next try asks for a new one
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in _CODES
    return isinstance(error, _KINDS)


def words(error: Exception) -> str:
    """For the people of the department; without anything that they may not know."""
    if isinstance(error, grpc.aio.AioRpcError):
        return status_of(error).message or f"another service answered {error.code().name}"
    if isinstance(error, PlazaError):
        return f"{error.message}. {error.remedy}".rstrip(". ") if error.remedy else error.message
    if isinstance(error, OSError):
        return f"the file could not be written: {error.strerror or type(error).__name__}"
    return "an internal error; the logs name it"
