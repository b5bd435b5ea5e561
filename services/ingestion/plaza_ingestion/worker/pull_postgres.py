"""Reading rows of a PostgreSQL database as CSV: one read-only snapshot, the same rows always in the same bytes.

By a watermark (a column that grows with each change) a pull reads rows above `low` and not above `high`:

- `high` is the column's highest value in the snapshot, but not more than a day ahead of the server's clock: one row
  with a date of the year 9999 must not hide all that come after it. Never less than the `high` of the time before.
- `low` is the `high` of the time before, less the lateness: rows that were committed late are found as long as
  their value lies within it. Read again are so the rows in between; mode upsert makes that harmless.
- The rows within the lateness come last in the file. Heading and those rows together are what the next pull reads
  if nothing happens, so their hash tells whether something did.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg
from plaza.ingestion.v1 import ingestion_pb2, sources_pb2
from plaza_kit.errors import FailedPrecondition, Unavailable
from psycopg import sql

from plaza_ingestion.worker.pull_network import permitted_addresses
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_ingestion.worker.pulled_file import Pulled, PulledFile

_CONNECT_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 3600
_LOOK_SECONDS: Final = 0.2
_AHEAD: Final = sql.SQL("interval '1 day'")
_BOOLEAN: Final = 16
_WATERMARK_TYPES: Final = {
    20: "bigint",
    21: "smallint",
    23: "integer",
    1082: "date",
    1114: "timestamp without time zone",
    1184: "timestamp with time zone",
    1700: "numeric",
}
"""By object id (`pg_type.dat`, the same in every version)."""
_TIMES: Final = frozenset({1082, 1114, 1184})
_NO_ORDER: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_TLS: Final = {
    sources_pb2.TLS_MODE_UNSPECIFIED: "verify-full",
    sources_pb2.TLS_MODE_VERIFY_FULL: "verify-full",
    sources_pb2.TLS_MODE_REQUIRE: "require",
    sources_pb2.TLS_MODE_DISABLE: "disable",
}
_SETTINGS: Final = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "statement_timeout": f"{_STATEMENT_SECONDS}s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "300s",
}
"""Of the transaction: how values are written must not depend on who looks at them."""


class DatabaseAway(Unavailable):
    """The source's database cannot be reached, or breaks off."""


class DatabaseRefuses(FailedPrecondition):
    """The source's database does not carry out what the source asks."""


class WatermarkUnusable(FailedPrecondition):
    """The watermark column cannot say which rows are new."""


