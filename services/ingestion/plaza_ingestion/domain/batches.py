"""What makes two loads the same batch, and what a batch's files and counts are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, NewType

from plaza_kit.errors import AlreadyExists
from plaza_lake.overwrite import LoadMode
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
    """The run's id when a person wants the file loaded again; of a correction its work order; else empty."""
    mode: LoadMode = LoadMode.APPEND
    replay: bool = False
    """Whether the file's rows repair quarantined ones."""
    entry: str = ""
    """Of an archive: the one file in it that is loaded."""

    @property
    def id(self) -> BatchId:
        """UUIDv5 of the parts; none but the last can hold the line end that parts them. Of an append it has the four
        parts that it had when there was nothing else."""
        parts = [self.dataset, self.sha256, str(self.contract_version), self.nonce]
        if self.mode is not LoadMode.APPEND:
            parts.append(self.mode.value)
        if self.replay:
            parts.append("replay")
        if self.entry:
            parts.append(f"entry {self.entry}")
        return BatchId(str(uuid.uuid5(_NAMESPACE, "\n".join(parts))))


class AlreadyIngested(AlreadyExists):
    """This file was loaded before under this contract, or is being loaded now."""

    def __init__(self, run: str, batch: str, version: int, *, again: str = "", replay: bool = False) -> None:
        """`again`: what to do instead, where that is no second load of the same file."""
        words = f"already ingested as version {version} by" if version else "is being ingested already by"
        facts = {"run": run, "batch": batch} | ({"version": str(version)} if version else {})
        super().__init__(
            f"this file {words} {run}",
            remedy=again or "export the rows that are still held, repair those, and replay that file"
            if again or replay
            else "if it must be loaded again all the same, say why: --reload REASON (reload_reason)",
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
    warnings: tuple[str, ...] = ()
    """What the reader of the run should know about it."""
    held_already: int = 0
    """Refused rows that an earlier pull of the same source brought; they are not in `refused`."""

    @property
    def rows_accepted(self) -> int:
        return self.accepted.rows if self.accepted else 0

    @property
    def rows_refused(self) -> int:
        """Also those that are no new rows of the quarantine: of a replay, and `held_already`."""
        return sum(self.refused_by_reason.values())

    def to_json(self) -> dict[str, Any]:
        """As it is kept in the database."""
        return {
            "accepted": asdict(self.accepted) if self.accepted else None,
            "refused": asdict(self.refused) if self.refused else None,
            "refused_by_reason": dict(self.refused_by_reason),
            "warnings": list(self.warnings),
            "held_already": self.held_already,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Decision:
        """Back from the database."""
        accepted, refused = kept["accepted"], kept["refused"]
        return cls(
            StagedFile(**accepted) if accepted else None,
            StagedFile(**refused) if refused else None,
            {str(reason): int(count) for reason, count in kept["refused_by_reason"].items()},
            tuple(kept.get("warnings", ())),
            int(kept.get("held_already", 0)),
        )
