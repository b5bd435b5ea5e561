"""The realm file: a plain Keycloak import, read by the development issuer and carried into Keycloak by the operator.

It lies here because neither of the two may import the other.
"""

from __future__ import annotations

import re
from pathlib import Path

REALM_FILE: Path = Path(__file__).resolve().parent / "realm" / "plaza.json"
"""The realm of the one-machine mode; `kc.sh start --import-realm` takes the same file."""

PLACEHOLDER = re.compile(r"\$\{(PLAZA_[A-Z0-9_]+)\}")
"""How the file names a variable of the environment; Keycloak's own import understands it too."""


def secret_variable(client_id: str) -> str:
    """The environment variable of a client's secret: `ecology-worker` → `PLAZA_SECRET_ECOLOGY_WORKER`."""
    return "PLAZA_SECRET_" + client_id.upper().replace("-", "_")


def required_variables(path: Path = REALM_FILE) -> tuple[str, ...]:
    """The variables that the realm file names, in order of appearance."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(path.read_text(encoding="utf-8"))))
