"""The read path: what a grant opens, and what stays shut."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza_kit.errors import PlazaError
from plaza_kit.grants import GrantRefused, GrantVerifier
from plaza_kit.signing import KeyRing, SigningKey
from plaza_lake import engine, formats
from plaza_lake.access import ColumnNotGranted, MasksNotSupported
from plaza_lake.engine import MergeOnRead
from plaza_lake.filter_text import parse_filter
from plaza_lake.hashing import ContentHasher, content_hash
from plaza_lake.ir import (
    ColumnRef,
    Compare,
    Count,
    CountDistinct,
    CountWhere,
    IsNull,
    Literal,
    Max,
    Min,
    Not,
    Op,
    UnknownField,
)
from plaza_lake.read import InvalidQuery, RowQuery, aggregate, read_rows
from plaza_lake.schema import QUARANTINE_SCHEMA, Column, FieldType, TableSchema
from plaza_lake.tables import Lake, table_schema
from plaza_lake.versions import TableNotFound, VersionNotFound
from plaza_lake.write import commit_batch
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table.snapshots import Snapshot

pytestmark = pytest.mark.integration


@pytest.fixture
def filled(lake: Lake, dataset: str, stage: Any, air: Any) -> Lake:
    """Version 1: stations b and a; version 2: c as well."""
    files = [stage([air.row("b", 2, 40.0), air.row("b", 1, None)]), stage([air.row("a", 1, 35.0, "NE")])]
    commit_batch(lake, dataset, air.schema, "b-1", files)
    commit_batch(lake, dataset, air.schema, "b-2", [stage([air.row("c", 1, math.nan, None)])])
    return lake


def read(lake: Lake, grant: Any, token: str | None = None, **query: Any) -> list[dict[str, Any]]:
    with read_rows(lake, grant.verifier, grant() if token is None else token, RowQuery(**query)) as stream:
        return [row for batch in stream.batches for row in batch.to_pylist()]


def keys(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(row["station"], row["hour"]) for row in rows]


def test_all_rows_come_by_key_with_exact_values(filled: Lake, grant: Any, air: Any) -> None:
    rows = read(filled, grant)
    assert keys(rows) == [("a", 1), ("b", 1), ("b", 2), ("c", 1)]
    assert rows[:3] == [air.row("a", 1, 35.0, "NE"), air.row("b", 1, None), air.row("b", 2, 40.0)]
    assert math.isnan(rows[3]["pm2_5"])


def test_a_stream_says_what_it_is(filled: Lake, grant: Any, air: Any) -> None:
    with read_rows(filled, grant.verifier, grant(), RowQuery(columns=("wd", "hour"))) as stream:
        assert stream.version == 2
        assert stream.schema.names == ("wd", "hour")
        assert stream.order == (("station", False), ("hour", False))
        assert [batch.schema.names for batch in stream.batches] == [["wd", "hour"]]


def test_as_of_a_version(filled: Lake, grant: Any) -> None:
    assert keys(read(filled, grant, grant(version=1))) == [("a", 1), ("b", 1), ("b", 2)]
    assert len(read(filled, grant, grant(version=2))) == 4
    with pytest.raises(VersionNotFound):
        read(filled, grant, grant(version=3))


def test_filter_order_limit(filled: Lake, grant: Any, air: Any) -> None:
    where = parse_filter("NOT pm2_5 > 35", air.schema)
    assert keys(read(filled, grant, filter=where)) == [("a", 1)]  # absent is neither, NaN is greater
    ordered = read(filled, grant, order_by=(("pm2_5", True),))
    assert keys(ordered) == [("c", 1), ("b", 2), ("a", 1), ("b", 1)]  # absent last in both directions
    assert keys(read(filled, grant, order_by=(("pm2_5", False),)))[-1] == ("b", 1)
    assert keys(read(filled, grant, limit=2)) == [("a", 1), ("b", 1)]


def test_pages_by_position_give_every_row_once(filled: Lake, grant: Any) -> None:
    order = (("pm2_5", True),)
    position: tuple[Any, ...] | None = None
    seen = []
    while page := read(filled, grant, order_by=order, limit=1, after=position):
        seen += page
        position = (page[-1]["pm2_5"], page[-1]["station"], page[-1]["hour"])
    assert keys(seen) == keys(read(filled, grant, order_by=order))


def test_nothing_is_read_without_a_grant_that_holds(filled: Lake, grant: Any) -> None:
    token = grant()
    stranger = SigningKey.generate("plaza.example/grants")
    good = grant.key
    grant.key = stranger
    forged = grant()
    grant.key = good
    for bad in ("", "x.y.z", token[:-4] + "AAAA", forged, grant(audience="quality")):
        with pytest.raises(GrantRefused):
            read(filled, grant, bad)
    grant.now += timedelta(seconds=61)
    with pytest.raises(GrantRefused):
        read(filled, grant, token)


def test_granted_columns_bind_selection_filter_order_and_aggregates(filled: Lake, grant: Any) -> None:
    token = grant(columns=("station", "hour", "wd"))
    assert list(read(filled, grant, token)[0]) == ["station", "hour", "wd"]
    secret = Compare(Op.GT, ColumnRef("pm2_5"), Literal(35.0))
    for query in (
        {"columns": ("pm2_5",)},
        {"filter": secret},
        {"filter": Not(Not(secret))},
        {"order_by": (("pm2_5", False),)},
    ):
        with pytest.raises(ColumnNotGranted):
            read(filled, grant, token, **query)
    for node in (Max(ColumnRef("pm2_5")), CountWhere(secret), CountDistinct((ColumnRef("pm2_5"),))):
        with pytest.raises(ColumnNotGranted):
            aggregate(filled, grant.verifier, token, {"x": node})
    with pytest.raises(ColumnNotGranted):
        aggregate(filled, grant.verifier, token, {"n": Count()}, filter=secret)
    with pytest.raises(ColumnNotGranted):  # whether it exists is not told
        read(filled, grant, token, columns=("no_such",))
    with pytest.raises(UnknownField):
        read(filled, grant, columns=("no_such",))
    with pytest.raises(ColumnNotGranted):
        read(filled, grant, grant(columns=("no_such",)))


def test_the_row_filter_always_holds_and_may_use_hidden_columns(filled: Lake, grant: Any) -> None:
    token = grant(columns=("station", "hour"), row_filter='pm2_5 > 35 AND NOT station = "c"')
    assert keys(read(filled, grant, token)) == [("b", 2)]
    wide_open = Not(IsNull(ColumnRef("station")))
    assert keys(read(filled, grant, token, filter=wide_open)) == [("b", 2)]
    assert aggregate(filled, grant.verifier, token, {"n": Count()}).values == {"n": 1}
    assert content_hash(filled, grant.verifier, token).rows == 1


@pytest.mark.parametrize("row_filter", ["no_such = 1", "station = ", "hour = x", "station = a OR"])
def test_a_row_filter_that_cannot_be_applied_shuts_the_door(
    row_filter: str, filled: Lake, grant: Any
) -> None:
    with pytest.raises(GrantRefused):
        read(filled, grant, grant(row_filter=row_filter))


def test_masks_are_refused_until_they_exist(filled: Lake, grant: Any) -> None:
    with pytest.raises(MasksNotSupported):
        read(filled, grant, grant(masks=(("wd", "hash"),)))


def test_a_stream_ends_with_its_grant_unless_renewed(
    filled: Lake, grant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH_ROWS", 1)
    verifier = GrantVerifier(KeyRing([grant.key.verifying_key]), "sharing", clock=lambda: grant.now)

    with read_rows(filled, verifier, grant(), RowQuery()) as stream:
        next(stream.batches)
        grant.now += timedelta(seconds=60)
        with pytest.raises(GrantRefused):
            next(stream.batches)

    with read_rows(filled, verifier, grant(), RowQuery()) as stream:
        next(stream.batches)
        grant.now += timedelta(seconds=59)
        with pytest.raises(GrantRefused, match="same"):
            stream.renew(grant(columns=("station",)))
        with pytest.raises(GrantRefused):
            stream.renew("")
        stream.renew(grant())
        grant.now += timedelta(seconds=59)
        assert sum(batch.num_rows for batch in stream.batches) == 3


def test_queries_that_do_not_go_together(filled: Lake, grant: Any) -> None:
    bad: list[dict[str, Any]] = [
        {"limit": 0},
        {"limit": -1},
        {"columns": ()},
        {"columns": ("wd", "wd")},
        {"after": ("a",)},
        {"after": ("a", "b")},
        {"after": (1, 1)},
        {"order_by": (("wd", True), ("wd", False))},
    ]
    for query in bad:
        with pytest.raises(PlazaError) as caught:
            read(filled, grant, **query)
        assert caught.value.http_status == 400
    with pytest.raises(InvalidQuery, match="key"):  # half a key does not make a position
        read(filled, grant, grant(columns=("station", "wd")), after=("a",))
    with pytest.raises(InvalidQuery):
        aggregate(filled, grant.verifier, grant(), {})


def test_aggregates_in_one_scan(filled: Lake, grant: Any, air: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    real = engine.connection
    monkeypatch.setattr(engine, "connection", lambda *args, **kept: opened.append(1) or real(*args, **kept))
    found = aggregate(
        filled,
        grant.verifier,
        grant(),
        {
            "rows": Count(),
            "high": CountWhere(Compare(Op.GT, ColumnRef("pm2_5"), Literal(35))),
            "stations": CountDistinct((ColumnRef("station"),)),
            "winds": CountDistinct((ColumnRef("wd"), ColumnRef("hour"))),
            "first": Min(ColumnRef("time")),
            "last": Max(ColumnRef("station")),
        },
    )
    assert found.version == 2
    assert found.values == {
        "rows": 4,
        "high": 2,
        "stations": 3,
        "winds": 4,
        "first": air.row("a", 1)["time"],
        "last": "c",
    }
    assert len(opened) == 1


def test_columns_in_memory_stand_behind_the_same_door(
    filled: Lake, grant: Any, air: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"limit": 10, "order_by": (("pm2_5", True),)}
    by_engine = keys(read(filled, grant, **asked))
    assert filled.columns.nbytes == 0
    assert keys(read(filled, grant, **asked)) == by_engine
    assert filled.columns.nbytes > 0
    monkeypatch.setattr(engine, "connection", None)  # nothing is read from files any more
    assert keys(read(filled, grant, **asked)) == by_engine
    narrow = grant(columns=("station", "hour"), row_filter="pm2_5 > 35")
    assert read(filled, grant, narrow, limit=10) == [
        {"station": "b", "hour": 2},
        {"station": "c", "hour": 1},
    ]
    with pytest.raises(ColumnNotGranted):
        read(filled, grant, narrow, **asked)
    with pytest.raises(VersionNotFound):
        read(filled, grant, grant(version=3), limit=10)
    with pytest.raises(MasksNotSupported):
        read(filled, grant, grant(masks=(("wd", "hash"),)), limit=10)
    token = grant()
    with read_rows(filled, grant.verifier, token, RowQuery(limit=10)) as stream:
        grant.now += timedelta(seconds=61)
        with pytest.raises(GrantRefused):
            next(stream.batches)
    with pytest.raises(GrantRefused):
        read(filled, grant, token, limit=10)


def test_columns_in_memory_of_files_older_than_a_column(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    wider = TableSchema((Column("note", FieldType.STRING), *air.schema.columns), air.schema.key)
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1), air.row("c", 1)])])
    commit_batch(lake, dataset, wider, "b-2", [stage([{"note": "n", **air.row("b", 1)}], wider)])
    whole = read(lake, grant)
    for _ in range(3):
        assert read(lake, grant, limit=10) == whole
        assert read(lake, grant, limit=10, filter=IsNull(ColumnRef("note"))) == [whole[0], whole[2]]
    assert lake.columns.nbytes > 0


def test_quarantine_is_read_through_the_same_door(lake: Lake, dataset: str, stage: Any, grant: Any) -> None:
    row = dict.fromkeys(QUARANTINE_SCHEMA.names, "x") | {"line": 7, "field": None, "original": b"\xff,\x00"}
    commit_batch(
        lake, dataset, QUARANTINE_SCHEMA, "b-1", [stage([row], QUARANTINE_SCHEMA)], table="quarantine"
    )
    assert read(lake, grant, grant(table="quarantine")) == [row]
    with pytest.raises(TableNotFound):
        read(lake, grant, grant())


def test_older_versions_keep_their_columns(
    lake: Lake, dataset: str, stage: Any, air: Any, grant: Any
) -> None:
    wider = TableSchema((Column("note", FieldType.STRING), *air.schema.columns), air.schema.key)
    commit_batch(lake, dataset, air.schema, "b-1", [stage([air.row("a", 1)])])
    commit_batch(lake, dataset, wider, "b-2", [stage([{"note": "n", **air.row("b", 1)}], wider)])
    assert [row["note"] for row in read(lake, grant)] == [None, "n"]
    assert list(read(lake, grant)[0]) == list(wider.names)
    assert list(read(lake, grant, grant(version=1))[0]) == list(air.schema.names)
    assert table_schema(lake.load(dataset)) == wider


def test_delete_files_of_other_engines_are_refused(
    filled: Lake, grant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Snapshot.manifests

    def with_deletes(self: Snapshot, io: Any) -> list[ManifestFile]:
        deletes = ManifestFile.from_args(manifest_path="x", content=ManifestContent.DELETES)
        return [*real(self, io), deletes]

    monkeypatch.setattr(Snapshot, "manifests", with_deletes)
    with pytest.raises(MergeOnRead):
        read(filled, grant)


def test_a_query_can_open_nothing_but_its_files(filled: Lake, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("secret\n1\n")
    with engine.connection(filled, []) as connection:
        for statement in (
            f"SELECT * FROM read_csv('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/x.duckdb'",
            "SET enable_external_access = true",
            "SET memory_limit = '10GB'",
            "INSTALL httpfs",
            "SELECT * FROM 'https://example.org/x.parquet'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


def test_a_big_sort_spills_where_only_this_user_reads(filled: Lake) -> None:
    spill = Path(filled.spill_directory())
    assert spill.stat().st_mode & 0o077 == 0
    filled.close()
    assert not spill.exists()


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "station": st.sampled_from(["a", "b", "东城", ""]),
            "hour": st.integers(0, 3),
            "pm2_5": st.none() | st.floats(),
            "wd": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
            "time": st.none(),
        }
    ),
    min_size=1,
    max_size=12,
)
_numbers = count()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_the_content_hash_knows_neither_files_nor_order(
    rows: list[dict[str, Any]],
    data: st.DataObject,
    new_lake: Callable[[], Lake],
    lake: Lake,
    dataset: str,
    stage: Any,
    air: Any,
    grant: Any,
) -> None:
    """Even where keys repeat and only the sign of zero or the payload of a NaN differ in bytes."""
    hashes = set()
    for _ in range(2):
        shuffled = data.draw(st.permutations(rows))
        cut = data.draw(st.integers(0, len(rows)))
        grant.dataset = f"{dataset}-{next(_numbers)}"
        parts = [part for part in (shuffled[:cut], shuffled[cut:]) if part]
        for number, part in enumerate(parts):
            commit_batch(lake, grant.dataset, air.schema, f"b-{number}", [stage(part)])
        hashes.add(content_hash(lake, grant.verifier, grant()))
    [found] = hashes
    assert found.rows == len(rows)
    changed = [*rows[:-1], {**rows[-1], "hour": 4}]
    grant.dataset = f"{dataset}-{next(_numbers)}"
    commit_batch(lake, grant.dataset, air.schema, "b", [stage(changed)])
    assert content_hash(lake, grant.verifier, grant()).sha256 != found.sha256


def test_a_delivery_can_hash_while_it_streams(filled: Lake, grant: Any, air: Any) -> None:
    query = RowQuery(columns=("wd", "station"), canonical=True)
    with read_rows(filled, grant.verifier, grant(), query) as stream:
        hasher = ContentHasher(stream.schema)
        for batch in stream.batches:
            hasher.update(batch)
    assert hasher.result() == content_hash(filled, grant.verifier, grant(), columns=("wd", "station"))


def test_a_stream_becomes_text(filled: Lake, grant: Any) -> None:
    with read_rows(filled, grant.verifier, grant(version=1), RowQuery(limit=2)) as stream:
        assert b"".join(formats.csv(stream)).decode().split("\r\n") == [
            "station,hour,pm2_5,wd,time",
            "a,1,35,NE,2013-03-01T01:00:00Z",
            "b,1,,N,2013-03-01T01:00:00Z",
            "",
        ]
