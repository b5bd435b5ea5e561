"""Rows of a real PostgreSQL: how values are written, which rows are new, and that none is passed over."""

from __future__ import annotations

import csv
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2, runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2
from plaza_ingestion.domain.pulled_times import TimesAmbiguous
from plaza_ingestion.domain.sources import pulled_contract
from plaza_ingestion.worker import pull_postgres
from plaza_ingestion.worker.convert import parse
from plaza_ingestion.worker.pull_network import ForbiddenAddress
from plaza_ingestion.worker.pull_secrets import CredentialMissing, Secrets
from plaza_ingestion.worker.pulled_file import PullCancelled, Pulled, PulledFile, SourceTooLarge
from plaza_testing.postgres import Postgres

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
UPSERT, APPEND, REPLACE = pb.LOAD_MODE_UPSERT, pb.LOAD_MODE_APPEND, pb.LOAD_MODE_REPLACE


class Door:
    """The test server on a TCP port of loopback: it may listen on a Unix socket only."""

    def __init__(self, host: str, port: str) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                outer = self._connect()
                self.open += [inner, outer]
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._target
        if not host.startswith("/"):
            return socket.create_connection((host, int(port or 5432)))
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{host}/.s.PGSQL.{port or 5432}")
        return made

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for each in self.open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listener.close()
        for each in self.open:
            each.close()


@dataclass
class Registry:
    """A department's database with a table `visits`."""

    url: str
    door: Door
    folder: Path

    def do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement, values or None)
            return done.fetchall() if done.description else []

    def connector(self, **fields: Any) -> sources_pb2.PostgresConnector:
        info = psycopg.conninfo.conninfo_to_dict(self.url)
        known: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.door.port,
            "database": str(info["dbname"]),
            "user": str(info["user"]),
            "tls": sources_pb2.TLS_MODE_DISABLE,
        }
        if "password" in info:
            (self.folder / "db").write_text(f"{info['password']}\n")
            known["credential"] = "db"
        if "query" not in fields:
            known["table"] = sources_pb2.PostgresTable(schema="registry", table="visits")
        return sources_pb2.PostgresConnector(**(known | fields))

    def fetch(
        self,
        connector: sources_pb2.PostgresConnector,
        cursor: sources_pb2.PullCursor | None = None,
        mode: pb.LoadMode.ValueType = UPSERT,
        limit: int = 1 << 30,
        cancelled: Any = lambda: False,
    ) -> tuple[Pulled, bytes]:
        path = self.folder / "out" / "pulled"
        with PulledFile(path, limit, progress=lambda _: None, cancelled=cancelled) as file:
            pulled = pull_postgres.fetch(
                connector,
                cursor or sources_pb2.PullCursor(),
                mode,
                Secrets(self.folder),
                file,
                cancelled=cancelled,
            )
        return pulled, path.read_bytes()


@pytest.fixture
def registry(postgres: Postgres, tmp_path: Path) -> Iterator[Registry]:
    url = postgres.role("registry")
    info = psycopg.conninfo.conninfo_to_dict(url)
    door = Door(str(info.get("host", "")), str(info.get("port", "")))
    yield Registry(url, door, tmp_path)
    door.close()


VISITS = "CREATE TABLE visits (id int PRIMARY KEY, note text, changed timestamptz)"
WATERMARK = {"watermark_column": "changed", "key_order": ["id"]}


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_every_value_is_written_as_the_contract_reads_it(registry: Registry) -> None:
    registry.do(
        "CREATE TABLE visits (flag boolean, at timestamptz, day date, amount numeric, big bigint, part double"
        " precision, words text, raw bytea)"
    )
    registry.do(
        "INSERT INTO visits VALUES (true, '2024-05-01 08:00:00.123456+08', '2024-02-29', 1234.50,"
        " 9223372036854775807, 0.1, E'a \"b\",\\nc', '\\xff')"
    )
    registry.do("INSERT INTO visits (flag, words) VALUES (false, '空气')")
    pulled, data = registry.fetch(registry.connector())
    first, second = rows(data)
    second, first = sorted((first, second), key=lambda row: row["flag"] == "true")
    assert (pulled.file_name, pulled.size_bytes) == ("visits.csv", len(data))
    assert parse(first["flag"], "boolean") is True
    assert parse(second["flag"], "boolean") is False
    assert str(parse(first["at"], "timestamp")) == "2024-05-01 00:00:00.123456+00:00"
    assert str(parse(first["day"], "date")) == "2024-02-29"
    assert parse(first["amount"], "number") == 1234.5
    assert parse(first["big"], "integer") == 9223372036854775807
    assert parse(first["part"], "number") == 0.1
    assert first["words"] == 'a "b",\nc'
    assert (second["words"], second["at"]) == ("空气", "")


