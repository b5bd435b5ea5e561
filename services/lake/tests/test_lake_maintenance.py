"""Expiry, rewrites and the sweep against a real catalog: the same rows, whatever is cut off, whoever loads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc
from plaza_lake import tombstones
from plaza_lake.compaction import CompactionPolicy, CompactionStep, chosen_files, compact
from plaza_lake.engine import planned_files
from plaza_lake.expiry import ExpiryStep, due, expire
from plaza_lake.hashing import ContentHasher
from plaza_lake.maintenance import Upkeep, maintain
from plaza_lake.overwrite import LoadMode
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.retention import Retention
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.sweep import GraceTooShort, sweep
from plaza_lake.tables import Lake
from plaza_lake.tombstones import tombstones as stones_of
from plaza_lake.versions import VersionExpired, VersionNotFound, version_info, versions
from plaza_lake.write import CommitStep, commit_batch
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Operation

pytestmark = pytest.mark.integration

RULE = "a test let it go"
LATER = datetime.now(UTC) + timedelta(days=30)
FEW = Retention(newest=1, daily=timedelta(0))
EAGER = CompactionPolicy(small_files=2, manifests=2)


class Killed(BaseException):
    """Stands for `kill -9`: nothing in the product catches it."""


def fill(lake: Lake, dataset: str, stage: Any, air: Any, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        commit_batch(lake, dataset, air.schema, f"b-{number}", [stage([air.row("a", number)])])


def rows(lake: Lake, grant: Any, version: int | None = None) -> list[Any]:
    with read_rows(lake, grant.verifier, grant(version=version), RowQuery()) as stream:
        return [row for batch in stream.batches for row in batch.to_pylist()]


def content(lake: Lake, grant: Any, version: int | None = None) -> str:
    with read_rows(lake, grant.verifier, grant(version=version), RowQuery(canonical=True)) as stream:
        hasher = ContentHasher(stream.schema)
        for batch in stream.batches:
            hasher.update(batch)
    return hasher.result().sha256


def files_of(lake: Lake, dataset: str) -> list[str]:
    return planned_files(lake.load(dataset), version_info(lake, dataset).snapshot_id)


def all_files(lake: Lake, dataset: str) -> set[Path]:
    folder = Path(lake.location(dataset, "rows").removeprefix("file://")).parent
    return {path for path in folder.rglob("*") if path.is_file() and path.name != ".rows.lock"}


def age(lake: Lake, dataset: str) -> None:
    """As if nothing had been written for long."""
    for path in all_files(lake, dataset):
        os.utime(path, (0, 0))


def numbers(lake: Lake, dataset: str) -> list[int]:
    return [info.version for info in versions(lake, dataset)]


def test_an_expired_version_leaves_a_tombstone_and_its_number(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 5)
    before = versions(lake, dataset)
    found = due(lake, dataset, FEW, {2}, LATER)
    assert [info.version for info in found] == [1, 3, 4]
    done = expire(lake, dataset, {1: RULE, 3: RULE, 4: RULE, 5: RULE}, FEW, {2}, LATER)
    assert (done.versions, done.snapshots) == ((1, 3, 4), 3)  # the newest stays whatever is asked
    assert versions(lake, dataset) == (before[1], before[4])
    assert len(rows(lake, grant)) == 5
    assert len(rows(lake, grant, 2)) == 2
    with pytest.raises(VersionExpired, match=f"version 3 .* expired on {LATER:%Y-%m-%d}.*{RULE}") as raised:
        rows(lake, grant, 3)
    assert raised.value.facts["rows"] == "3"
    with pytest.raises(VersionNotFound):
        rows(lake, grant, 6)
    stone = stones_of(lake.load(dataset))[0]
    assert (stone.version, stone.batch_id, stone.total_rows, stone.rule) == (1, "b-1", 1, RULE)
    assert lake.load(dataset).metadata.refs["plaza-version-2"].snapshot_id == before[1].snapshot_id
    again = expire(lake, dataset, {1: RULE, 3: RULE, 4: RULE}, FEW, {2}, LATER)
    assert (again.versions, again.snapshots) == ((1, 3, 4), 0)
    fill(lake, dataset, stage, air, 1, first=6)
    assert numbers(lake, dataset) == [2, 5, 6]


def test_a_batch_of_an_expired_version_is_still_in(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    fill(lake, dataset, stage, air, 3)
    first = versions(lake, dataset)[0]
    expire(lake, dataset, {1: RULE}, FEW, (), LATER)
    again = commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    assert (again.version, again.repeated, again.rows_added) == (1, True, first.rows_added)
    assert version_info(lake, dataset).total_rows == 3


def test_an_unpinned_version_goes_at_the_next_time(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    fill(lake, dataset, stage, air, 3)
    expire(lake, dataset, {1: RULE, 2: RULE}, FEW, {1}, LATER)
    assert numbers(lake, dataset) == [1, 3]
    assert expire(lake, dataset, {1: RULE}, FEW, (), LATER).versions == (1,)
    assert list(lake.load(dataset).metadata.refs) == ["main"]
    assert len(stones_of(lake.load(dataset))) == 2


def test_a_tag_of_somebody_else_keeps_a_version(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    fill(lake, dataset, stage, air, 4)
    table, snapshot = lake.load(dataset), versions(lake, dataset)[1].snapshot_id
    table.manage_snapshots().create_tag(snapshot, "audit-2026").commit()
    assert [info.version for info in due(lake, dataset, FEW, (), LATER)] == [1, 3]
    assert expire(lake, dataset, {1: RULE, 2: RULE, 3: RULE}, FEW, (), LATER).versions == (1, 3)
    assert numbers(lake, dataset) == [2, 4]
    assert set(lake.load(dataset).metadata.refs) == {"main", "audit-2026"}


def test_the_last_of_a_day_is_tagged_once_the_day_is_over(
    lake: Lake, dataset: str, stage: Any, air: Any
) -> None:
    fill(lake, dataset, stage, air, 3)
    retention = Retention(newest=1, young=timedelta(0), daily=timedelta(days=10))
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    expire(lake, dataset, {1: RULE}, retention, (), tomorrow)
    name = f"plaza-day-{retention.day(versions(lake, dataset)[-1].committed_at)}"
    refs = lake.load(dataset).metadata.refs
    assert refs[name].snapshot_id == version_info(lake, dataset).snapshot_id
    fill(lake, dataset, stage, air, 1, first=4)
    expire(lake, dataset, {}, retention, (), LATER)  # the window is over
    assert list(lake.load(dataset).metadata.refs) == ["main"]


def test_a_plan_from_before_a_pin_does_not_go_through(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    fill(lake, dataset, stage, air, 3)
    steps: list[ExpiryStep] = []
    pinned: set[int] = set()

    def pin(step: ExpiryStep) -> None:
        steps.append(step)
        if step is ExpiryStep.WRITTEN and not pinned:
            pinned.add(1)
            expire(new_lake(), dataset, {}, FEW, {1}, LATER)  # sets the tag, as another process would

    done = expire(lake, dataset, {1: RULE, 2: RULE}, FEW, pinned, LATER, on_step=pin)
    assert done.versions == (2,)
    assert numbers(lake, dataset) == [1, 3]
    assert steps.count(ExpiryStep.WRITTEN) == 2
    assert steps.count(ExpiryStep.COMMITTED) == 1


def test_a_load_in_between_goes_first(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 4)
    loads = iter((5, 6))

    def load(reached: object) -> None:
        if reached in (ExpiryStep.WRITTEN, CompactionStep.WRITTEN) and (number := next(loads, 0)):
            fill(new_lake(), dataset, stage, air, 1, first=number)

    compact(lake, dataset, EAGER, on_step=load)
    assert (numbers(lake, dataset), len(files_of(lake, dataset))) == ([1, 2, 3, 4, 5], 2)
    expire(lake, dataset, {1: RULE, 2: RULE}, FEW, (), LATER, on_step=load)
    assert numbers(lake, dataset) == [3, 4, 5, 6]
    assert [row["hour"] for row in rows(lake, grant)] == [1, 2, 3, 4, 5, 6]
    assert [row["hour"] for row in rows(lake, grant, 5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("step", list(ExpiryStep))
def test_an_expiry_killed_at_any_step_and_repeated_ends_the_same(
    step: ExpiryStep, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(new_lake(), dataset, stage, air, 4)

    def kill(reached: ExpiryStep) -> None:
        if reached is step:
            raise Killed

    with pytest.raises(Killed):
        expire(new_lake(), dataset, {1: RULE, 2: RULE}, FEW, {3}, LATER, on_step=kill)
    lake = new_lake()
    assert expire(lake, dataset, {1: RULE, 2: RULE}, FEW, {3}, LATER).versions == (1, 2)
    assert numbers(lake, dataset) == [3, 4]
    assert [stone.version for stone in stones_of(lake.load(dataset))] == [1, 2]
    age(lake, dataset)
    sweep(lake, dataset, LATER)
    sweep(lake, dataset, LATER + timedelta(days=2))
    assert (
        len(list(Path(tombstones.folder(lake.load(dataset)).removeprefix("file://")).glob("*.parquet"))) == 1
    )
    assert len(rows(lake, grant)) == 4


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_answer_of_an_expiry_is_asked_for_again(
    landed: bool, lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, dataset, stage, air, 3)
    real = SqlCatalog.commit_table

    def lose(self: SqlCatalog, *args: Any) -> Any:
        if landed:
            real(self, *args)
        raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(SqlCatalog, "commit_table", lose)
    with pytest.raises(Exception, match="does not answer"):
        expire(lake, dataset, {1: RULE}, FEW, (), LATER)
    monkeypatch.undo()
    assert expire(lake, dataset, {1: RULE}, FEW, (), LATER).versions == (1,)
    assert [stone.version for stone in stones_of(lake.load(dataset))] == [1]


def test_two_expiries_at_once_lose_no_tombstone(
    new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    fill(new_lake(), dataset, stage, air, 8)
    expire(new_lake(), dataset, {1: RULE}, FEW, (), LATER)  # a file that both will want to merge
    barrier = threading.Barrier(2, timeout=30)
    waited: set[int] = set()

    def meet(step: ExpiryStep) -> None:
        if step is ExpiryStep.WRITTEN and threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            barrier.wait()

    def run(lake: Lake, chosen: dict[int, str]) -> None:
        expire(lake, dataset, chosen, FEW, (), LATER, on_step=meet)

    parts = ({2: RULE, 3: RULE, 4: RULE}, {4: RULE, 5: RULE, 6: RULE})
    threads = [threading.Thread(target=run, args=(new_lake(), part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lake = new_lake()
    assert numbers(lake, dataset) == [7, 8]
    assert [stone.version for stone in stones_of(lake.load(dataset))] == [1, 2, 3, 4, 5, 6]


def test_full_files_of_tombstones_are_left_alone(
    lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "FULL_ROWS", 2)
    fill(lake, dataset, stage, air, 6)
    for number in range(1, 6):
        expire(lake, dataset, {number: RULE}, FEW, (), LATER)
    table = lake.load(dataset)
    assert [stone.version for stone in stones_of(table)] == [1, 2, 3, 4, 5]
    assert len(tombstones.addresses(table)) == 3
    assert all(
        commit_batch(lake, dataset, air.schema, f"b-{n}", [stage([air.row("a", n)])]).repeated
        for n in range(1, 6)
    )


def test_a_rewrite_is_no_version(lake: Lake, dataset: str, stage: Any, air: Any, grant: Any) -> None:
    fill(lake, dataset, stage, air, 6)
    before, hashes = versions(lake, dataset), [content(lake, grant, n) for n in range(1, 7)]
    done = compact(lake, dataset, EAGER)
    assert (done.files_removed, done.files_added) == (6, 1)
    table = lake.load(dataset)
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    assert current.summary.operation is Operation.REPLACE
    assert current.summary["total-records"] == "6"
    assert current.summary["total-data-files"] == "1"
    assert len(files_of(lake, dataset)) == 1
    after = versions(lake, dataset)
    assert after[:-1] == before[:-1]
    assert after[-1] == replace(before[-1], snapshot_id=current.snapshot_id, rewritten=True)
    assert [content(lake, grant, n) for n in range(1, 7)] == hashes
    assert sorted(r["hour"] for r in table.scan().to_arrow().to_pylist()) == [1, 2, 3, 4, 5, 6]
    again = commit_batch(lake, dataset, air.schema, "b-6", [stage([air.row("a", 6)])])
    assert (again.version, again.rows_added, again.repeated) == (6, 1, True)
    assert content(lake, grant, 6) == hashes[5]  # and "again" tidied nothing away
    expire(lake, dataset, {}, FEW, (), LATER)  # the snapshot whose place it took goes without a tombstone
    assert before[-1].snapshot_id not in {s.snapshot_id for s in lake.load(dataset).metadata.snapshots}
    assert stones_of(lake.load(dataset)) == ()
    assert not compact(lake, dataset, EAGER).did_something
    fill(lake, dataset, stage, air, 1, first=7)
    assert numbers(lake, dataset) == [1, 2, 3, 4, 5, 6, 7]
    assert len(rows(lake, grant)) == 7


def test_a_pinned_version_that_is_written_again_stays_pinned(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 3)
    expire(lake, dataset, {}, FEW, {3}, LATER)
    compact(lake, dataset, EAGER)
    fill(lake, dataset, stage, air, 1, first=4)
    expire(lake, dataset, {1: RULE, 2: RULE, 3: RULE}, FEW, {3}, LATER)
    info = version_info(lake, dataset, 3)
    assert (info.rewritten, numbers(lake, dataset)) == (True, [3, 4])
    assert lake.load(dataset).metadata.refs["plaza-version-3"].snapshot_id == info.snapshot_id
    assert len(rows(lake, grant, 3)) == 3


@pytest.mark.parametrize("step", list(CompactionStep))
def test_a_rewrite_killed_at_any_step_and_repeated_ends_the_same(
    step: CompactionStep, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(new_lake(), dataset, stage, air, 4)
    before = content(new_lake(), grant)

    def kill(reached: CompactionStep) -> None:
        if reached is step:
            raise Killed

    with pytest.raises(Killed):
        compact(new_lake(), dataset, EAGER, on_step=kill)
    lake = new_lake()
    assert compact(lake, dataset, EAGER).did_something is (step is not CompactionStep.COMMITTED)
    assert (content(lake, grant), len(files_of(lake, dataset))) == (before, 1)
    assert numbers(lake, dataset) == [1, 2, 3, 4]


def test_a_rewrite_in_the_schema_of_today(lake: Lake, dataset: str, stage: Any, air: Any, grant: Any) -> None:
    wider = TableSchema((*air.schema.columns, Column("note", FieldType.STRING)), air.schema.key)
    values = [(1, None, None), (2, float("nan"), "北"), (3, -0.0, "")]
    for hour, pm, wind in values:
        commit_batch(lake, dataset, air.schema, f"b-{hour}", [stage([air.row("东城", hour, pm, wind)])])
    commit_batch(lake, dataset, wider, "b-4", [stage([{**air.row("a", 4), "note": "n"}], wider)])
    before = content(lake, grant)
    assert compact(lake, dataset, EAGER).files_added == 1
    assert content(lake, grant) == before
    upsert = stage([{**air.row("a", 4), "note": "new"}], wider)
    done = commit_batch(lake, dataset, wider, "b-5", [upsert], mode=LoadMode.UPSERT)
    assert (done.total_rows, done.rows_removed) == (4, 1)
    assert len(rows(lake, grant, 4)) == 4


def test_an_upsert_in_the_middle_of_a_rewrite(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    """It takes a file away that was written again: the rewrite must plan anew."""
    fill(lake, dataset, stage, air, 4)
    done: list[bool] = []

    def upsert(step: CompactionStep) -> None:
        if step is CompactionStep.WRITTEN and not done:
            done.append(True)
            file = stage([air.row("a", 2, 99.0)])
            commit_batch(new_lake(), dataset, air.schema, "b-u", [file], mode=LoadMode.UPSERT)

    compact(lake, dataset, EAGER, on_step=upsert)
    assert [row["pm2_5"] for row in rows(lake, grant)] == [1.0, 99.0, 1.0, 1.0]
    assert len(files_of(lake, dataset)) == 1


def test_a_rewrite_in_the_middle_of_a_load(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 4)
    done: list[bool] = []

    def rewrite(step: CommitStep) -> None:
        if step is CommitStep.REWRITTEN and not done:
            done.append(True)
            assert compact(new_lake(), dataset, EAGER).did_something

    file = stage([air.row("a", 2, 99.0)])
    commit_batch(lake, dataset, air.schema, "b-u", [file], mode=LoadMode.UPSERT, on_step=rewrite)
    assert [row["pm2_5"] for row in rows(lake, grant)] == [1.0, 99.0, 1.0, 1.0]
    assert version_info(lake, dataset).version == 5


def size(number: int, count: int) -> DataFile:
    return DataFile.from_args(file_path=f"f{number}", file_size_in_bytes=count)


def test_each_row_is_written_again_only_so_often() -> None:
    """The rule of sizes: of 1,000 loads no row is written more than a dozen times, and few files are left."""
    policy = CompactionPolicy(small_files=10)
    files: dict[str, tuple[int, int]] = {}
    for number in range(1_000):
        files[f"n{number}"] = (1_000, 0)
        known = [DataFile.from_args(file_path=p, file_size_in_bytes=b) for p, (b, _) in files.items()]
        taken = chosen_files(known, policy)
        if taken:
            parts = [files.pop(file.file_path) for file in taken]
            files[f"c{number}"] = (sum(b for b, _ in parts), 1 + max(times for _, times in parts))
    assert max(times for _, times in files.values()) <= 12
    assert len(files) < 25
    assert chosen_files([size(1, 65 << 20), size(2, 65 << 20)], EAGER) == ()
    assert chosen_files([size(1, 1), size(2, 1), size(3, 10)], EAGER) == (size(1, 1), size(2, 1))


def test_manifests_are_merged_without_touching_files(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 5)
    before, rest = files_of(lake, dataset), rows(lake, grant)
    done = compact(lake, dataset, CompactionPolicy(manifests=3))
    assert (done.files_removed, done.files_added, done.manifests_before) == (0, 0, 5)
    table = lake.load(dataset)
    current = table.current_snapshot()
    assert current is not None
    assert len(current.manifests(table.io)) == 1
    assert sorted(files_of(lake, dataset)) == sorted(before)
    assert rows(lake, grant) == rest


def test_the_sweep_takes_what_nobody_needs_and_nothing_else(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 5)
    folder = Path(lake.location(dataset, "rows").removeprefix("file://"))
    (folder / "data" / "b-lost").mkdir()
    (folder / "data" / "b-lost" / "stray.parquet").write_bytes(b"a load that was never committed")
    maintain(lake, dataset, Upkeep(FEW, EAGER), {2}, LATER)
    assert numbers(lake, dataset) == [2, 5]
    hashes = content(lake, grant, 2), content(lake, grant, 5)
    kept = all_files(lake, dataset)
    young = sweep(lake, dataset, datetime.now(UTC) + timedelta(hours=1))
    assert (young.removed, young.waiting > 5) == (0, True)
    age(lake, dataset)
    first = sweep(lake, dataset, LATER + timedelta(hours=23))
    assert first.removed == 0, "the grace counts from when a file was found to be unneeded"
    swept = sweep(lake, dataset, LATER + timedelta(hours=25))
    assert (swept.removed, swept.waiting) == (young.waiting, 0)
    assert all_files(lake, dataset) < kept
    assert not (folder / "data" / "b-lost").exists()
    assert (content(lake, grant, 2), content(lake, grant, 5)) == hashes
    assert len(files_of(lake, dataset)) == 1
    fill(lake, dataset, stage, air, 2, first=6)
    assert len(rows(lake, grant)) == 7


def test_a_sweep_killed_anywhere_and_repeated_loses_nothing(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 5)
    before = content(lake, grant)
    maintain(lake, dataset, Upkeep(FEW, EAGER), (), LATER)
    age(lake, dataset)
    end = LATER + timedelta(days=3)

    def kill(_: Path) -> None:
        raise Killed

    for _ in range(4):
        with pytest.raises(Killed):
            sweep(new_lake(), dataset, end, on_removed=kill)
    left = sweep(lake, dataset, end)
    assert (left.removed > 0, left.waiting, left.busy) == (True, 0, False)
    assert content(lake, grant) == before


def test_the_sweep_keeps_off_while_a_load_is_under_way(
    lake: Lake, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    fill(lake, dataset, stage, air, 2)
    answers: list[bool] = []

    def look(step: CommitStep) -> None:
        answers.append(sweep(new_lake(), dataset, LATER).busy)

    commit_batch(lake, dataset, air.schema, "b-3", [stage([air.row("a", 3)])], on_step=look)
    assert answers == [True] * len(CommitStep)
    assert not sweep(lake, dataset, LATER).busy
    with pytest.raises(GraceTooShort):
        sweep(lake, dataset, LATER, grace=timedelta(minutes=1))


def test_a_reader_that_has_begun_goes_on(lake: Lake, dataset: str, stage: Any, air: Any, grant: Any) -> None:
    fill(lake, dataset, stage, air, 4)
    with read_rows(lake, grant.verifier, grant(version=1), RowQuery()) as stream:
        maintain(lake, dataset, Upkeep(FEW, EAGER), (), LATER)
        assert [row["hour"] for batch in stream.batches for row in batch.to_pylist()] == [1]
    with pytest.raises(VersionExpired):
        rows(lake, grant, 1)


def test_what_an_administrator_rolled_back_does_not_count(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    fill(lake, dataset, stage, air, 3)
    target = versions(lake, dataset)[1].snapshot_id
    lake.load(dataset).manage_snapshots().rollback_to_snapshot(target).commit()
    assert numbers(lake, dataset) == [1, 2]
    assert len(rows(lake, grant)) == 2
    assert commit_batch(lake, dataset, air.schema, "b-4", [stage([air.row("a", 4)])]).version == 3
    assert [row["hour"] for row in rows(lake, grant)] == [1, 2, 4]
    assert numbers(lake, dataset) == [1, 2, 3]
