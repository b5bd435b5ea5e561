"""Deaths on demand: a process that reaches an armed point is killed with SIGKILL, or has another one killed, once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

FOLDER = "PLAZA_FAULTS"
"""Variable with the folder in which points are armed."""
STATUS = "PLAZA_FAULTS_STATUS"
"""Variable with the suite's status file, which knows the pids."""
ITSELF = "itself"


def arm(folder: Path, point: str, victim: str = ITSELF) -> None:
    """When the next process reaches the point, the victim dies: that process, or one by its name in `plaza status`."""
    new = folder / f"{point}.new-"
    new.write_text(victim)
    new.rename(folder / point)


def fired(folder: Path) -> list[tuple[str, str]]:
    """(point, victim) of each death, in any order."""
    return [(path.name.partition(".")[0], path.read_text()) for path in folder.glob("*.fired-*")]


def forget(folder: Path) -> None:
    """Deaths of before do not count any more."""
    for path in folder.glob("*.fired-*"):
        path.unlink()


def still_armed(folder: Path) -> list[str]:
    """Points that nobody has reached."""
    return [path.name for path in folder.iterdir() if "." not in path.name]


def die_at(point: str) -> None:
    """The hook of the processes under test."""
    folder = Path(os.environ[FOLDER])
    armed = folder / point
    done = folder / f"{point}.fired-{os.getpid()}-{len(list(folder.iterdir()))}"
    try:
        # By renaming: of several processes one alone acts for one arming.
        armed.rename(done)
    except FileNotFoundError:
        return
    victim = done.read_text()
    kill(Path(os.environ[STATUS]), victim) if victim != ITSELF else os.kill(os.getpid(), signal.SIGKILL)


def kill(status: Path, name: str) -> bool:
    """Ends a process of the suite without a word. False when there is none just now: it is dead already."""
    pids = {process["name"]: process["pid"] for process in json.loads(status.read_text())["processes"]}
    if not pids.get(name):
        return False
    try:
        os.kill(pids[name], signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
