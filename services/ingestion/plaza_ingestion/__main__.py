"""`python -m plaza_ingestion`: the ingestion service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_ingestion.rpc.build import SPEC, build
from plaza_ingestion.settings import IngestionSettings

if __name__ == "__main__":
    main(SPEC, IngestionSettings, build)
