"""`python -m plaza_quality`: the quality service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_quality.rpc.build import SPEC, build
from plaza_quality.settings import QualitySettings

if __name__ == "__main__":
    main(SPEC, QualitySettings, build)
