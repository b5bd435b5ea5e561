"""What every measured process has in common: a job as JSON in its argument, an outcome as JSON on its output.

Runs in two environments, so it imports the standard library alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """One file, and what is known about it."""

    source: Path
    folder: Path
    """Empty; everything is written under it."""
    fields: tuple[tuple[str, str, str], ...]
    """(heading, name, type: INTEGER, NUMBER or STRING); `NA` and the empty cell mean missing."""
    key: tuple[str, ...]
    """Headings."""
    destination: str
    """Where the product can write to several places; for Plaza the address of its catalog."""
    exact: bool
    """Name bad lines as well as the product can, even where that is slower."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a product did with the file."""

    rows: int
    """Rows that are in at the end; for a product that only judges, rows it found good or bad."""
    reported: tuple[int, ...] = ()
    """Lines that the product named as bad (header = 1)."""
    said: str = ""
    """The error that ended the job, when one did."""


def main(product: str, work: Callable[[Job], Outcome]) -> None:
    """Runs the job once and prints it. The clock starts after the imports, as in a service that is warm."""
    given = json.loads(sys.argv[1])
    fields = tuple((heading, name, kind) for heading, name, kind in given["fields"])
    job = Job(
        Path(given["source"]),
        Path(given["folder"]),
        fields,
        tuple(given["key"]),
        given["destination"],
        given["exact"],
    )
    sys.addaudithook(_no_network)
    begin = time.perf_counter()
    outcome = work(job)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    version = importlib.metadata.version(product)
    print(
        json.dumps(
            {
                "version": version,
                "seconds": seconds,
                "peak_mib": peak,
                "rows": outcome.rows,
                "reported": outcome.reported,
                "said": outcome.said,
            }
        )
    )


def _no_network(event: str, arguments: tuple[object, ...]) -> None:
    """Stops any product that calls home: only Unix sockets may be connected."""
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        raise PermissionError(f"no network in a measurement: {event} {arguments[1:]}")
