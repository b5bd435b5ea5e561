"""The ingestion worker, which dies at armed steps of a load."""

from __future__ import annotations

import faults
from plaza_ingestion.worker.process import run
from plaza_ingestion.worker.settings import WorkerSettings
from plaza_kit.settings import load

if __name__ == "__main__":
    run(load(WorkerSettings), on_step=faults.die_at)
