"""mypy, strict, over every package of the workspace in one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def packages() -> list[str]:
    """Every importable package below `services/` and `operators/`."""
    found = (
        path for room in ("services", "operators") for path in ROOT.glob(f"{room}/*/plaza_*/__init__.py")
    )
    return sorted(path.parent.name for path in found)


def main() -> int:
    """mypy's exit code."""
    arguments = [argument for package in packages() for argument in ("-p", package)]
    return subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
