"""`python -m plaza_opendata`: the open-data service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_opendata.rpc.build import SPEC, build
from plaza_opendata.settings import OpenDataSettings

if __name__ == "__main__":
    main(SPEC, OpenDataSettings, build)
