"""`make bench`: what we claim about speed and memory, each beside its floor and baseline, in one run.

Rows: start-up time; CSV → committed version; a directory from a spreadsheet; a small GET through the gateway; memory
of each process. Load is bounded and stays on loopback. `python -m bench load` runs the named rows only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e-tests"))

from story import Suite, free_port

from bench import directory, gateway, load
from bench.processes import resident

ROWS = ("start", "load", "directory", "get", "memory")


def started(suite: Suite) -> float:
    """Seconds from the command to its line that says ready."""
    begin = time.perf_counter()
    suite.start()
    return time.perf_counter() - begin


def main(rows: tuple[str, ...]) -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory(prefix="plaza-bench-") as folder:
        suite = Suite(Path(folder) / "home", free_port(), free_port())
        print(f"start, first (migrations, demo)   {started(suite):6.1f} s")
        try:
            if "start" in rows:
                suite.stop()
                print(f"start, again                      {started(suite):6.1f} s")
            if "memory" in rows:
                for child in suite.plaza("status")["processes"]:
                    print(f"memory, {child['name']:<10} (RSS, idle)     {resident(child['pid']):6.0f} MiB")
            if "load" in rows:
                load.measure(suite, Path(folder))
            if "directory" in rows:
                directory.measure(suite)
            if "get" in rows:
                gateway.measure(suite)
        finally:
            suite.stop()


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or ROWS)
