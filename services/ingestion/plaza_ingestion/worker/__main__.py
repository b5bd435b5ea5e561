"""`python -m plaza_ingestion.worker`: one department's worker."""

from __future__ import annotations

import sys

from plaza_kit.identity import ClientRefused
from plaza_kit.settings import BadSettings, load

from plaza_ingestion.worker.process import run
from plaza_ingestion.worker.settings import WorkerSettings

if __name__ == "__main__":
    try:
        run(load(WorkerSettings))
    except BadSettings as error:
        sys.exit(f"plaza-worker: {error}")
    except ClientRefused as error:
        sys.exit(f"plaza-worker: {error.message} {error.remedy}")
