"""What makes two loads the same batch, and what a batch's files and counts are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, NewType

from plaza_kit.errors import AlreadyExists
from plaza_lake.write import StagedFile

BatchId = NewType("BatchId", str)

_NAMESPACE: Final = uuid.UUID("7f4c6a0e-5f0b-5e0a-9d0c-2b6f1c0a8e11")
"""Of batch ids; must never change, else the same file would become another batch."""


class BatchState(StrEnum):
    """Where a batch stands."""

    STAGED = "staged"
    """A run is under way for it."""
    COMMITTED = "committed"
    REFUSED = "refused"
    """No row came in: every row was refused, or the run failed. The same file may come again."""


@dataclass(frozen=True, slots=True)
class BatchIdentity:
    """Loads that agree in all of this are one batch (domain rule "the same file twice")."""

    dataset: str
    sha256: str
    """Of the source file."""
    contract_version: int
    nonce: str = ""
    """The run's id when a person wants the file loaded again; else empty."""

    @property
    def id(self) -> BatchId:
        """UUIDv5 of the four parts; no part can hold the line end that parts them."""
        parts = (self.dataset, self.sha256, str(self.contract_version), self.nonce)
        return BatchId(str(uuid.uuid5(_NAMESPACE, "\n".join(parts))))


class AlreadyIngested(AlreadyExists):
    """This file was loaded before under this contract, or is being loaded now."""

    def __init__(self, run: str, batch: str, version: int) -> None:
        words = f"already ingested as version {version} by" if version else "is being ingested already by"
        facts = {"run": run, "batch": batch} | ({"version": str(version)} if version else {})
        super().__init__(
            f"this file {words} {run}",
            remedy="if it must be loaded again all the same, say why: --reload REASON (reload_reason)",
            facts=facts,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a batch brings: decided once, before anything of it is committed."""

    accepted: StagedFile | None
    """None: no row came through."""
    refused: StagedFile | None
    """In the form of the quarantine table; None: no row was refused."""
    refused_by_reason: Mapping[str, int]

    @property
    def rows_accepted(self) -> int:
        return self.accepted.rows if self.accepted else 0

    @property
    def rows_refused(self) -> int:
        return self.refused.rows if self.refused else 0

    def to_json(self) -> dict[str, Any]:
        """As it is kept in the database."""
        return {
            "accepted": asdict(self.accepted) if self.accepted else None,
            "refused": asdict(self.refused) if self.refused else None,
            "refused_by_reason": dict(self.refused_by_reason),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Decision:
        """Back from the database."""
        accepted, refused = kept["accepted"], kept["refused"]
        return cls(
            StagedFile(**accepted) if accepted else None,
            StagedFile(**refused) if refused else None,
            {str(reason): int(count) for reason, count in kept["refused_by_reason"].items()},
        )