class RowsUnusable(FailedPrecondition):
    """The columns of a query cannot be those of a file."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: int

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.name)


def fetch(
    connector: sources_pb2.PostgresConnector,
    cursor: sources_pb2.PullCursor,
    mode: ingestion_pb2.LoadMode.ValueType,
    secrets: Secrets,
    file: PulledFile,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Pulled:
    """Writes the rows into `file`; with a watermark and no new rows nothing.

    Raises `DatabaseAway`, `DatabaseRefuses`, `WatermarkUnusable`, `RowsUnusable`, `ForbiddenAddress`,
    `UnknownHost`, `CredentialMissing`, and as `PulledFile`. Blocking.
    """
    upserts = mode == ingestion_pb2.LOAD_MODE_UPSERT
    try:
        with _connected(connector, secrets) as connection, _stopped_when(connection, cancelled):
            for name, value in _SETTINGS.items():
                connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            return _Reading(connection, connector, cursor.watermark, file, upserts).run()
    except psycopg.errors.QueryCanceled as error:
        file.check()  # it was we who stopped it
        raise DatabaseRefuses(
            f"A statement took longer than {_STATEMENT_SECONDS / 3600:.0f} h, or was cancelled at the source.",
            remedy="Let it give less at once, or have an index made on the watermark column.",
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        file.check()
        raise DatabaseAway(
            f"{connector.host} does not answer as a database: {_first_line(error)}",
            remedy="See whether the database is up and takes this user; the next pull tries again.",
        ) from error
    except psycopg.Error as error:
        raise DatabaseRefuses(
            f"{connector.host} refuses: {_first_line(error)}",
            remedy="See that the user may read what the source names, and that it is written rightly.",
        ) from error


@contextmanager
def _connected(
    connector: sources_pb2.PostgresConnector, secrets: Secrets
) -> Iterator[psycopg.Connection[Any]]:
    """A connection in a read-only snapshot."""
    port = connector.port or 5432
    addresses = permitted_addresses(connector.host, port)
    mode = _TLS[connector.tls]
    settings: dict[str, Any] = {
        # The addresses that were looked at are the ones that are connected to.
        "host": ",".join([connector.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": port,
        "dbname": connector.database,
        "user": connector.user,
        "password": secrets.text(connector.credential) if connector.credential else None,
        "sslmode": mode,
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "plaza-worker",
        "client_encoding": "UTF8",
        "keepalives_idle": 30,
    }
    if mode == "verify-full" and not os.environ.get("PGSSLROOTCERT"):
        settings["sslrootcert"] = "system"
    connection = psycopg.connect(**settings)
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
    finally:
        connection.close()


@contextmanager
def _stopped_when(connection: psycopg.Connection[Any], cancelled: Callable[[], bool]) -> Iterator[None]:
    """Ends what the server does when nobody waits for it any more: it may sort for an hour before it speaks."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if cancelled():
                connection.cancel_safe(timeout=_CONNECT_SECONDS)
                return

    watching = threading.Thread(target=watch, name="cancel-pull", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


class _Reading:
    """One pull in one snapshot."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        connector: sources_pb2.PostgresConnector,
        last: str,
        file: PulledFile,
        upserts: bool,
    ) -> None:
        self._connection = connection
        self._connector = connector
        self._last = last
        self._file = file
        self._upserts = upserts
        self._rows = sql.SQL("({}\n) AS plaza_rows").format(_select(connector))
        self._columns = self._describe()

    def run(self) -> Pulled:
        name = f"{self._connector.table.table or 'query'}.csv"
        if not self._connector.watermark_column:
            self._copy(sql.SQL("false"), heading=True)
            self._copy(sql.SQL("true"))
            sha256 = self._file.finish()
            return Pulled(name, sources_pb2.PullCursor(sha256=sha256), self._file.size, sha256)
        return self._new_rows(name, self._column(self._connector.watermark_column, "watermark_column"))

    def _new_rows(self, name: str, watermark: _Column) -> Pulled:
        lateness = self._lateness(watermark)
        high = self._high(watermark)
        nulls, ahead = self._odd_rows(watermark)
        warnings = self._warnings(watermark, nulls, ahead)
        digest = hashlib.sha256()
        self._copy(sql.SQL("false"), digest, heading=True)
        heading = self._file.size
        column = watermark.identifier
        above: sql.Composable = sql.SQL("true")
        if self._last:
            low = _less(_literal(self._last, watermark), lateness)
            above = sql.SQL("{} > {}").format(column, low)
        if high:
            top = _literal(high, watermark)
            late = _less(top, lateness)
            inside = sql.SQL("{above} AND {column} <= {top}").format(above=above, column=column, top=top)
            part = {"inside": inside, "column": column, "late": late}
            self._copy(sql.SQL("{inside} AND {column} <= {late}").format(**part))
            self._copy(sql.SQL("{inside} AND {column} > {late}").format(**part), digest)
        if self._upserts and nulls:
            self._copy(sql.SQL("{} IS NULL").format(column), digest)
        cursor = sources_pb2.PullCursor(watermark=high)
        if self._file.size == heading:
            return Pulled(name, cursor, not_modified=True, warnings=warnings)
        cursor.sha256 = digest.hexdigest()
        return Pulled(name, cursor, self._file.size, self._file.finish(), warnings=warnings)

    def _describe(self) -> tuple[_Column, ...]:
        """The columns. As a prepared statement, which is one and no more: a query cannot leave its parentheses.
        Raises RowsUnusable."""
        statement = sql.SQL("SELECT * FROM {} LIMIT 0").format(self._rows)
        described = self._connection.execute(statement, prepare=True).description or []
        columns = tuple(_Column(one.name, one.type_code) for one in described)
        names = [column.name for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            words = f"two columns of the name {twice[0]!r}" if twice else "no columns"
            raise RowsUnusable(
                f"The rows have {words}.", remedy="Name each column of the query, differently."
            )
        return columns

    def _column(self, name: str, place: str) -> _Column:
        for column in self._columns:
            if column.name == name:
                return column
        known = ", ".join(column.name for column in self._columns[:50])
        raise RowsUnusable(f"{place}: there is no column {name!r}.", remedy=f"The rows have: {known}.")

    def _lateness(self, watermark: _Column) -> timedelta:
        """Raises WatermarkUnusable."""
        if watermark.type not in _WATERMARK_TYPES:
            raise WatermarkUnusable(
                f"The column {watermark.name!r} has a type by which rows are not told old from new.",
                remedy=f"Use one of type {', '.join(sorted(_WATERMARK_TYPES.values()))}.",
            )
        lateness = self._connector.lateness.ToTimedelta()
        if lateness and watermark.type not in _TIMES:
            raise WatermarkUnusable(
                f"The column {watermark.name!r} holds numbers, which have no lateness.",
                remedy="Take the lateness away, or use a column that holds times.",
            )
        return lateness

    def _high(self, watermark: _Column) -> str:
        """Up to where this pull reads; empty: no row has a value. Raises WatermarkUnusable."""
        last = _literal(self._last, watermark) if self._last else sql.SQL("NULL")
        high = self._value(
            sql.SQL("SELECT GREATEST(max({column}), {last})::text FROM {rows} WHERE {timely}").format(
                column=watermark.identifier, last=last, rows=self._rows, timely=self._timely(watermark)
            )
        )
        if high in _NO_ORDER:
            raise WatermarkUnusable(
                f"The column {watermark.name!r} has the value {high}, above which nothing is.",
                remedy="Correct it at the source, or leave such rows out by a query.",
            )
        return str(high or "")

    def _timely(self, watermark: _Column) -> sql.Composable:
        if watermark.type not in _TIMES:
            return sql.SQL("true")
        return sql.SQL("{} <= now() + {}").format(watermark.identifier, _AHEAD)

    def _odd_rows(self, watermark: _Column) -> tuple[int, int]:
        """Rows without a watermark, and rows whose time is far ahead."""
        count = sql.SQL("SELECT count(*) FROM {rows} WHERE {which}")
        empty = sql.SQL("{} IS NULL").format(watermark.identifier)
        ahead = sql.SQL("NOT ({})").format(self._timely(watermark))
        return tuple(int(self._value(count.format(rows=self._rows, which=one))) for one in (empty, ahead))  # type: ignore[return-value]  # two

    def _warnings(self, watermark: _Column, nulls: int, ahead: int) -> tuple[str, ...]:
        said = []
        if nulls and not self._upserts:
            said.append(
                f"Rows of the source without a value in {watermark.name!r} were left out: {nulls}. In mode upsert"
                " they would be read by every pull."
            )
        if ahead:
            said.append(
                f"Rows of the source whose {watermark.name!r} lies more than a day ahead wait until then: {ahead}."
            )
        return tuple(said)

    def _copy(self, which: sql.Composable, *digests: Any, heading: bool = False) -> None:
        statement = sql.SQL(
            "COPY (SELECT {columns} FROM {rows} WHERE {which} ORDER BY {order})"
            " TO STDOUT (FORMAT csv, HEADER {heading}, ENCODING 'UTF8')"
        ).format(
            columns=sql.SQL(", ").join(map(self._written, self._columns)),
            rows=self._rows,
            which=which,
            order=sql.SQL(", ").join(self._order()),
            heading=sql.SQL("true" if heading else "false"),
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for block in copy:
                self._file.write(block)
                for digest in digests:
                    digest.update(block)

    def _written(self, column: _Column) -> sql.Composable:
        """Values as the contract's grammar reads them; elsewhere as PostgreSQL writes them."""
        value: sql.Composable = column.identifier
        if column.type == _BOOLEAN:
            value = sql.SQL("{}::text").format(value)
        if len(self._columns) == 1:
            # In a file of one column an empty line is no record: an empty value must be quoted, and NULL is not.
            value = sql.SQL("coalesce({}::text, '')").format(value)
        return sql.SQL("{} AS {}").format(value, column.identifier)

    def _order(self) -> Iterator[sql.Composable]:
        # Qualified: a bare name would mean the written column, which may be a text.
        own = sql.SQL("plaza_rows.{}")
        if self._connector.watermark_column:
            yield own.format(sql.Identifier(self._connector.watermark_column))
        if self._connector.key_order:
            for name in self._connector.key_order:
                yield own.format(self._column(name, "key_order").identifier)
        else:
            for column in self._columns:
                yield sql.SQL('{}::text COLLATE "C"').format(own.format(column.identifier))

    def _value(self, statement: sql.Composed) -> Any:
        row = self._connection.execute(statement).fetchone()
        assert row is not None, "an aggregate has one row"
        return row[0]


def _select(connector: sources_pb2.PostgresConnector) -> sql.Composable:
    if connector.WhichOneof("rows") == "query":
        return sql.SQL(connector.query.strip().rstrip("; \t\r\n"))  # a department's own words
    table = connector.table
    return sql.SQL("SELECT * FROM {}").format(sql.Identifier(table.schema or "public", table.table))


def _literal(value: str, column: _Column) -> sql.Composable:
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(_WATERMARK_TYPES[column.type]))


def _less(value: sql.Composable, lateness: timedelta) -> sql.Composable:
    if not lateness:
        return value
    return sql.SQL("({} - {}::interval)").format(
        value, sql.Literal(f"{lateness.total_seconds():.6f} seconds")
    )


def _first_line(error: psycopg.Error) -> str:
    said = error.diag.message_primary or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0][:300]
