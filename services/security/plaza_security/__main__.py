"""`python -m plaza_security` runs the service."""

from __future__ import annotations

from plaza_kit.service import main

from plaza_security.service import SPEC, build
from plaza_security.settings import SecuritySettings

if __name__ == "__main__":
    main(SPEC, SecuritySettings, build)
