"""Death on purpose: for the tests that kill the operator after every call of provisioning, and for nothing else.

Only with `PLAZA_DIE_ON_DEMAND=true`; otherwise the annotation is a word like any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

ANNOTATION = "plaza.city/die-after-call"
"""Of a Department: after how many calls to other systems its reconcile ends the process."""
EXIT_CODE = 137
_log = structlog.get_logger("plaza_operator")
_left: ContextVar[list[int] | None] = ContextVar("calls_to_live", default=None)


@contextmanager
def armed(body: Mapping[str, Any], *, allowed: bool) -> Iterator[None]:
    """What is called inside, also by tasks that begin inside, counts; the process dies after as many as are told."""
    told = str((body.get("metadata", {}).get("annotations") or {}).get(ANNOTATION, ""))
    token = _left.set([int(told)] if allowed and told.isdecimal() else None)
    try:
        yield
    finally:
        _left.reset(token)


def called() -> None:
    """A call to another system has been answered."""
    left = _left.get()
    if left is None:
        return
    left[0] -= 1
    if left[0] == 0:
        _log.warning("dies on purpose")
        # As SIGKILL would, which no process may send to itself when it is the first of its container.
        os._exit(EXIT_CODE)
