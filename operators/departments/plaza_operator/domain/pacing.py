"""When to look again, and how many workers to run. Seconds everywhere."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

SLOWEST = 10.0
FASTEST = 0.5
STEP_UP = 30.0
"""Work that still waits after so long gets one worker more."""


def backoff(failures: int) -> float:
    """The pause after so many failures in a row: 0.5, 1, 2, 4, 8, 10, 10 …"""
    return min(SLOWEST, FASTEST * 2.0 ** min(failures - 1, 10))


def spread(name: str, period: float) -> float:
    """The department's own period, up to a tenth shorter, so that hundreds do not ask in the same second."""
    return period * (1.0 - 0.1 * (zlib.crc32(name.encode()) % 1000) / 1000)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many workers run, and since when so many."""

    replicas: int
    since: float


NO_WORKERS = Scale(0, 0.0)


def scale(now: float, current: Scale, *, waits: bool, idle: bool, most: int) -> Scale:
    """The next number of workers.

    Work that waits brings the first at once and one more every `STEP_UP`; all end together when nothing waits
    and every worker has said by ending that it had nothing to do. Silence is no sign: a long load waits nowhere.
    """
    if most == 0:
        wanted = 0
    elif waits and current.replicas == 0:
        wanted = 1
    elif waits and now - current.since >= STEP_UP:
        wanted = current.replicas + 1
    elif not waits and idle:
        wanted = 0
    else:
        wanted = current.replicas
    wanted = min(wanted, most)
    return current if wanted == current.replicas else Scale(wanted, now)


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
