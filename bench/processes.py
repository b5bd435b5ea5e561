"""What a process uses, read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path


def resident(pid: int) -> float:
    """Resident memory now, in MiB."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> float:
    """The most that was ever resident, in MiB."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all its threads."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
