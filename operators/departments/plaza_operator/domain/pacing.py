"""When to look again, and how many workers to run. Seconds everywhere."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

SLOWEST = 10.0
FASTEST = 0.5


def backoff(failures: int) -> float:
    """The pause after so many failures in a row: 0.5, 1, 2, 4, 8, 10, 10 …"""
    return min(SLOWEST, FASTEST * 2.0 ** min(failures - 1, 10))


def spread(name: str, period: float) -> float:
    """The department's own period, up to a tenth shorter, so that hundreds do not ask in the same second."""
    return period * (1.0 - 0.1 * (zlib.crc32(name.encode()) % 1000) / 1000)


@dataclass(frozen=True, slots=True)
class Queue:
    """How many runs of a department a worker may take, and how many workers have."""

    waiting: int
    leased: int


EMPTY = Queue(0, 0)


def scale(current: int, queue: Queue, *, idle: bool, most: int) -> int:
    """The next number of workers.

    A worker for each run that waits or is worked on, at once. Fewer only when there is nothing to do and every worker
    has said by ending that it had nothing: Kubernetes chooses whom it stops, and would stop one with a long load.
    """
    needed = queue.waiting + queue.leased
    if needed == 0 and idle:
        return 0
    return min(max(current, needed), most)


def all_idle(pods: list[dict[str, object]]) -> bool:
    """Did every worker pod's container end by itself with 0 at least once? None at all: not known."""
    return bool(pods) and all(_ended_well(pod) for pod in pods)


def _ended_well(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    containers = status.get("containerStatuses", []) if isinstance(status, dict) else []
    return any(
        state.get("terminated", {}).get("exitCode") == 0
        for container in containers
        for state in (container.get("state", {}), container.get("lastState", {}))
    )
