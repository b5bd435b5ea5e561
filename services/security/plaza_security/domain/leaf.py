"""What the ledger says of an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from plaza_kit.errors import InvalidArgument
from plaza_kit.tlog.leaf import canonical_json
from plaza_kit.tlog.merkle import leaf_hash


class UnusableEventData(InvalidArgument):
    """The data of an event are no object, so nothing can be logged."""


@dataclass(frozen=True, slots=True)
class NewLeaf:
    """An event on its way into the tree."""

    event_id: UUID
    type: str
    subject: str
    time: datetime
    """UTC."""
    text: str
    """Canonical JSON (RFC 8785); its UTF-8 bytes are the leaf."""

    @property
    def hash(self) -> bytes:
        """RFC 9162 §2.1.1."""
        return leaf_hash(self.text.encode())


def new_leaf(
    *,
    event_id: UUID,
    type: str,
    source: str,
    subject: str,
    time: datetime,
    time_text: str,
    data: object,
    principal: str,
) -> NewLeaf:
    """The leaf of an event. `time_text` is `time` in RFC 3339.

    Raises UnusableEventData, or NotCanonical where the data hold fractions or integers beyond 2^53 - 1.
    """
    if not isinstance(data, Mapping):
        raise UnusableEventData(
            f"data of event {event_id} ({type}) are not a JSON object",
            remedy="Correct the service that wrote the event.",
        )
    members: dict[str, Any] = {
        "id": str(event_id),
        "type": type,
        "source": source,
        "subject": subject,
        "time": time_text,
        "data": dict(data),
        "principal": principal,
    }
    return NewLeaf(event_id, type, subject, time, canonical_json(members))
