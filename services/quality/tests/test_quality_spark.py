"""What is sent to Spark, what comes back, and what happens when it is away. What rules mean there is tested where it
is tested for our own engine: test_quality_meaning, test_quality_all_kinds."""

from __future__ import annotations

import math
import pickle
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.errors import Unavailable
from plaza_lake.row_bits import rows_in
from plaza_lake.scan import RowFilterNotSupported
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_quality.domain.around import Around, CodeList, OtherVersion
from plaza_quality.domain.checks import (
    Check,
    HasFormat,
    InCodeList,
    InRange,
    Monotone,
    NotNull,
    Refers,
    TextFormat,
    Unique,
)
from plaza_quality.kernels.hashing import Seeds
from plaza_quality.spark import worker
from plaza_quality.spark.sent import Asked, Rows, Slice, Wanted, Work
from plaza_quality.spark.server import Spark, SparkFailed, SparkUnavailable
from plaza_quality.storage import rows
from plaza_quality.storage.rows import ByRow, judged, prepared
from plaza_testing.s3 import Gateway

Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""
NOW = datetime(2024, 3, 1, tzinfo=UTC)
SCHEMA = TableSchema(
    (
        Column("id", FieldType.INTEGER),
        Column("x", FieldType.NUMBER),
        Column("n", FieldType.INTEGER),
        Column("s", FieldType.STRING),
    )
)
BETWEEN_HERE_AND_THERE: list[Check] = [
    *(InRange("x", bound / 10, None) for bound in range(60)),
    NotNull("s"),
    HasFormat("s", TextFormat.DATE),
    Unique(("n", "s")),
    Unique(("s",)),
    Monotone("x", "id", ("n",), True, False),
    Monotone("s", "x", (), False, True),
    InCodeList("n", "codeLists/c", False),
]


def table(part: int) -> list[dict[str, Any]]:
    return [
        {
            "id": at,
            "x": [at / 3, None, math.nan, -0.0, 0.0][at % 5],
            "n": at % 4,
            "s": [None, "a", "𠀀", "2024-02-30", ""][at % 5],
        }
        for at in range(part * 17, 40)
    ]


def noted(sent: list[bytes], work: object) -> bytes:
    sent.append(pickle.dumps(work))
    return sent[-1]


@pytest.mark.parametrize("many_keys", [False, True])
@pytest.mark.integration
def test_spark_finds_what_is_found_here(
    quality: Quality, spark: Spark, monkeypatch: pytest.MonkeyPatch, many_keys: bool
) -> None:
    """More files than partitions, more than one word of rules, another dataset under a grant with a filter by a field
    that is not granted. The grants themselves stay here."""
    monkeypatch.setattr(rows, "_MOST_KEYS", 1 if many_keys else 1000)
    sent: list[bytes] = []
    monkeypatch.setattr(
        "plaza_quality.spark.judge.pickle", SimpleNamespace(dumps=lambda work: noted(sent, work))
    )
    for part in range(3):
        quality.commit(table(part))
    other = quality.name.replace("/air", "/other")
    quality.commit([{"id": at, "x": 1.0, "n": at % 3, "s": "a"} for at in range(9)], name=other)
    theirs = quality.peer.granter(dataset=other, purpose="assess", columns=("n", "s"), row_filter="id < 2")
    token = quality.peer.granter(purpose="assess")
    around = Around(
        NOW,
        ZoneInfo("Asia/Shanghai"),
        code_lists={("codeLists/c", False): CodeList("codeLists/c/versions/1", ("1", "3"))},
        others={other: OtherVersion(f"{other}/versions/1", theirs, 9)},
    )
    checks = [*BETWEEN_HERE_AND_THERE, Refers(("n",), other, ("n",)), Refers(("s", "n"), other, ("s", "n"))]
    reading = (quality.world.lake, quality.world.grants)
    found = judged(*reading, token, checks, around, spark=spark)
    here = judged(*reading, token, checks, around)
    assert found.counted == here.counted
    assert all(found.found.failed[-2:])
    assert len(sent) == 4, "what is said of rows, what is placed beside others, and two references"
    assert not any(grant.encode() in work for work in sent for grant in (token, theirs))


@pytest.mark.integration
def test_only_who_opens_all_rows_is_judged(quality: Quality, spark: Spark) -> None:
    quality.commit(table(0))
    reading = (quality.world.lake, quality.world.grants)
    narrow = quality.peer.granter(purpose="assess", row_filter="x >= 0")
    with pytest.raises(RowFilterNotSupported):
        judged(*reading, narrow, [NotNull("s")], Around(NOW, ZoneInfo("UTC")), spark=spark)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::UserWarning:pyspark", "ignore::DeprecationWarning")