def test_the_same_rows_give_the_same_bytes(registry: Registry) -> None:
    registry.do(VISITS)
    registry.do(
        "INSERT INTO visits SELECT n, 'n' || n, NULL FROM generate_series(1, 500) n ORDER BY random()"
    )
    first, data = registry.fetch(registry.connector(), mode=REPLACE)
    registry.do("UPDATE visits SET note = note WHERE id % 3 = 0")
    registry.do("CLUSTER visits USING visits_pkey")
    assert registry.fetch(registry.connector(), mode=REPLACE) == (first, data)
    ordered = registry.fetch(registry.connector(key_order=["id"]), mode=REPLACE)[1]
    assert [int(row["id"]) for row in rows(ordered)] == list(range(1, 501))
    registry.do("UPDATE visits SET note = 'x' WHERE id = 1")
    assert registry.fetch(registry.connector(), mode=REPLACE)[0].sha256 != first.sha256


def test_a_file_of_one_column_loses_no_empty_value(registry: Registry) -> None:
    registry.do("CREATE TABLE visits (note text)")
    registry.do("INSERT INTO visits VALUES ('a'), (NULL), ('')")
    assert registry.fetch(registry.connector())[1] == b'note\n""\na\n""\n'


def test_a_query_collects_the_least(registry: Registry) -> None:
    registry.do(VISITS)
    registry.do("INSERT INTO visits VALUES (1, 'secret', now())")
    query = "SELECT id, id % 2 = 1 AS odd FROM registry.visits -- all of them;"
    _, data = registry.fetch(registry.connector(query=query))
    assert data == b"id,odd\n1,true\n"
    assert (
        registry.fetch(registry.connector(query="WITH v AS (SELECT 1 AS a) SELECT * FROM v;"))[1] == b"a\n1\n"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT 1) AS a; DELETE FROM registry.visits; SELECT (1", "multiple commands"),
        ("SELECT 1 AS a; COMMIT", "syntax error"),
        ("WITH gone AS (DELETE FROM registry.visits RETURNING id) SELECT * FROM gone", "WITH"),
        ("SELECT registry.wipe() AS a", "read-only"),
        ("SELECT nothing FROM registry.visits", "nothing"),
        ("SELECT 1 AS a, 2 AS a", "two columns"),
    ],
)
def test_a_query_reads_and_does_nothing_else(registry: Registry, query: str, words: str) -> None:
    registry.do(VISITS)
    registry.do("INSERT INTO visits VALUES (1, 'stays', now())")
    registry.do(
        "CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM registry.visits; RETURN 1; END $$"
    )
    with pytest.raises((pull_postgres.DatabaseRefuses, pull_postgres.RowsUnusable), match=words):
        registry.fetch(registry.connector(query=query))
    assert registry.do("SELECT count(*) FROM visits") == [(1,)]


def test_only_what_is_new(registry: Registry) -> None:
    registry.do(VISITS)
    connector = registry.connector(**WATERMARK)
    nothing, _ = registry.fetch(connector)
    assert (nothing.not_modified, nothing.cursor.watermark) == (True, "")
    registry.do("INSERT INTO visits VALUES (1, 'a', '2024-01-01T00:00Z'), (2, 'b', '2024-01-02T00:00Z')")
    first, data = registry.fetch(connector)
    assert [row["id"] for row in rows(data)] == ["1", "2"]
    assert first.cursor.watermark == "2024-01-02 00:00:00+00"
    assert registry.fetch(connector, first.cursor)[0].not_modified
    registry.do("INSERT INTO visits VALUES (3, 'c', '2024-01-03T00:00Z')")
    registry.do("UPDATE visits SET note = 'A', changed = '2024-01-04T00:00Z' WHERE id = 1")
    second, data = registry.fetch(connector, first.cursor)
    assert [(row["id"], row["note"]) for row in rows(data)] == [("3", "c"), ("1", "A")]
    assert registry.fetch(connector, second.cursor)[0].not_modified
    # The newest rows were taken away: what went in does not come again.
    registry.do("DELETE FROM visits WHERE id IN (1, 3)")
    third, _ = registry.fetch(connector, second.cursor)
    assert (third.not_modified, third.cursor.watermark) == (True, second.cursor.watermark)


