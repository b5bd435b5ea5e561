"""Append, replace and upsert against a dictionary, with the process ended at every step."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza_lake import overwrite
from plaza_lake.overwrite import LoadMode, UpsertWithoutKey
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.tables import Lake
from plaza_lake.versions import TableNotFound, version_info, versions
from plaza_lake.write import CommitStep, EmptyBatch, commit_batch

pytestmark = pytest.mark.integration

Key = tuple[str, int]


class Killed(BaseException):
    """Stands for `kill -9`: nothing in the product catches it."""


def rows_of(lake: Lake, dataset: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.load(dataset).scan().to_arrow().to_pylist()
    return sorted(found, key=lambda row: (row["station"], row["hour"]))


def files_of(lake: Lake, dataset: str) -> set[str]:
    return {task.file.file_path for task in lake.load(dataset).scan().plan_files()}


def written(lake: Lake, dataset: str) -> set[str]:
    folder = Path(lake.location(dataset, "rows").removeprefix("file://")) / "data"
    return {f"file://{path}" for path in folder.rglob("*") if path.is_file()}


def known_to_any_version(lake: Lake, dataset: str) -> set[str]:
    table = lake.load(dataset)
    return {
        task.file.file_path
        for info in versions(lake, dataset)
        for task in table.scan(snapshot_id=info.snapshot_id).plan_files()
    }


def test_replace_leaves_exactly_the_files_rows(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("a", 2)])])
    file = stage([air.row("a", 2, 9.0)])
    done = commit_batch(lake, dataset, air.schema, "b-2", [file], mode=LoadMode.REPLACE)
    assert (done.version, done.rows_added, done.rows_removed, done.total_rows) == (2, 1, 2, 1)
    assert rows_of(lake, dataset) == [air.row("a", 2, 9.0)]
    first, second = versions(lake, dataset)
    assert (first.total_rows, second.total_rows, second.rows_removed) == (2, 1, 2)
    old = lake.load(dataset).scan(snapshot_id=first.snapshot_id).to_arrow()
    assert old.num_rows == 2  # the version before is still itself
    again = commit_batch(lake, dataset, air.schema, "b-2", [file], mode=LoadMode.REPLACE)
    assert again.repeated
    assert (again.rows_added, again.rows_removed) == (1, 2)


def test_upsert_writes_only_files_that_hold_its_keys(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    for number, station in enumerate("abc"):
        rows = [air.row(station, hour) for hour in range(4)]
        commit_batch(lake, dataset, air.schema, f"b-{number}", [stage(rows)])
    before = files_of(lake, dataset)
    new = [air.row("b", 1, 50.0), air.row("d", 0)]
    done = commit_batch(lake, dataset, air.schema, "b-9", [stage(new)], mode=LoadMode.UPSERT)
    assert (done.rows_added, done.rows_removed, done.total_rows) == (2, 1, 13)
    assert len(files_of(lake, dataset) & before) == 2
    assert len(files_of(lake, dataset) - before) == 2
    found = {(row["station"], row["hour"]): row["pm2_5"] for row in rows_of(lake, dataset)}
    assert (found["b", 1], found["b", 2], found["d", 0], len(found)) == (50.0, 1.0, 1.0, 13)
    assert lake.load(dataset).current_snapshot().summary.operation.value == "overwrite"  # type: ignore[union-attr]
    assert not [t for t in lake.load(dataset).scan().plan_files() if t.delete_files]


def test_upsert_of_new_keys_only_is_an_append(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    """Also the first batch of all."""
    for number in (1, 2):
        file = stage([air.row("a", number)])
        done = commit_batch(lake, dataset, air.schema, f"b-{number}", [file], mode=LoadMode.UPSERT)
        assert (done.version, done.rows_added, done.rows_removed) == (number, 1, 0)
    assert lake.load(dataset).current_snapshot().summary.operation.value == "append"  # type: ignore[union-attr]


def test_rows_from_before_a_field_was_added_are_kept(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    wider = TableSchema((*air.schema.columns, Column("note", FieldType.STRING)), air.schema.key)
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("a", 2)])])
    file = stage([{**air.row("a", 2), "note": "new"}], wider)
    commit_batch(lake, dataset, wider, "b-2", [file], mode=LoadMode.UPSERT)
    assert [row["note"] for row in rows_of(lake, dataset)] == [None, "new"]


def test_an_empty_file_does_not_empty_a_table(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    with pytest.raises(EmptyBatch):
        commit_batch(lake, dataset, air.schema, "b-2", [stage([])], mode=LoadMode.REPLACE)
    assert version_info(lake, dataset).version == 1


def test_upsert_needs_a_key(lake: Lake, dataset: str, stage: Any, air: Any) -> None:
    keyless = TableSchema(air.schema.columns)
    with pytest.raises(UpsertWithoutKey):
        commit_batch(lake, dataset, keyless, "b-1", [stage([air.row("a", 1)])], mode=LoadMode.UPSERT)


def test_many_rows_that_stay_are_written_in_several_files(
    lake: Lake, dataset: str, stage: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overwrite, "ROW_GROUP_ROWS", 1)
    monkeypatch.setattr(overwrite, "FILE_BYTES", 1)
    monkeypatch.setattr(overwrite.engine, "BATCH_ROWS", 2048)
    rows = [air.row("a", hour) for hour in range(5000)]
    commit_batch(lake, dataset, air.schema, "b-1", [stage(rows)])
    file = stage([air.row("a", 7, 7.0)])
    done = commit_batch(lake, dataset, air.schema, "b-2", [file], mode=LoadMode.UPSERT)
    assert (done.rows_removed, done.total_rows) == (1, 5000)
    assert len(files_of(lake, dataset)) > 2
    assert rows_of(lake, dataset)[7]["pm2_5"] == 7.0


def test_a_writer_in_between_is_taken_into_account(
    new_lake: Callable[[], Lake], dataset: str, stage: Any, air: Any
) -> None:
    """The upsert has planned on version 1; version 2 brings a row with its key before it commits."""
    lake = new_lake()
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("b", 1)])])
    other = [stage([air.row("c", 1)])]

    def meddle(reached: CommitStep) -> None:
        if reached is CommitStep.REWRITTEN and other:
            commit_batch(new_lake(), dataset, air.schema, "b-2", [other.pop()])

    file = stage([air.row("a", 1, 2.0), air.row("c", 1, 2.0)])
    done = commit_batch(lake, dataset, air.schema, "b-3", [file], mode=LoadMode.UPSERT, on_step=meddle)
    assert (done.version, done.rows_added, done.rows_removed, done.total_rows) == (3, 2, 2, 3)
    assert [row["pm2_5"] for row in rows_of(lake, dataset)] == [2.0, 1.0, 2.0]
    assert written(lake, dataset) == known_to_any_version(lake, dataset)


KEYS = st.tuples(st.sampled_from("ab"), st.integers(0, 3))
BATCHES = st.tuples(
    st.sampled_from(LoadMode),
    st.dictionaries(KEYS, st.floats(0, 9), min_size=0, max_size=6),
    st.lists(st.sampled_from(list(CommitStep)), max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(BATCHES, min_size=1, max_size=6))
def test_any_sequence_with_any_kills_is_the_dictionary(
    batches: list[tuple[LoadMode, dict[Key, float], list[CommitStep]]],
    new_lake: Callable[[], Lake],
    stage: Any,
    air: Any,
) -> None:
    lake, dataset = new_lake(), f"departments/d{uuid.uuid4().hex[:12]}/datasets/air"
    model: dict[Key, float] = {}
    version = 0
    for number, (mode, rows, kills) in enumerate(batches):
        if mode is LoadMode.APPEND:  # ingestion has taken these out before
            rows = {key: value for key, value in rows.items() if key not in model}
        file = stage([air.row(*key, value) for key, value in rows.items()])
        before = dict(model)
        if rows:
            model = rows if mode is LoadMode.REPLACE else model | rows
            version += 1

        def commit(on_step: Any = None, mode: Any = mode, number: int = number, file: Any = file) -> Any:
            return commit_batch(lake, dataset, air.schema, f"b-{number}", [file], mode=mode, on_step=on_step)

        for at in kills:

            def kill(reached: CommitStep, at: CommitStep = at) -> None:
                if reached is at:
                    raise Killed

            try:
                commit(kill)
            except (Killed, EmptyBatch):
                continue
        if not rows:
            with pytest.raises(EmptyBatch):
                commit()
            continue
        done = commit()
        gone = len(before) if mode is LoadMode.REPLACE else len(before.keys() & rows.keys())
        assert (done.version, done.total_rows) == (version, len(model))
        assert (done.rows_added, done.rows_removed) == (len(rows), gone)
        found = {(row["station"], row["hour"]): row["pm2_5"] for row in rows_of(lake, dataset)}
        assert found == model
    if version:
        assert len(versions(lake, dataset)) == version
        assert written(lake, dataset) == known_to_any_version(lake, dataset)
    else:
        with pytest.raises(TableNotFound):
            version_info(lake, dataset)
