"""Security's part in tests: read grants and run grants signed by a key made for the test."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from plaza_kit.grants import GrantVerifier, ReadGrant, RunGrant, sign_read_grant, sign_run_grant
from plaza_kit.signing import KeyRing, SigningKey


@dataclass
class Granter:
    """Signs what the test decides."""

    dataset: str
    audience: str = "sharing"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    key: SigningKey = field(default_factory=lambda: SigningKey.generate("plaza.example/grants"))

    @property
    def verifier(self) -> GrantVerifier:
        """Reads what was signed, at the test's own time."""
        return GrantVerifier(KeyRing([self.key.verifying_key]), self.audience, clock=lambda: self.now)

    def __call__(self, **changes: Any) -> str:
        """A read grant for all columns and rows of the newest version, but for the changes."""
        members: dict[str, Any] = {
            "grant_id": str(uuid.uuid4()),
            "principal": "people/chen",
            "audience": self.audience,
            "dataset": self.dataset,
            "table": "rows",
            "version": None,
            "columns": None,
            "row_filter": "",
            "masks": (),
            "purpose": "test",
            "agreement": "",
            "issued_at": self.now,
            "expires_at": self.now + timedelta(seconds=60),
        }
        return sign_read_grant(ReadGrant(**(members | changes)), self.key)

    def run(self, run: str, action: str, **changes: Any) -> str:
        """A run grant of the data officer of the dataset's department."""
        department = self.dataset.split("/")[1]
        members: dict[str, Any] = {
            "run": run,
            "action": action,
            "dataset": self.dataset,
            "principal": f"people/data-officer-{department}",
            "username": f"{department}-officer",
            "departments": (department,),
            "roles": ("data-officer",),
            "issued_at": self.now,
            "expires_at": self.now + timedelta(hours=1),
        }
        return sign_run_grant(RunGrant(**(members | changes)), self.key)
