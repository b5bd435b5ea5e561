"""`python -m plaza_catalogue`: the catalogue service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_catalogue.rpc.build import SPEC, build
from plaza_catalogue.settings import CatalogueSettings

if __name__ == "__main__":
    main(SPEC, CatalogueSettings, build)
