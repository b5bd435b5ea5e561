"""Who changed what, when: a version of a resource's metadata."""

from __future__ import annotations

import hashlib
from datetime import datetime

from plaza_kit.identity import Principal

from plaza_catalogue.storage import datasets


def change_of(
    principal: Principal, name: object, version: int, changed: list[str], now: datetime
) -> datasets.Change:
    """The next version of the metadata of the resource with this name."""
    return datasets.Change(
        principal=principal.name,
        author=principal.display_name,
        now=now,
        version=version,
        changed_fields=changed,
        etag=hashlib.sha256(f"{name}@{version}".encode()).hexdigest()[:16],
    )
