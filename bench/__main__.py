"""`make bench`: what we claim about speed and memory, each beside its floor and baseline, in one run.

Rows: start-up time; CSV → committed version; a directory from a spreadsheet; a small GET through the gateway; REST made
from the protos beside routes by hand; pages of a table of 1 M rows; memory of each process; 10,000 small commits to one
table; search among 100,000 datasets; all rules of a table of 5 M rows. Load is bounded and stays on loopback.
`python -m bench load --megabytes 100` runs the named rows only, with a smaller file; `--commits N` makes fewer commits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e-tests"))

from story import Suite, free_port

from bench import commits, directory, gateway, load, quality, rest, rows, search
from bench.processes import resident

ROWS = ("start", "load", "directory", "get", "rest", "rows", "memory", "commits", "search", "quality")


def started(suite: Suite) -> float:
    """Seconds from the command to its line that says ready."""
    begin = time.perf_counter()
    suite.start()
    return time.perf_counter() - begin


def main(wanted: tuple[str, ...], megabytes: int, small_commits: int) -> None:
    """Print the rows. `megabytes`: size of the file that is loaded; `small_commits`: to one table."""
    os.environ["PLAZA_RATE_LIMITS"] = "false"  # one person asks here for what thousands would
    if "commits" in wanted:
        commits.measure(small_commits)
    if "quality" in wanted:
        quality.measure()
    if not set(wanted) - {"commits", "quality"}:
        return  # needs no suite
    with tempfile.TemporaryDirectory(prefix="plaza-bench-") as folder:
        suite = Suite(Path(folder) / "home", free_port(), free_port())
        print(f"start, first (migrations, demo)   {started(suite):6.1f} s")
        try:
            if "start" in wanted:
                suite.stop()
                print(f"start, again                      {started(suite):6.1f} s")
            if "memory" in wanted:
                for child in suite.plaza("status")["processes"]:
                    print(f"memory, {child['name']:<10} (RSS, idle)     {resident(child['pid']):6.0f} MiB")
            if "load" in wanted:
                load.measure(suite, Path(folder), megabytes)
            if "directory" in wanted:
                directory.measure(suite)
            if "get" in wanted:
                gateway.measure(suite)
            if "rest" in wanted:
                rest.measure(suite)
            if "rows" in wanted:
                rows.measure(suite, Path(folder))
            if "search" in wanted:
                # Last: it leaves 100,000 datasets behind.
                search.measure(suite)
        finally:
            suite.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(ROWS))
    parser.add_argument(
        "--megabytes", type=int, default=load.MEGABYTES, help="size of the file that is loaded"
    )
    parser.add_argument("--commits", type=int, default=commits.COMMITS, help="small commits to one table")
    asked = parser.parse_args()
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    main(tuple(asked.rows) or ROWS, asked.megabytes, asked.commits)