def test_the_hash_of_the_next_pull_is_known(registry: Registry) -> None:
    registry.do(VISITS)
    connector = registry.connector(**WATERMARK, lateness=Duration(seconds=86400 * 2))
    registry.do(
        "INSERT INTO visits SELECT n, 'v', timestamptz '2024-01-01T00:00Z' + n * interval '1 day'"
        " FROM generate_series(1, 9) n"
    )
    first, data = registry.fetch(connector)
    assert len(rows(data)) == 9
    second, data = registry.fetch(connector, first.cursor)
    assert [row["id"] for row in rows(data)] == ["8", "9"]
    assert second.sha256 == first.cursor.sha256 == second.cursor.sha256
    registry.do("INSERT INTO visits VALUES (10, 'late', '2024-01-09T12:00Z')")
    third, _ = registry.fetch(connector, second.cursor)
    assert third.sha256 != second.cursor.sha256


def test_a_row_committed_late_is_found(registry: Registry) -> None:
    registry.do(VISITS)
    connector = registry.connector(**WATERMARK, lateness=Duration(seconds=3600))
    with psycopg.connect(registry.url) as slow:
        slow.execute("INSERT INTO visits VALUES (1, 'slow', now())")
        registry.do("INSERT INTO visits VALUES (2, 'quick', now())")
        first, data = registry.fetch(connector)
        assert [row["id"] for row in rows(data)] == ["2"]
    second, data = registry.fetch(connector, first.cursor)
    assert sorted(row["id"] for row in rows(data)) == ["1", "2"]
    assert second.sha256 != first.cursor.sha256


def test_rows_that_have_no_place_in_the_order(registry: Registry) -> None:
    registry.do(VISITS)
    registry.do(
        "INSERT INTO visits VALUES (1, 'a', '2024-01-01T00:00Z'), (2, 'none', NULL), (3, 'far', '9999-01-01Z')"
    )
    connector = registry.connector(**WATERMARK)
    first, data = registry.fetch(connector)
    assert [row["id"] for row in rows(data)] == ["1", "2"]
    assert [warning.rpartition(": ")[2] for warning in first.warnings] == ["1."]
    assert "a day ahead" in first.warnings[0]
    registry.do("INSERT INTO visits VALUES (4, 'b', '2024-01-02T00:00Z')")
    assert [row["id"] for row in rows(registry.fetch(connector, first.cursor)[1])] == ["4", "2"]
    appended, data = registry.fetch(connector, mode=APPEND)
    assert [row["id"] for row in rows(data)] == ["1", "4"]
    assert "left out: 1" in appended.warnings[0]


@pytest.mark.parametrize(
    ("kind", "values"), [("bigint", (1, 2, 10)), ("date", ("2024-01-01", "2024-01-02", "2024-02-01"))]
)
def test_other_watermarks(registry: Registry, kind: str, values: tuple[Any, ...]) -> None:
    registry.do(f"CREATE TABLE visits (id int, changed {kind})")
    for number, value in enumerate(values[:2]):
        registry.do("INSERT INTO visits VALUES (%s, %s)", number, value)
    first, data = registry.fetch(registry.connector(watermark_column="changed"))
    assert len(rows(data)) == 2
    registry.do("INSERT INTO visits VALUES (3, %s)", values[2])
    assert [
        row["id"]
        for row in rows(registry.fetch(registry.connector(watermark_column="changed"), first.cursor)[1])
    ] == ["3"]


def test_watermarks_that_say_nothing(registry: Registry) -> None:
    registry.do("CREATE TABLE visits (id int, note text, n numeric)")
    registry.do("INSERT INTO visits VALUES (1, 'a', 'NaN')")
    for fields, words in (
        ({"watermark_column": "note"}, "told old from new"),
        ({"watermark_column": "n"}, "NaN"),
        ({"watermark_column": "id", "lateness": Duration(seconds=1)}, "no lateness"),
    ):
        with pytest.raises(pull_postgres.WatermarkUnusable, match=words):
            registry.fetch(registry.connector(**fields))
    with pytest.raises(pull_postgres.RowsUnusable, match="no column"):
        registry.fetch(registry.connector(watermark_column="missing"))


