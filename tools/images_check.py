"""Inside the image build: `python -S images_check.py PACKAGE` imports all modules of a package, from PYTHONPATH alone.

What an image leaves out is missed while it is built, not at night by a job.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

UNRUN = ".migrations."
"""Alembic runs these, in a context of its own."""


def modules(package: str) -> list[str]:
    """All modules of a package but its migrations."""
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    return [module.name for module in found if UNRUN not in f"{module.name}."]


if __name__ == "__main__":
    for name in modules(sys.argv[1]):
        importlib.import_module(name)
