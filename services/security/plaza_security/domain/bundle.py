"""The policy bundle: what every service decides by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any, Final

LIFETIME: Final = timedelta(minutes=5)
"""How long a signed copy may travel. Followers confirm theirs by etag every few seconds."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Policies and schema in Cedar's syntax, and the subjects that have lost every right."""

    policies: str
    schema: str
    denied: frozenset[str]

    @property
    def version(self) -> str:
        """Short name of policies and schema, the same wherever they are the same."""
        return hashlib.sha256(f"{self.policies}\0{self.schema}".encode()).hexdigest()[:12]

    @property
    def etag(self) -> str:
        """SHA-256 of the contents, the denied included."""
        contents = json.dumps([self.policies, self.schema, sorted(self.denied)])
        return hashlib.sha256(contents.encode()).hexdigest()

    def claims(self, now: datetime) -> dict[str, Any]:
        """What is signed."""
        return {
            "policies": self.policies,
            "schema": self.schema,
            "version": self.version,
            "denied": sorted(self.denied),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
        }


def packaged_policies() -> tuple[str, str]:
    """The policies and the schema that this version of Plaza ships."""
    folder = resources.files("plaza_security") / "policies"
    return (folder / "plaza.cedar").read_text("utf-8"), (folder / "plaza.cedarschema").read_text("utf-8")
