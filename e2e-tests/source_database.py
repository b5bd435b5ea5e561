"""A department's own database: hourly readings that grow, some of them written late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

_HOURS = 200
_FIRST = datetime(2013, 3, 1, tzinfo=UTC)


class SourceDatabase:
    """Its table `readings`; the columns have the names of the stations' files."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self.connector: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "database": "postgres",
            "user": "postgres",
            "tls": "TLS_MODE_DISABLE",
            "table": {"table": "readings"},
            "watermarkColumn": "written",
            "lateness": f"{_HOURS * 3600}s",
        }
        columns = (
            '"No" int, year int, month int, day int, hour int, "PM2.5" float8, "WSPM" float8, station text,'
            " written timestamptz"
        )
        with self._connect() as connection:
            connection.execute(
                f"CREATE TABLE readings ({columns}, PRIMARY KEY (station, year, month, day, hour))"
            )

    def grow(self, number: int) -> None:
        """Hours of one more round; values of the round before are corrected, and some rows come with a time that
        was passed already."""
        with self._connect() as connection:
            for hour in range(number * _HOURS, (number + 1) * _HOURS):
                self._write(connection, "Dongsi", hour, _FIRST + timedelta(hours=hour))
            if number:
                # Written late: their time lies before what the last pull has seen.
                for hour in range((number - 1) * _HOURS + 150, number * _HOURS):
                    self._write(connection, "Late", hour, _FIRST + timedelta(hours=hour))
                corrected = 'UPDATE readings SET "PM2.5" = -1, written = %s WHERE "No" = %s'
                connection.execute(
                    corrected, [_FIRST + timedelta(hours=number * _HOURS), number * _HOURS - 7]
                )

    def readings(self) -> list[tuple[str, int, float]]:
        """Station, number of the hour and value of each row, in order."""
        with self._connect() as connection:
            return sorted(connection.execute('SELECT station, "No", "PM2.5" FROM readings').fetchall())

    def rows(self) -> int:
        """How many there are."""
        with self._connect() as connection:
            found = connection.execute("SELECT count(*) FROM readings").fetchone()
        assert found is not None
        return int(found[0])

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self._address, autocommit=True)

    def _write(
        self, connection: psycopg.Connection[tuple[Any, ...]], station: str, number: int, written: datetime
    ) -> None:
        time = _FIRST + timedelta(hours=number)
        connection.execute(
            "INSERT INTO readings VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                number,
                time.year,
                time.month,
                time.day,
                time.hour,
                number % 300,
                number % 9 / 2,
                station,
                written,
            ],
        )
