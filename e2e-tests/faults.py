"""Deaths on demand: a process that reaches an armed point kills itself with SIGKILL, once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

FOLDER = "PLAZA_FAULTS"
"""Variable with the folder in which points are armed."""


def arm(folder: Path, point: str) -> None:
    """The next process that reaches the point dies there."""
    (folder / point).touch()


def fired(folder: Path) -> list[str]:
    """Points at which a process died, in any order, each as often as it happened."""
    return [path.name.partition(".")[0] for path in folder.glob("*.fired-*")]


def still_armed(folder: Path) -> list[str]:
    """Points that nobody has reached."""
    return [path.name for path in folder.iterdir() if ".fired-" not in path.name]


def die_at(point: str) -> None:
    """The hook of the processes under test."""
    armed = Path(os.environ[FOLDER]) / point
    try:
        # By renaming: of several processes one alone dies for one arming.
        armed.rename(armed.with_name(f"{point}.fired-{os.getpid()}"))
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
