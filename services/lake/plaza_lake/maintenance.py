"""Upkeep of one table in its order: rewrite, expire, sweep. Ingestion decides when, and tells of what expired."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plaza_lake.compaction import Compacted, CompactionPolicy, compact
from plaza_lake.expiry import Expired, due, expire
from plaza_lake.retention import Retention
from plaza_lake.schema import TableKind
from plaza_lake.sweep import GRACE, Swept, sweep
from plaza_lake.tables import Lake


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a city wants kept, and how files are to lie."""

    retention: Retention = field(default_factory=Retention)
    compaction: CompactionPolicy = field(default_factory=CompactionPolicy)
    grace: timedelta = GRACE


def tidy(
    lake: Lake,
    dataset: str,
    upkeep: Upkeep,
    chosen: Mapping[int, str],
    pinned: Collection[int],
    now: datetime,
    table: TableKind = "rows",
) -> tuple[Compacted, Expired]:
    """Rewrites, and lets the chosen versions go. Raises as `compact` and `expire`."""
    # First, so that the snapshot whose place the rewrite takes leaves with the versions.
    compacted = compact(lake, dataset, upkeep.compaction, table=table)
    expired = expire(lake, dataset, chosen, upkeep.retention, pinned, now, table=table)
    return compacted, expired


def maintain(
    lake: Lake,
    dataset: str,
    upkeep: Upkeep,
    pinned: Collection[int],
    now: datetime,
    table: TableKind = "rows",
) -> tuple[Compacted, Expired, Swept]:
    """Everything, for a table whose versions nobody outside the lake has to hear of. Raises as its parts."""
    rule = upkeep.retention.words()
    chosen = {info.version: rule for info in due(lake, dataset, upkeep.retention, pinned, now, table)}
    compacted, expired = tidy(lake, dataset, upkeep, chosen, pinned, now, table)
    return compacted, expired, sweep(lake, dataset, now, grace=upkeep.grace, table=table)
