"""Deliveries: one query with all its pages, or one stream, under an agreement."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType
from uuid import UUID

from plaza_kit.names import DatasetName

from plaza_sharing.domain.agreements import AgreementId

DeliveryId = NewType("DeliveryId", UUID)

MADE: Final = "city.plaza.sharing.delivery.made.v1"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Data that were handed over."""

    id: DeliveryId
    agreement: AgreementId
    dataset: DatasetName
    version: int
    columns: tuple[str, ...]
    filter: str
    """As the reader wrote it; it may hold personal data."""
    purpose: str
    principal: str
    """Who read: `people/…` or `machines/…`."""
    create_time: datetime
    rows: int = 0
    """Sent so far; a page that is asked for twice counts once."""
    content_sha256: str = ""
    """Over all rows of the query in canonical order; empty until the last of them was sent."""

    @property
    def name(self) -> str:
        return f"agreements/{self.agreement}/deliveries/{self.id}"


def made(delivery: Delivery, rows: int, content_sha256: str) -> Mapping[str, object]:
    """Data of the event MADE. The filter stays out of it: only its hash can be shown to everybody."""
    return {
        "delivery": delivery.name,
        "agreement": f"agreements/{delivery.agreement}",
        "dataset": str(delivery.dataset),
        "version": delivery.version,
        "rows": rows,
        "content_sha256": content_sha256,
        "columns": list(delivery.columns),
        "filter_sha256": hashlib.sha256(delivery.filter.encode()).hexdigest(),
    }
