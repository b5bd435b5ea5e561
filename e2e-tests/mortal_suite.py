"""`plaza up` with an ingestion and workers that die where they are told to: `python mortal_suite.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import faults
from plaza_cli import processes, up
from plaza_cli.home import Home


def main(folder: str) -> None:
    """Run until Ctrl-C; points are armed in the folder."""
    # Deaths are many here, and none is the service's own fault: no need to wait longer after each.
    processes.LONGEST_PAUSE_SECONDS = processes.FIRST_PAUSE_SECONDS
    up.run(
        modules={"ingestion": "mortal_ingestion", "worker": "mortal_worker"},
        environment={
            "PYTHONPATH": str(Path(__file__).parent),
            faults.FOLDER: folder,
            faults.STATUS: str(Home.from_environment().status_file),
            # So that the dead are missed soon.
            "PLAZA_LEASE_SECONDS": "2",
            "PLAZA_JOB_TAKEOVER_SECONDS": "2",
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
