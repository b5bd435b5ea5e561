"""`plaza up` with an ingestion and workers that die where they are told to: `python mortal_suite.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import faults
from plaza_cli import up


def main(folder: str) -> None:
    """Run until Ctrl-C; points are armed in the folder."""
    up.run(
        modules={"ingestion": "mortal_ingestion", "worker": "mortal_worker"},
        environment={
            "PYTHONPATH": str(Path(__file__).parent),
            faults.FOLDER: folder,
            # So that the dead are missed soon.
            "PLAZA_LEASE_SECONDS": "2",
            "PLAZA_JOB_TAKEOVER_SECONDS": "2",
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
