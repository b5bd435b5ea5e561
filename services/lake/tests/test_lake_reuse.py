"""What is read once and used again: metadata, the paths of a manifest, DuckDB instances."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from plaza_lake import engine
from plaza_lake.instances import Instances
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.tables import Lake
from plaza_lake.versions import versions
from plaza_lake.write import commit_batch
from pyiceberg.serializers import FromInputFile


class Made:
    """Makes instances and remembers them."""

    def __init__(self) -> None:
        self.connections: list[duckdb.DuckDBPyConnection] = []

    def __call__(self) -> duckdb.DuckDBPyConnection:
        self.connections.append(duckdb.connect())
        return self.connections[-1]


def is_open(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("SELECT 1")
    except duckdb.ConnectionException:
        return False
    return True


def test_an_instance_serves_the_same_files_again_and_no_others() -> None:
    instances, made = Instances(2), Made()
    for paths in (("a",), ("a",), ("b",), ("a",)):
        with instances.cursor(paths, made) as cursor:
            assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert len(made.connections) == 2
    with instances.cursor(("c",), made):
        pass
    assert [is_open(connection) for connection in made.connections] == [True, False, True]
    instances.close()
    assert not any(is_open(connection) for connection in made.connections)


def test_an_instance_in_use_is_not_closed() -> None:
    instances, made = Instances(1), Made()
    with instances.cursor(("a",), made) as first:
        with instances.cursor(("b",), made) as second, instances.cursor(("c",), made):
            assert second.execute("SELECT 2").fetchall() == [(2,)]
        assert first.execute("SELECT 1").fetchall() == [(1,)]
    assert [is_open(connection) for connection in made.connections].count(True) == 1


def test_a_cursor_that_is_left_early_leaves_the_instance_whole() -> None:
    instances, made = Instances(1), Made()
    with pytest.raises(RuntimeError), instances.cursor(("a",), made) as cursor:
        cursor.execute("SELECT * FROM range(10_000_000)")
        raise RuntimeError
    with instances.cursor(("a",), made) as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert len(made.connections) == 1


@pytest.mark.integration
def test_metadata_are_read_once(
    lake: Lake,
    new_lake: Callable[[], Lake],
    dataset: str,
    stage: Any,
    air: Any,
    grant: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    real, read = FromInputFile.table_metadata, []
    monkeypatch.setattr(
        FromInputFile, "table_metadata", staticmethod(lambda *args: read.append(1) or real(*args))
    )
    reader = new_lake()
    for _ in range(3):
        with read_rows(reader, grant.verifier, grant(), RowQuery()) as stream:
            assert sum(batch.num_rows for batch in stream.batches) == 1
    assert len(read) == 1
    commit_batch(lake, dataset, air.schema, "b-2", [stage([air.row("b", 1)])])  # by another process
    assert [info.version for info in versions(reader, dataset)] == [1, 2]


@pytest.mark.integration
def test_many_readers_of_one_version_at_once(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", hour) for hour in range(100)])])
    opened: list[int] = []
    real = engine._open
    monkeypatch.setattr(engine, "_open", lambda *args: opened.append(1) or real(*args))
    found: list[int] = []

    def read() -> None:
        for _ in range(5):
            with read_rows(lake, grant.verifier, grant(), RowQuery()) as stream:
                found.append(sum(batch.num_rows for batch in stream.batches))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [100] * 30
    assert len(opened) == 1
