"""Agreements: the terms on which one department reads another's dataset, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType
from uuid import UUID

from plaza_kit.names import DatasetName, DepartmentId
from plaza_kit.tlog.leaf import canonical_json

AgreementId = NewType("AgreementId", UUID)

SIGNED: Final = "city.plaza.sharing.agreement.signed.v1"
BY_RULE: Final = "rule"
IN_FORCE: Final = "in_force"

CLAUSES: Final = (
    "The consumer protects the data as its own of the same grade and answers for their security from the"
    " moment of receipt.",
    "The consumer does not hand the data on, whole or in part, to anybody else without the written consent"
    " of the provider.",
    "The consumer uses the data for its own statutory duties only, for the purpose that it states with each"
    " query, and for nothing wider.",
    "The consumer tells the provider of errors it finds in the data, and on request how the data were used"
    " and to what effect.",
)
"""What binds the consumer of an agreement by rule (State Council order 809: the using department answers for
security, no wider purpose, no onward transfer, correction and feedback). The wording is part of hashed terms:
a change makes new agreements differ, never the old ones, which keep their own copy."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was granted to whom, on which terms."""

    id: AgreementId
    dataset: DatasetName
    consumer: DepartmentId
    basis: str
    state: str
    clauses: tuple[str, ...]
    purpose: str
    """Empty for an agreement by rule: each delivery names its own."""
    create_time: datetime
    event_id: str = ""
    """Of the event that told of it: security must have taken it before a grant can rest on the agreement."""

    @property
    def name(self) -> str:
        return f"agreements/{self.id}"

    @property
    def provider(self) -> DepartmentId:
        """The department that owns the dataset."""
        return self.dataset.department

    @property
    def terms(self) -> dict[str, object]:
        """What is hashed: everything that binds the two sides."""
        return {
            "agreement": self.name,
            "basis": self.basis,
            "clauses": list(self.clauses),
            "consumer": f"departments/{self.consumer}",
            "dataset": str(self.dataset),
            "provider": f"departments/{self.provider}",
            "purpose": self.purpose,
        }

    @property
    def content_sha256(self) -> str:
        """Hex SHA-256 over the canonical JSON (RFC 8785) of the terms."""
        return hashlib.sha256(canonical_json(self.terms).encode()).hexdigest()


def by_rule(id: AgreementId, dataset: DatasetName, consumer: DepartmentId, now: datetime) -> Agreement:
    """The agreement that the unconditional class gives to every department."""
    return Agreement(id, dataset, consumer, BY_RULE, IN_FORCE, CLAUSES, "", now)


def signed(agreement: Agreement) -> Mapping[str, object]:
    """Data of the event SIGNED."""
    return {
        "agreement": agreement.name,
        "dataset": str(agreement.dataset),
        "provider": f"departments/{agreement.provider}",
        "consumer": f"departments/{agreement.consumer}",
        "state": agreement.state,
        "basis": agreement.basis,
        "content_sha256": agreement.content_sha256,
    }
