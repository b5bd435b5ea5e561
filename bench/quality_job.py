"""What every measured process of the quality bench has in common. The standard library alone."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """A table, and how often to judge it."""

    files: tuple[Path, ...]
    """Parquet."""
    rows: int
    repeat: int
    """Times in the same process; each is timed."""
    catalog: str = ""
    """For Plaza: the address of the lake's catalog, …"""
    warehouse: str = ""
    dataset: str = ""
    way: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, so that it can be compared."""

    failed: Mapping[str, int]
    """Failing rows by id of the rule; a rule that the product cannot express is left out."""
    more: Mapping[str, float] = field(default_factory=dict)


def main(product: str, work: Callable[[Job], Outcome]) -> None:
    """Does the job and prints seconds and CPU seconds of each time, and the peak. The clock starts after imports."""
    given = json.loads(sys.argv[1])
    job = Job(**(given | {"files": tuple(Path(one) for one in given["files"])}))
    walls, cpus, outcome = [], [], Outcome({})
    for _ in range(job.repeat):
        begin, used = time.perf_counter(), time.process_time()
        outcome = work(job)
        walls.append(time.perf_counter() - begin)
        cpus.append(time.process_time() - used)
    print(
        json.dumps(
            {
                "version": importlib.metadata.version(product),
                "seconds": walls,
                "cpu": cpus,
                "peak_mib": _peak_mib(),
                "failed": dict(outcome.failed),
                "more": dict(outcome.more),
            }
        )
    )


def _peak_mib() -> float:
    """Of this program alone: what `getrusage` says counts the process that it was forked from."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024
