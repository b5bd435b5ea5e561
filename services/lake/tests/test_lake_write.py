"""The write path against a real catalog: exactly once, whatever happens in between."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc
from plaza_lake import write
from plaza_lake.evolution import SchemaConflict, check_evolution
from plaza_lake.files import StagedFileMismatch, StagedFileMissing, local_path
from plaza_lake.schema import QUARANTINE_SCHEMA, Column, FieldType, TableSchema
from plaza_lake.tables import InvalidDatasetName, Lake, LakeSettings, LakeUnavailable
from plaza_lake.versions import TableNotFound, VersionNotFound, version_info, versions
from plaza_lake.write import CommitStep, EmptyBatch, InvalidBatchId, StagedFile, commit_batch
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException

pytestmark = pytest.mark.integration


class Killed(BaseException):
    """Stands for `kill -9`: nothing in the product catches it."""


def data_files(lake: Lake, dataset: str) -> list[Path]:
    folder = Path(lake.location(dataset, "rows").removeprefix("file://")) / "data"
    return sorted(path for path in folder.rglob("*") if path.is_file())


def committed_files(lake: Lake, dataset: str) -> list[Path]:
    return sorted(
        Path(task.file.file_path.removeprefix("file://")) for task in lake.load(dataset).scan().plan_files()
    )


def test_two_batches_are_versions_one_and_two(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    with pytest.raises(TableNotFound):
        versions(lake, dataset)
    a, b = stage([air.row("a", 1), air.row("a", 2)]), stage([air.row("b", 1)])
    first = commit_batch(lake, dataset, air.schema, "b-1", [a, b], properties={"contract-version": "3"})
    second = commit_batch(lake, dataset, air.schema, "b-2", [stage([air.row("c", 1)])])
    assert (first.version, first.rows_added, first.total_rows, first.repeated) == (1, 3, 3, False)
    assert (second.version, second.rows_added, second.total_rows, second.repeated) == (2, 1, 4, False)
    one, two = versions(lake, dataset)
    assert (one.batch_id, one.version, one.rows_added, one.total_rows) == ("b-1", 1, 3, 3)
    assert one.properties == {"contract-version": "3"}
    assert (two.snapshot_id, two.total_rows) == (second.snapshot_id, 4)
    assert version_info(lake, dataset) == two
    assert version_info(lake, dataset, 1) == one
    assert one.committed_at <= two.committed_at
    with pytest.raises(VersionNotFound, match="version 3"):
        version_info(lake, dataset, 3)


def test_the_same_batch_again_is_the_same_version(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    file = stage([air.row("a", 1)])
    first = commit_batch(lake, dataset, air.schema, "b-1", [file])
    commit_batch(lake, dataset, air.schema, "b-2", [stage([air.row("b", 1)])])
    Path(file.uri.removeprefix("file://")).unlink()  # staging was cleaned in between
    again = commit_batch(lake, dataset, air.schema, "b-1", [file])
    assert again == replace(first, repeated=True)
    assert commit_batch(lake, dataset, air.schema, "b-1", []) == again
    assert len(versions(lake, dataset)) == 2


def test_plain_iceberg_readers_see_the_rows(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    rows = [air.row("东城", 1, None, None), air.row("西城", 2, 3.5)]
    commit_batch(lake, dataset, air.schema, "b-1", [stage(rows)])
    table = lake.load(dataset)
    assert sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["hour"]) == rows
    assert table.scan(row_filter="hour = 2").to_arrow().num_rows == 1
    assert list(table.scan(row_filter="hour > 2").plan_files()) == []  # bounds are in the manifest
    [task] = table.scan().plan_files()
    assert task.file.null_value_counts == {1: 0, 2: 0, 3: 1, 4: 1, 5: 0}
    assert table.format_version == 2
    assert table.properties["commit.retry.num-retries"] == "0"


@pytest.mark.parametrize("step", list(CommitStep))
def test_killed_at_any_step_and_repeated_ends_the_same(
    step: CommitStep, new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    files = [stage([air.row("a", 1)]), stage([air.row("b", 1)])]

    def kill(reached: CommitStep) -> None:
        if reached is step:
            raise Killed

    with pytest.raises(Killed):
        commit_batch(new_lake(), dataset, air.schema, "b-1", files, on_step=kill)
    lake = new_lake()
    again = commit_batch(lake, dataset, air.schema, "b-1", files)
    assert (again.version, again.total_rows) == (1, 2)
    assert again.repeated is (step is CommitStep.COMMITTED)
    assert len(versions(lake, dataset)) == 1
    assert data_files(lake, dataset) == committed_files(lake, dataset)


def test_killed_while_copying_leaves_nothing_behind(
    lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [stage([air.row("a", 1)]), stage([air.row("b", 1)])]
    taken: list[str] = []

    def take_one_and_a_half(files: Any, source: str, target: str, *rest: Any, settled: bool) -> None:
        if taken:
            part = Path(target.removeprefix("file://"))
            part.with_name(f".{part.name}.0.part").write_bytes(b"half")
            raise Killed
        taken.append(target)
        real(files, source, target, *rest, settled=settled)

    real = write.take_over
    monkeypatch.setattr(write, "take_over", take_one_and_a_half)
    with pytest.raises(Killed):
        commit_batch(lake, dataset, air.schema, "b-1", files)
    monkeypatch.undo()
    assert len(data_files(lake, dataset)) == 2
    assert commit_batch(lake, dataset, air.schema, "b-1", files).total_rows == 2
    assert data_files(lake, dataset) == committed_files(lake, dataset)


def test_staged_again_with_other_bytes_after_a_kill(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    """A worker that stages a batch twice need not write the same bytes; the first copies must not stay."""
    rows = [air.row("a", 1), air.row("b", 1)]

    def kill(reached: CommitStep) -> None:
        if reached is CommitStep.COPIED:
            raise Killed

    with pytest.raises(Killed):
        commit_batch(lake, dataset, air.schema, "b-1", [stage(rows)], on_step=kill)
    assert commit_batch(lake, dataset, air.schema, "b-1", [stage(rows[::-1])]).total_rows == 2
    assert data_files(lake, dataset) == committed_files(lake, dataset)
    assert len(data_files(lake, dataset)) == 1


def test_two_stale_handles_commit_one_batch_once(
    new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    """Where PyIceberg's own retry commits twice: both have looked, neither has found the batch."""
    commit_batch(new_lake(), dataset, air.schema, "b-0", [stage([air.row("z", 1)])])
    barrier = threading.Barrier(2, timeout=30)
    results: list[write.CommittedVersion] = []

    def commit(lake: Lake, file: StagedFile) -> None:
        waited: list[CommitStep] = []

        def meet(reached: CommitStep) -> None:
            if reached is CommitStep.COPIED and not waited:
                waited.append(reached)
                barrier.wait()

        results.append(commit_batch(lake, dataset, air.schema, "b-1", [file], on_step=meet))

    lakes = [new_lake(), new_lake()]
    files = [stage([air.row("a", 1), air.row("b", 1)]), stage([air.row("b", 1), air.row("a", 1)])]
    threads = [threading.Thread(target=commit, args=pair) for pair in zip(lakes, files, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.repeated for result in results) == [False, True]
    assert {(result.version, result.total_rows) for result in results} == {(2, 3)}
    assert [info.batch_id for info in versions(lakes[0], dataset)] == ["b-0", "b-1"]
    commit_batch(lakes[0], dataset, air.schema, "b-1", files)  # tidies what the loser may have copied last
    assert data_files(lakes[0], dataset) == committed_files(lakes[0], dataset)


def test_many_writers_each_get_their_version(
    new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    files = {f"b-{n}": stage([air.row("a", n)]) for n in range(6)}
    results: dict[str, int] = {}

    def commit(lake: Lake, batch_id: str) -> None:
        results[batch_id] = commit_batch(lake, dataset, air.schema, batch_id, [files[batch_id]]).version

    lake = new_lake()
    threads = [threading.Thread(target=commit, args=(lake, batch_id)) for batch_id in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results.values()) == [1, 2, 3, 4, 5, 6]
    assert {info.batch_id: info.version for info in versions(lake, dataset)} == results
    assert version_info(lake, dataset).total_rows == 6


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_answer_is_asked_for_again(
    landed: bool, lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SqlCatalog.commit_table
    lost: list[bool] = []

    def lose(self: SqlCatalog, *args: Any) -> Any:
        if lost:
            return real(self, *args)
        lost.append(True)
        if landed:
            real(self, *args)
        raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(SqlCatalog, "commit_table", lose)
    done = commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    assert (done.version, done.total_rows, done.repeated) == (1, 1, landed)
    assert len(versions(lake, dataset)) == 1


def test_a_writer_that_never_wins_gives_up_politely(
    lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise CommitFailedException("somebody else")

    monkeypatch.setattr(write, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(SqlCatalog, "commit_table", refuse)
    file = stage([air.row("a", 1)])
    with pytest.raises(write.CommitContended):
        commit_batch(lake, dataset, air.schema, "b-1", [file])
    monkeypatch.undo()
    with pytest.raises(VersionNotFound, match="yet"):
        version_info(lake, dataset)
    assert commit_batch(lake, dataset, air.schema, "b-1", [file]).version == 1


def test_an_empty_batch_commits_nothing(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    with pytest.raises(EmptyBatch):
        commit_batch(lake, dataset, air.schema, "b-1", [stage([])])
    with pytest.raises(TableNotFound):
        versions(lake, dataset)
    done = commit_batch(lake, dataset, air.schema, "b-1", [stage([]), stage([air.row("a", 1)])])
    assert len(data_files(lake, dataset)) == done.total_rows == 1


def test_what_the_manifest_says_is_checked(
    lake: Lake, dataset: str, stage: Any, air: Any, tmp_path: Path
) -> None:
    good = stage([air.row("a", 1)])
    other = TableSchema((*air.schema.columns[:-1], Column("time", FieldType.STRING)), air.schema.key)
    strings = stage([{**air.row("a", 1), "time": "now"}], other)
    fewer = stage([{"station": "a", "hour": 1}], TableSchema(air.schema.columns[:2], air.schema.key))
    link = tmp_path / "link.parquet"
    link.symlink_to(good.uri.removeprefix("file://"))
    (tmp_path / "not.parquet").mkdir()
    bad = {
        "SHA-256": replace(good, sha256="0" * 64),
        "hexadecimal": replace(good, sha256="../../x"),
        "bytes": replace(good, bytes=good.bytes - 1),
        "rows": replace(good, rows=2),
        "type": strings,
        "columns": fewer,
        "missing values": stage([{**air.row("a", 1), "hour": None}]),
        "readable": replace(good, uri=f"file://{link}"),
        "not a regular": replace(good, uri=f"file://{tmp_path}/not.parquet"),
    }
    for problem, file in bad.items():
        with pytest.raises(StagedFileMismatch, match=problem):
            commit_batch(lake, dataset, air.schema, f"b-{problem.replace(' ', '-')}", [file])
    with pytest.raises(StagedFileMissing):
        commit_batch(lake, dataset, air.schema, "b-1", [replace(good, uri=f"file://{tmp_path}/gone")])
    with pytest.raises(VersionNotFound):
        version_info(lake, dataset)
    assert commit_batch(lake, dataset, air.schema, "b-1", [good]).version == 1


def test_a_settled_file_comes_in_by_a_link(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    file = stage([air.row("a", 1)])
    source = local_path(file.uri)
    commit_batch(lake, dataset, air.schema, "b-1", [file], settled=True)
    [kept] = data_files(lake, dataset)
    assert kept.samefile(source)
    source.unlink()
    assert lake.load(dataset).scan().to_arrow().to_pylist() == [air.row("a", 1)]


def test_a_settled_file_is_copied_where_no_link_can_be(
    lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    file = stage([air.row("a", 1)])
    commit_batch(lake, dataset, air.schema, "b-1", [file], settled=True)
    [kept] = data_files(lake, dataset)
    assert not kept.samefile(local_path(file.uri))
    assert kept.read_bytes() == local_path(file.uri).read_bytes()


def test_a_settled_file_must_be_there_whole(
    lake: Lake, dataset: str, stage: Any, air: Any, tmp_path: Path
) -> None:
    good = stage([air.row("a", 1)])
    link = tmp_path / "link.parquet"
    link.symlink_to(local_path(good.uri))
    for file, error in (
        (replace(good, bytes=good.bytes - 1), StagedFileMismatch),
        (replace(good, uri=f"file://{link}"), StagedFileMismatch),
        (replace(good, uri=f"file://{tmp_path}/gone"), StagedFileMissing),
    ):
        with pytest.raises(error):
            commit_batch(lake, dataset, air.schema, "b-1", [file], settled=True)
    assert data_files(lake, dataset) == []


@pytest.mark.parametrize("batch_id", ["", "../x", "a/b", ".hidden", "a" * 129, "批次"])
def test_batch_ids_that_cannot_stand_in_a_path_are_refused(
    batch_id: str, lake: Lake, dataset: str, air: Any
) -> None:
    with pytest.raises(InvalidBatchId):
        commit_batch(lake, dataset, air.schema, batch_id, [])


def test_dataset_names_are_checked(lake: Lake) -> None:
    for name in ("ecology/air", "departments/../datasets/x", "departments/a/datasets/b__quarantine", "x"):
        with pytest.raises(InvalidDatasetName):
            versions(lake, name)


def test_quarantine_is_a_table_of_its_own_with_exact_bytes(
    lake: Lake, dataset: str, stage: Any, air: Any
) -> None:
    original = bytes(range(256))
    row = {
        "id": "q-1",
        "batch_id": "b-1",
        "file": "a.csv",
        "line": 7,
        "field": None,
        "reason": "ragged",
        "detail": "17 of 18 fields",
        "original": original,
    }
    file = stage([row], QUARANTINE_SCHEMA)
    done = commit_batch(lake, dataset, QUARANTINE_SCHEMA, "b-1", [file], table="quarantine")
    assert done.version == 1
    assert lake.load(dataset, "quarantine").scan().to_arrow().to_pylist() == [row]
    with pytest.raises(TableNotFound):
        versions(lake, dataset)
    assert lake.load(dataset, "quarantine").name()[1] == "air-quality__quarantine"


def test_a_new_contract_may_add_optional_fields_anywhere(
    lake: Lake, dataset: str, stage: Any, air: Any
) -> None:
    station, hour, *rest = air.schema.columns
    wider = TableSchema((station, Column("note", FieldType.STRING), hour, *rest), air.schema.key)
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    commit_batch(lake, dataset, wider, "b-2", [stage([{**air.row("b", 1), "note": "new"}], wider)])
    table = lake.load(dataset)
    assert [field.name for field in table.schema().fields] == list(wider.names)
    found = {row["station"]: row["note"] for row in table.scan().to_arrow().to_pylist()}
    assert found == {"a": None, "b": "new"}
    with pytest.raises(SchemaConflict, match="note is missing"):
        commit_batch(lake, dataset, air.schema, "b-3", [stage([air.row("c", 1)])])


def test_what_earlier_rows_cannot_follow_is_refused(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    columns = air.schema.columns
    wrong = {
        "key": TableSchema(columns, ("station",)),
        "note is required": TableSchema((*columns, Column("note", FieldType.STRING, True)), air.schema.key),
        "become required": TableSchema(tuple(replace(c, required=True) for c in columns), air.schema.key),
        "wd is string": TableSchema(
            tuple(replace(c, type=FieldType.INTEGER) if c.name == "wd" else c for c in columns),
            air.schema.key,
        ),
        "key field hour": TableSchema(
            tuple(replace(c, required=False) if c.name == "hour" else c for c in columns), air.schema.key
        ),
    }
    for problem, schema in wrong.items():
        row = {**air.row("b", 1), "note": "x", "wd": None}
        with pytest.raises(SchemaConflict, match=problem):
            commit_batch(lake, dataset, schema, "b-2", [stage([{n: row[n] for n in schema.names}], schema)])
    assert version_info(lake, dataset).version == 1


def test_every_difference_is_named(air: Any) -> None:
    kinds = {"wd": FieldType.INTEGER, "pm2_5": FieldType.STRING}
    columns = tuple(replace(c, type=kinds.get(c.name, c.type)) for c in air.schema.columns)
    with pytest.raises(SchemaConflict) as raised:
        check_evolution(air.schema, TableSchema(columns, air.schema.key))
    assert raised.value.facts["differences"].splitlines() == [
        "field pm2_5 is number, the new one would be string",
        "field wd is string, the new one would be integer",
    ]
    wider = TableSchema((*air.schema.columns, Column("note", FieldType.STRING)), air.schema.key)
    check_evolution(air.schema, wider)


def test_a_database_that_is_away_is_said_so(dataset: str, tmp_path: Path) -> None:
    lake = Lake(LakeSettings(f"postgresql+psycopg2://u@/x?host={tmp_path}", str(tmp_path)))
    with pytest.raises(LakeUnavailable):
        versions(lake, dataset)
    lake.close()
