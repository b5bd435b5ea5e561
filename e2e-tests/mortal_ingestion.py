"""The ingestion service, which dies at armed steps of a commit."""

from __future__ import annotations

from functools import partial

import faults
from plaza_ingestion.rpc.build import SPEC, build
from plaza_ingestion.settings import IngestionSettings
from plaza_kit.service import main

if __name__ == "__main__":
    main(SPEC, IngestionSettings, partial(build, on_step=faults.die_at, on_pull_step=faults.die_at))