def test_what_goes_wrong_has_a_word(registry: Registry) -> None:
    registry.do(VISITS)
    registry.do("INSERT INTO visits SELECT n, repeat('x', 100), now() FROM generate_series(1, 1000) n")
    with pytest.raises(SourceTooLarge):
        registry.fetch(registry.connector(), limit=1000)
    with pytest.raises(pull_postgres.DatabaseAway):
        registry.fetch(registry.connector(database="nowhere"))
    with pytest.raises(pull_postgres.DatabaseRefuses, match="does not exist"):
        registry.fetch(registry.connector(table=sources_pb2.PostgresTable(table="nothing")))
    with pytest.raises(CredentialMissing):
        registry.fetch(registry.connector(credential="nobody"))
    with pytest.raises(ForbiddenAddress):
        registry.fetch(registry.connector(host="169.254.169.254"))
    with pytest.raises(pull_postgres.DatabaseAway):  # it does not speak TLS
        registry.fetch(registry.connector(tls=sources_pb2.TLS_MODE_REQUIRE))


def test_a_pull_nobody_waits_for_ends_at_the_source(registry: Registry) -> None:
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(0)
        return len(asked) > 1

    with pytest.raises(PullCancelled):
        registry.fetch(registry.connector(query="SELECT pg_sleep(60)::text AS a"), cancelled=cancelled)


def test_a_connection_that_is_cut(registry: Registry) -> None:
    def cut() -> bool:
        registry.door.cut()
        return False

    with pytest.raises(pull_postgres.DatabaseAway):
        registry.fetch(registry.connector(query="SELECT pg_sleep(60)::text AS a"), cancelled=cut)


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_in_between_the_table_is_the_source(registry: Registry, data: st.DataObject) -> None:
    """Inserts, changes, rows that become visible late (within the lateness), rows without a time, and pulls in any
    order; then one more pull: the table has every row of the source, as it is there."""
    lateness = 10
    registry.do("DROP TABLE IF EXISTS visits")
    registry.do(VISITS)
    connector = registry.connector(**WATERMARK, lateness=Duration(seconds=lateness))
    table: dict[str, str] = {}
    cursor, seen, clock = sources_pb2.PullCursor(), "", 100
    with psycopg.connect(registry.url, autocommit=True) as source:

        def put(key: int, at: int | None) -> None:
            time = None if at is None else f"2024-01-01 00:{at // 60:02}:{at % 60:02}+00"
            source.execute(
                "INSERT INTO visits VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE"
                " SET note = excluded.note, changed = excluded.changed",
                [key, f"{key} at {clock} as {data.draw(st.integers(0, 3))}", time],
            )

        def pull() -> None:
            nonlocal cursor, seen
            pulled, body = registry.fetch(connector, cursor)
            if not pulled.not_modified and pulled.sha256 != seen:
                table.update((row["id"], row["note"]) for row in rows(body))
            seen, cursor = pulled.cursor.sha256 or seen, pulled.cursor

        for _ in range(data.draw(st.integers(1, 12))):
            clock += data.draw(st.integers(0, 4))
            match data.draw(st.sampled_from(["now", "late", "no time", "pull"])):
                case "now":
                    put(data.draw(st.integers(0, 5)), clock)
                case "late":
                    # The clock of the source never runs behind its newest row, so this is within the lateness.
                    put(data.draw(st.integers(0, 5)), clock - data.draw(st.integers(0, lateness - 1)))
                case "no time":
                    put(data.draw(st.integers(0, 5)), None)
                case "pull":
                    pull()
        pull()
        wanted = {str(key): note for key, note in source.execute("SELECT id, note FROM visits").fetchall()}
    assert table == wanted


@pytest.fixture
def visits_contract(ingestion: Ingestion) -> None:
    kinds = {
        "id": contract_pb2.FIELD_TYPE_INTEGER,
        "note": contract_pb2.FIELD_TYPE_STRING,
        "changed": contract_pb2.FIELD_TYPE_TIMESTAMP,
    }
    contract = contract_pb2.Contract(
        fields=[contract_pb2.Field(name=name, type=kind) for name, kind in kinds.items()],
        key=["id"],
        # As its files were written before; rows of a database are not.
        format=contract_pb2.FileFormat(type="csv", encoding="gb18030", delimiter=";"),
    )
    day_first = contract_pb2.ParseTime(field="changed", formats=["%d/%m/%Y %H:%M"], zone="Asia/Shanghai")
    contract.steps.add(parse_time=day_first)
    ingestion.peer.force = type(ingestion.peer.force)(contract, 1)