async def test_who_is_away_is_waited_for(new_quality: Callable[..., Quality]) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        nowhere = f"sc://127.0.0.1:{taken.getsockname()[1]}"
        quality = new_quality(spark=Spark(nowhere, from_rows=2))
        quality.rules({"id": "there", "notNull": {"field": "s"}})
        small = await quality.assessed(table(2)[:1])
        assert small.rows == 1, "small versions are judged here"
        version = quality.commit(table(2)).version
        await quality.deliver(quality.event(version))
        with pytest.raises(SparkUnavailable) as raised:
            await quality.work()
    assert isinstance(raised.value, Unavailable)
    assert "127.0.0.1" not in str(raised.value), "the address may hold a token"
    assert len(await quality.jobs()) == 2, "the job is there for another time"


@pytest.mark.integration
def test_files_that_the_workers_do_not_see(
    quality: Quality, spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality.commit(table(0))
    reading = (quality.world.lake, quality.world.grants)
    monkeypatch.setattr(type(reading[0].files), "address", lambda _, path: f"{path}.elsewhere")
    token = quality.peer.granter(purpose="assess")
    with pytest.raises(SparkFailed, match="elsewhere"):
        judged(*reading, token, [NotNull("s")], Around(NOW, ZoneInfo("UTC")), spark=spark)


def work_over(file: Path, address: str, of: int) -> Work:
    """Three row groups of 3, 1 and 4 rows, in slices; no row passes."""
    schema = pa.schema([("id", pa.int64())])
    with pq.ParquetWriter(file, schema) as writer:
        for first, end in ((0, 3), (3, 4), (4, 8)):
            writer.write_table(pa.table({"id": range(first, end)}, schema=schema))
    one = TableSchema((Column("id", FieldType.INTEGER),))
    check = InRange("id", None, -1)
    around = Around(NOW, ZoneInfo("UTC"))
    task = prepared(check, one, around, cast(Any, None))
    assert isinstance(task, ByRow)
    wanted = Wanted(Rows(tuple(Slice(3, address, first, of) for first in range(of)), one, None), (0,), ())
    asked = Asked(check, task.judgement, hashed=True)
    return Work(one, (asked,), (wanted,), Seeds.drawn(), NOW, around.zone, 2)


def failing(work: Work) -> list[tuple[int, int]]:
    """The rows that both partitions say, with their file."""
    places: list[tuple[int, int]] = []
    for share in range(work.partitions):
        numbers = iter([pa.RecordBatch.from_pydict({"id": pa.array([share])})])
        for batch in worker.judged(worker.release(), pickle.dumps(work), numbers):
            for said in batch.to_pylist():
                if bits := said["failed_bits"]:
                    rows_ = rows_in(np.frombuffer(bits, np.uint8), said["rows"]) + said["first"]
                    places += [(said["file"], row) for row in rows_.tolist()]
    return sorted(places)


ALL: list[tuple[int, int]] = [(3, row) for row in range(8)]


@pytest.mark.parametrize("of", [1, 2, 5])
def test_slices_are_all_rows_once(tmp_path: Path, of: int) -> None:
    file = tmp_path / "rows.parquet"
    assert failing(work_over(file, f"file://{file}", of)) == ALL


@pytest.mark.integration
def test_workers_open_s3_by_their_own_settings(
    s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = s3.user()
    bucket = s3.bucket(owner)
    work = work_over(tmp_path / "rows.parquet", f"s3://{bucket}/rows.parquet", 2)
    with owner.filesystem().open_output_stream(f"{bucket}/rows.parquet") as target:
        target.write((tmp_path / "rows.parquet").read_bytes())
    for name in ("endpoint", "region", "access_key", "secret_key", "ca_file"):
        monkeypatch.setenv(f"PLAZA_S3_{name.upper()}", getattr(owner, name))
    worker._s3.cache_clear()
    try:
        assert failing(work) == ALL
    finally:
        worker._s3.cache_clear()


def test_another_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(worker.OtherRelease, match=r"works for 0\.0\.0"):
        next(worker.judged("0.0.0", b"not even read", iter([])))


ordered = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda values: pa.array(values, pa.int64())),
    st.lists(st.floats(allow_nan=True)).map(lambda values: pa.array(values, pa.float64())),
    st.lists(st.text()).map(lambda values: pa.array(values, pa.string())),
    st.lists(st.datetimes()).map(lambda values: pa.array(values, pa.timestamp("us", tz="UTC"))),
)


@given(ordered)
def test_what_is_compared_there_is_in_the_same_order(values: pa.Array) -> None:
    [(name, found)] = worker._comparable("rank", pa.chunked_array([values])).items()

    def total(value: Any) -> Any:
        if isinstance(value, float):
            return (value != value, 0.0 if value != value else value)
        return value.encode() if isinstance(value, str) else value

    plain = [total(value) for value in values.to_pylist()]
    sent = [each.encode() if isinstance(each, str) else each for each in found.tolist()]
    assert name == ("rank_text" if pa.types.is_string(values.type) else "rank")
    assert [a < b for a in plain for b in plain] == [a < b for a in sent for b in sent]
    assert [a == b for a in plain for b in plain] == [a == b for a in sent for b in sent]
