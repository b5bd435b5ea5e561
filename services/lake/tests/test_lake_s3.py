"""The lake on a real S3: the same versions, the same rows, whatever is cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import ObjectDamaged, StoreRefuses
from plaza_lake import engine
from plaza_lake.compaction import CompactionPolicy, compact
from plaza_lake.expiry import expire
from plaza_lake.files import StagedFileMismatch
from plaza_lake.overwrite import LoadMode
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.retention import Retention
from plaza_lake.sweep import sweep
from plaza_lake.tables import Lake, LakeSettings, UnsupportedWarehouse
from plaza_lake.versions import VersionExpired, version_info, versions
from plaza_lake.write import CommitStep, commit_batch
from plaza_testing.grants import Granter
from plaza_testing.s3 import Gateway

pytestmark = pytest.mark.integration

LATER = datetime.now(UTC) + timedelta(days=30)
FEW = Retention(newest=1, young=timedelta(hours=1), daily=None)


class Killed(Exception):
    pass


@pytest.fixture
def new_lake(s3: Gateway, catalog_url: str, tmp_path: Path) -> Iterator[Callable[..., Lake]]:
    """Makes lakes over the same catalog and bucket, as several machines would: each has a cache of its own."""
    opened: list[Lake] = []
    owner = s3.user()
    warehouse = f"s3://{s3.bucket(owner)}/lake"

    def make(**settings: Any) -> Lake:
        place = S3Place(owner, tmp_path / f"cache-{len(opened)}", 64 << 20)
        known = LakeSettings(catalog_url, warehouse, memory_limit="256MB", s3=place)
        opened.append(Lake(replace(known, **settings)))
        return opened[-1]

    yield make
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(new_lake: Callable[[], Lake]) -> Lake:
    return new_lake()


def rows(lake: Lake, dataset: str, version: int | None = None) -> list[tuple[str, int, float]]:
    granter = Granter(dataset)
    with read_rows(lake, granter.verifier, granter(version=version), RowQuery()) as stream:
        found = [row for batch in stream.batches for row in batch.to_pylist()]
    return [(row["station"], row["hour"], row["pm2_5"]) for row in found]


def objects(lake: Lake, dataset: str, below: str = "") -> set[str]:
    folder = lake.location(dataset, "rows").removesuffix("/rows")
    return {file.uri.removeprefix(folder) for file in lake.files.listed(f"{folder}{below}")}


def test_loads_are_read_elsewhere(
    new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, tmp_path: Path
) -> None:
    lake, reader = new_lake(), new_lake()
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("b", 1)])])
    done = commit_batch(
        lake, dataset, air.schema, "b-2", [stage([air.row("b", 1, 9.0)])], mode=LoadMode.UPSERT
    )
    assert (done.version, done.total_rows, done.rows_removed) == (2, 2, 1)
    assert commit_batch(lake, dataset, air.schema, "b-2", [stage([])], mode=LoadMode.UPSERT).repeated
    assert not (tmp_path / "lake").exists()
    for one in (lake, reader):
        assert rows(one, dataset) == [("a", 1, 1.0), ("b", 1, 9.0)]
        assert rows(one, dataset, version=1) == [("a", 1, 1.0), ("b", 1, 1.0)]
        assert not list((tmp_path / "cache-0" / "processes").glob("*/objects/*")), (
            "nothing is in use any more"
        )
    grant = Granter(dataset)
    stream = read_rows(reader, grant.verifier, grant(), RowQuery(canonical=True))
    assert sum(batch.num_rows for batch in stream.batches) == 2


def test_a_reader_holds_its_files(
    new_lake: Callable[..., Lake], dataset: str, stage: Any, air: Any, tmp_path: Path
) -> None:
    lake = new_lake()
    for number in range(3):
        commit_batch(lake, dataset, air.schema, f"b-{number}", [stage([air.row("a", number)])])
    table = lake.load(dataset)
    paths = engine.planned_files(table, version_info(lake, dataset).snapshot_id)
    with engine.connection(lake, paths, kept=True):
        for copy in (tmp_path / "cache-0" / "objects").glob("*/*"):
            copy.unlink()  # as another process does that needs the room
        assert rows(lake, dataset) == [("a", 0, 1.0), ("a", 1, 1.0), ("a", 2, 1.0)]
    assert not any(Path(path).exists() for path in paths)


@pytest.mark.parametrize("step", [CommitStep.COPIED, CommitStep.REWRITTEN, CommitStep.COMMITTED])
def test_killed_between_copy_and_commit_nothing_is_half(
    step: CommitStep, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    commit_batch(new_lake(), dataset, air.schema, "b-0", [stage([air.row("a", 1), air.row("b", 1)])])
    file = stage([air.row("a", 1, 7.0)])

    def kill(reached: CommitStep) -> None:
        if reached is step:
            raise Killed

    with pytest.raises(Killed):
        commit_batch(new_lake(), dataset, air.schema, "b-1", [file], mode=LoadMode.UPSERT, on_step=kill)
    lake = new_lake()
    before = len(versions(lake, dataset))
    assert before == (2 if step is CommitStep.COMMITTED else 1)
    assert rows(lake, dataset)[0] == ("a", 1, 7.0 if before == 2 else 1.0)
    done = commit_batch(lake, dataset, air.schema, "b-1", [file], mode=LoadMode.UPSERT)
    assert (done.version, done.total_rows, done.repeated) == (2, 2, before == 2)
    assert rows(lake, dataset) == [("a", 1, 7.0), ("b", 1, 1.0)]


def test_what_is_not_as_the_manifest_says_does_not_come_in(
    lake: Lake, dataset: str, stage: Any, air: Any
) -> None:
    file = stage([air.row("a", 1)])
    Path(file.uri.removeprefix("file://")).write_bytes(b"x" * file.bytes)
    with pytest.raises(StagedFileMismatch):
        commit_batch(lake, dataset, air.schema, "b-1", [file])
    assert objects(lake, dataset, "/rows/data") == set()


def test_maintenance_and_tombstones(new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any) -> None:
    lake = new_lake()
    for number in range(4):
        commit_batch(lake, dataset, air.schema, f"b-{number}", [stage([air.row("a", number)])])
    before = rows(lake, dataset)
    assert compact(lake, dataset, CompactionPolicy(small_files=2)).files_added == 1
    assert expire(lake, dataset, {1: "old", 2: "old", 3: "old"}, FEW, set(), LATER).versions == (1, 2, 3)
    reader = new_lake()
    assert rows(reader, dataset) == before
    with pytest.raises(VersionExpired):
        version_info(reader, dataset, 2)
    with lake.shared(dataset, "rows"):
        assert sweep(reader, dataset, LATER).busy
    assert sweep(lake, dataset, LATER).removed == 0
    assert sweep(new_lake(), dataset, LATER + timedelta(days=2)).removed > 4
    assert len(objects(lake, dataset, "/rows/data")) == 1
    assert rows(new_lake(), dataset) == before
    assert commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])]).repeated
    with lake.alone(dataset, "rows") as held:
        assert held


def test_damaged_bytes_and_foreign_keys_are_refused(
    s3: Gateway, new_lake: Callable[..., Lake], dataset: str, stage: Any, air: Any, tmp_path: Path
) -> None:
    lake = new_lake()
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    [name] = [name for name in objects(lake, dataset) if name.endswith(".parquet")]
    key = lake.files.key(lake.location(dataset, "rows").removesuffix("/rows") + name)
    found = lake.files.store.find(key)
    assert found is not None
    with lake.files.store.filesystem.open_output_stream(key) as stream:  # type: ignore[attr-defined]
        stream.write(b"x" * found.size)
    with pytest.raises(ObjectDamaged):
        rows(new_lake(), dataset)
    with pytest.raises(StoreRefuses):
        rows(new_lake(s3=S3Place(s3.user(), tmp_path / "stranger", 1 << 20)), dataset)


def test_only_plain_addresses(catalog_url: str) -> None:
    for bad in ("s3://Bucket", "s3://bucket/a*b", "s3://", "gs://bucket"):
        with pytest.raises(UnsupportedWarehouse):
            Lake(LakeSettings(catalog_url, bad))
