"""`python -m plaza_sharing`: the sharing service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_sharing.rpc.build import SPEC, build
from plaza_sharing.settings import SharingSettings

if __name__ == "__main__":
    main(SPEC, SharingSettings, build)