@pytest.mark.usefixtures("visits_contract")
async def test_a_table_that_grows(ingestion: Ingestion, registry: Registry) -> None:
    registry.do(VISITS)
    registry.do("INSERT INTO visits VALUES (1, '空气', '2024-01-01T00:00Z'), (2, 'b', '2024-01-02T00:00Z')")
    connector = registry.connector(**WATERMARK, lateness=Duration(seconds=86400))
    (ingestion.root / "secrets").mkdir()
    for secret in registry.folder.glob("db"):
        (ingestion.root / "secrets" / "db").write_bytes(secret.read_bytes())
    await ingestion.source(postgres=connector, mode=UPSERT)
    first = await ingestion.pulled()
    assert (first.state, first.version, first.error.message) == (runs_pb2.RUN_STATE_SUCCEEDED, 1, "")
    assert sorted((row["id"], row["note"]) for row in ingestion.rows()) == [(1, "空气"), (2, "b")]
    assert (await ingestion.pulled()).unchanged
    registry.do("INSERT INTO visits VALUES (3, 'late', '2024-01-01T12:00Z')")
    registry.do("UPDATE visits SET note = 'B', changed = '2024-01-03T00:00Z' WHERE id = 2")
    assert (await ingestion.pulled()).version == 2
    assert sorted((row["id"], row["note"]) for row in ingestion.rows()) == [
        (1, "空气"),
        (2, "B"),
        (3, "late"),
    ]
    assert (await ingestion.pulled()).unchanged
    assert (await ingestion.shown()).cursor.watermark == "2024-01-03 00:00:00+00"
    assert {row["id"]: f"{row['changed']:%d %H:%M}" for row in ingestion.rows()}[3] == "01 12:00"
    # The contract's own files are read as before.
    filed = "id;note;changed\n4;d;02/01/2024 08:00\n".encode("gb18030")
    await ingestion.whole(filed)
    assert {row["id"]: f"{row['changed']:%d %H:%M}" for row in ingestion.rows()}[4] == "02 00:00"


@pytest.mark.usefixtures("visits_contract")
async def test_a_row_read_again_within_the_lateness_is_held_once(
    ingestion: Ingestion, registry: Registry
) -> None:
    registry.do(VISITS)
    registry.do("INSERT INTO visits VALUES (1, 'a', '2024-01-01T00:00Z'), (2, 'b', '2024-01-02T00:00Z')")
    ingestion.peer.force.contract.fields[1].type = contract_pb2.FIELD_TYPE_INTEGER
    (ingestion.root / "secrets").mkdir()
    connector = registry.connector(**WATERMARK, lateness=Duration(seconds=86400))
    for secret in registry.folder.glob("db"):
        (ingestion.root / "secrets" / "db").write_bytes(secret.read_bytes())
    await ingestion.source(postgres=connector, mode=UPSERT)
    await ingestion.pulled()
    registry.do("INSERT INTO visits VALUES (3, '3', '2024-01-02T12:00Z')")
    run = await ingestion.pulled()
    assert (run.version, run.progress.rows_refused, run.rows_held_already) == (1, 1, 1)
    # Its repair comes back with the time as the database wrote it.
    (row,) = [row for row in ingestion.rows("quarantine") if row["original"].startswith(b"2,")]
    repair = f"plaza_row,id,note,changed\n{row['id']},2,22,2024-01-02 00:00:00+00\n"
    assert (await ingestion.replayed(repair.encode())).version == 2
    registry.do("INSERT INTO visits VALUES (4, '4', '2024-01-02T13:00Z')")
    run = await ingestion.pulled()
    assert (run.version, run.rows_held_already) == (3, 1)
    assert {row["id"]: row["note"] for row in ingestion.rows()} == {2: 22, 3: 3, 4: 4}
    assert len(ingestion.rows("quarantine")) == 2


@pytest.mark.usefixtures("visits_contract")
async def test_a_format_that_bends_the_times_of_a_database_is_refused_at_once(
    ingestion: Ingestion, registry: Registry
) -> None:
    connector = registry.connector(**WATERMARK)
    for bad in ("%Y-%d-%m", "%Y-%m-%d %H:%S:%M", "%Y-%m-%d %H:%M:%S+00"):
        ingestion.peer.force.contract.steps[0].parse_time.formats[0] = bad
        with pytest.raises(TimesAmbiguous, match="parse_time of changed"):
            await ingestion.source(postgres=connector, mode=UPSERT)
    for good in ("%Y-%m-%d", "%Y%m%d", "%d-%m-%Y", "%Y-%m-%d %H:%M:%S"):
        contract = ingestion.peer.force.contract
        contract.steps[0].parse_time.formats[0] = good
        read = pulled_contract(sources_pb2.Source(postgres=connector), contract).steps[0].parse_time.formats
        assert list(read[:1]) == [good]
        assert len(set(read)) == len(read) >= 5
