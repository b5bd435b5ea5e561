"""All rules of a table in one scan, beside the floor in the same run: an engine that reads and hashes every value.

21 rules of all row-local kinds and a composite key over 5 M rows of twelve columns (`bench.quality_table`), with
counts, masks and the score; each measurement is a process of its own that judges three times. Other products do the
same job in `make bench-peers`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake
from plaza_lake.write import StagedFile, commit_batch

from bench.commits import lake_of_its_own
from bench.quality_job import Job
from bench.quality_table import COLUMNS, ROWS, RULES

ROOT = Path(__file__).resolve().parents[1]
MANY = 5_000_000
A_FILE = 1_000_000
REPEAT = 3
ROUNDS = 3
GOAL, GROWTH_GOAL, PEAK_GOAL_MIB, APPEND_GOAL = 2.0, 10.5, 2048, 3


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as files, and as a version of a dataset."""

    dataset: str
    files: tuple[Path, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of one process."""

    seconds: float
    cpu: float
    peak_mib: float
    failed: Mapping[str, int]
    more: Mapping[str, float]
    version: str


def measure(rows: int = MANY) -> None:
    """Print each round, then medians beside their goals."""
    with lake_of_its_own() as (lake, folder):
        whole, tenth = (
            table(lake, folder, name, rows // share) for name, share in (("whole", 1), ("tenth", 10))
        )
        print(
            f"quality: {len(RULES)} rules, {rows:,} rows, {len(COLUMNS)} columns, {megabytes(whole):.0f} MB"
        )
        times, cpus, growth, peaks = [], [], [], []
        for number in range(1, ROUNDS + 1):
            floor = result(sys.executable, "bench.quality_floor", job(whole))
            ours = result(sys.executable, "bench.quality_plaza", job(whole, lake))
            less = result(sys.executable, "bench.quality_plaza", job(tenth, lake))
            times.append(ours.seconds / floor.seconds)
            cpus.append(ours.cpu / floor.cpu)
            growth.append(ours.seconds / less.seconds)
            peaks.append(ours.peak_mib)
            print(
                f"quality, round {number}: {rows / ours.seconds:9,.0f} rows/s, {ours.seconds:5.2f} s ="
                f" {times[-1]:.2f} × the floor ({floor.seconds:.2f} s); CPU {ours.cpu:.2f} s ="
                f" {cpus[-1]:.2f} × ({floor.cpu:.2f} s); a tenth {less.seconds:.2f} s; peak {ours.peak_mib:.0f} MiB"
            )
        print(
            f"quality, median: {median(times):.2f} × the floor (goal ≤ {GOAL}), CPU {median(cpus):.2f} ×;"
            f" 10 × the rows take {median(growth):.1f} × the time (goal ≤ {GROWTH_GOAL});"
            f" peak {max(peaks):.0f} MiB (goal ≤ {PEAK_GOAL_MIB})"
        )
        _appended(lake, folder, whole)


def _appended(lake: Lake, folder: Path, whole: Table) -> None:
    """One percent more: what is known of the rows before is not asked again, and the counts are those of a full run."""
    ours = "bench.quality_plaza"
    result(sys.executable, ours, job(whole, lake, 1, "first"))
    more = tuple(_files(folder / "more", whole.rows // 100, whole.rows))
    commit_batch(lake, whole.dataset, _schema(), "batch-more", [_staged(path) for path in more])
    grown = Table(whole.dataset, (*whole.files, *more), whole.rows + whole.rows // 100)
    new = result(sys.executable, ours, job(grown, lake, way="append"))
    full = result(sys.executable, ours, job(grown, lake))
    assert new.failed == full.failed, "an append is judged as everything would be"
    print(
        f"quality, 1 % appended: {new.seconds:.2f} s = {100 * new.seconds / full.seconds:.1f} % of all of it"
        f" ({full.seconds:.2f} s), CPU {100 * new.cpu / full.cpu:.1f} % (goal ≤ {APPEND_GOAL} %)"
    )


def table(lake: Lake, folder: Path, name: str, rows: int) -> Table:
    """The bench's rows, in files of a million, as one version."""
    dataset = f"departments/bench/datasets/{name}"
    files = tuple(_files(folder / name, rows))
    staged = [_staged(path) for path in files]
    commit_batch(lake, dataset, _schema(), f"batch-{name}", staged)
    return Table(dataset, files, rows)


def _schema() -> TableSchema:
    return TableSchema(tuple(Column(column, FieldType(kind.lower())) for column, kind in COLUMNS))


def _files(folder: Path, rows: int, begin: int = 0) -> Iterator[Path]:
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": "2"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for first in range(begin, begin + rows, A_FILE):
            path = folder / f"{first}.parquet"
            select = ROWS.format(first=first, last=min(begin + rows, first + A_FILE))
            connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
            yield path


def _staged(path: Path) -> StagedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with duckdb.connect() as connection:
        found = connection.execute("SELECT count(*) FROM read_parquet($1)", [str(path)]).fetchone()
    assert found is not None
    return StagedFile(f"file://{path}", found[0], path.stat().st_size, digest)


def megabytes(whole: Table) -> float:
    """Of the files."""
    return sum(path.stat().st_size for path in whole.files) / 1e6


def job(whole: Table, lake: Lake | None = None, repeat: int = REPEAT, way: str = "") -> Job:
    """`lake`: for Plaza, which reads it as a version."""
    if lake is None:
        return Job(whole.files, whole.rows, repeat, way=way)
    settings = lake.settings
    return Job(whole.files, whole.rows, repeat, settings.catalog_url, settings.warehouse, whole.dataset, way)


def result(python: str, module: str, asked: Job) -> Result:
    """One process."""
    given = json.dumps(asdict(asked) | {"files": [str(path) for path in asked.files]})
    done = subprocess.run(
        [python, "-m", module, given], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Result(
        median(answer["seconds"]),
        median(answer["cpu"]),
        answer["peak_mib"],
        answer["failed"],
        answer["more"],
        answer["version"],
    )
