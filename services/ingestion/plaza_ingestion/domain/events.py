"""Events that tell how a load ended, and what became of quarantined rows. Names, hashes and counts; never rows."""

from __future__ import annotations

from dataclasses import dataclass

VERSION_COMMITTED = "city.plaza.ingestion.version.committed.v1"
VERSION_EXPIRED = "city.plaza.ingestion.version.expired.v1"
"""One event for all versions of a dataset that went at once: their numbers, and the rule."""
UPLOAD_EXPIRED = "city.plaza.ingestion.upload.expired.v1"
"""An uploaded file was removed by rule: its hash and the rule."""
BATCH_REFUSED = "city.plaza.ingestion.batch.refused.v1"
RUN_CANCELLED = "city.plaza.ingestion.run.cancelled.v1"
ROW_REPLAYED = "city.plaza.ingestion.quarantined_row.replayed.v1"
"""One event for all rows of a replay."""
ROW_DISCARDED = "city.plaza.ingestion.quarantined_row.discarded.v1"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a load ended."""

    dataset: str
    batch: str
    run: str
    """Resource name."""
    contract_version: int
    source_sha256: str
    rows_refused: int
    version: int = 0
    """0: no row came in, there is no version."""
    rows: int = 0
    """Of the whole version."""
    rows_added: int = 0
    mode: str = "append"
    rows_removed: int = 0
    """Of the version before: replaced, or left out."""
    work_order: str = ""
    """Whose rows it corrects; empty: it is no correction."""

    @property
    def type(self) -> str:
        return VERSION_COMMITTED if self.version else BATCH_REFUSED

    @property
    def subject(self) -> str:
        part = f"versions/{self.version}" if self.version else f"batches/{self.batch}"
        return f"{self.dataset}/{part}"

    @property
    def data(self) -> dict[str, object]:
        common: dict[str, object] = {
            "dataset": self.dataset,
            "batch": self.batch,
            "rows_refused": self.rows_refused,
            "contract_version": self.contract_version,
            "run": self.run,
            "source_sha256": self.source_sha256,
        }
        if not self.version:
            return common
        corrected = {"work_order": self.work_order} if self.work_order else {}
        return common | {
            "version": self.version,
            "rows": self.rows,
            "rows_added": self.rows_added,
            "rows_removed": self.rows_removed,
            "mode": self.mode,
            **corrected,
        }
