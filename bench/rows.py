"""Pages of 100 of a table of 1 M rows through gateway and sharing, 32 connections, every request different: a filter
and a sort over columns without any index. Floors: DuckDB over the same file in this process (the same statements, one
instance, as many at once), and a small RPC through the same gateway."""

from __future__ import annotations

import asyncio
import csv
import itertools
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import httpx
from story import Suite

from bench.http_load import Rate, load

ROWS = 1_000_000
STATIONS = 29
CONNECTIONS = 32
SECONDS = 8.0
ROUNDS = 3
PAGE = 100
NUMBERS = ("pm2_5", "pm10", "so2", "no2", "co", "o3")
DATASET = "bench-rows"
PATH = f"/api/v1/departments/ecology/datasets/{DATASET}/rows"


def measure(suite: Suite, folder: Path) -> None:
    """Print a line for each round."""
    files = _table(suite, folder)
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    for number in range(1, ROUNDS + 1):
        rows = _rate(suite, _pages(number), headers)
        empty = _rate(suite, itertools.repeat("/api/v1/departments/ecology"), headers)
        floor = _floor(files, number)
        print(
            f"rows, round {number}: page of {PAGE} of {ROWS:,}, filter and sort, c = {CONNECTIONS}: {rows}"
            f"   DuckDB in process {floor}   a small RPC, same gateway {empty}"
        )


def _rate(suite: Suite, targets: Iterator[str], headers: dict[str, str]) -> Rate:
    return asyncio.run(load(suite.url, targets, headers, CONNECTIONS, SECONDS))


def _questions(seed: int) -> Iterator[tuple[str, str, float, bool]]:
    """Station, column, threshold, descending: never the same twice."""
    draw = random.Random(seed)
    while True:
        yield (
            f"S{draw.randrange(STATIONS):02}",
            draw.choice(NUMBERS),
            draw.random() * 800,
            draw.random() < 0.5,
        )


def _pages(seed: int) -> Iterator[str]:
    for station, column, least, descending in _questions(seed):
        query = {
            "filter": f'station = "{station}" AND {column} > {least:.6f}',
            "orderBy": f"{column}{' desc' if descending else ''}",
            "pageSize": PAGE,
        }
        yield f"{PATH}?{urlencode(query)}"


def _floor(files: list[str], seed: int) -> Rate:
    """The same questions to DuckDB, with nothing around it."""
    times: list[float] = []
    listed = ", ".join(f"'{file}'" for file in files)
    with duckdb.connect(config={"threads": "2"}) as opened:
        end = time.perf_counter() + SECONDS

        def one(number: int) -> None:
            questions = _questions(seed * CONNECTIONS + number)
            with opened.cursor() as cursor:
                while time.perf_counter() < end:
                    station, column, least, descending = next(questions)
                    started = time.perf_counter()
                    cursor.execute(
                        f"SELECT * FROM read_parquet([{listed}]) WHERE station = '{station}' AND {column} > {least:.6f}"
                        f" ORDER BY {column} {'DESC' if descending else 'ASC'}, id LIMIT {PAGE + 1}"
                    ).fetchall()
                    times.append(time.perf_counter() - started)

        begin = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(one, range(CONNECTIONS)))
        spent = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    return Rate(len(times) / spent, cuts[49] * 1000, cuts[98] * 1000, 0)


def _table(suite: Suite, folder: Path) -> list[str]:
    """Loads the rows as a department does; answers the version's files."""
    source = folder / "rows.csv"
    draw = random.Random(1)
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "station", *NUMBERS, "wd", "note"])
        for number in range(ROWS):
            values = (round(draw.random() * 1000, 1) for _ in NUMBERS)
            station = f"S{number % STATIONS:02}"
            writer.writerow([number, station, *values, "NESW"[number % 4], f"note {number % 1000}"])
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    with httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=300) as http:
        http.post(
            "/departments/ecology/datasets", params={"datasetId": DATASET}, json=_dataset()
        ).raise_for_status()
        with source.open("rb") as stream:
            uploaded = http.post(
                "/departments/ecology/uploads",
                params={"fileName": source.name},
                content=iter(lambda: stream.read(1 << 20), b""),
            )
        upload = uploaded.raise_for_status().json()["name"]
        order = http.post(f"/departments/ecology/datasets/{DATASET}:ingest", json={"upload": upload})
        run = order.raise_for_status().json()
        while run["state"] not in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"):
            time.sleep(0.1)
            run = http.get(f"/{run['name']}").raise_for_status().json()
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    assert int(run["progress"]["rowsAccepted"]) == ROWS, run
    found = [str(path) for path in suite.home.rglob(f"*/{DATASET}/rows/data/**/*.parquet")]
    assert found, "the table's files lie below the suite's home"
    return found


def _dataset() -> dict[str, Any]:
    kinds = {"id": "INTEGER", "station": "STRING", "wd": "STRING", "note": "STRING"}
    fields = [
        {
            "name": name,
            "sourceName": name,
            "type": f"FIELD_TYPE_{kinds.get(name, 'NUMBER')}",
            "required": True,
        }
        for name in ("id", "station", *NUMBERS, "wd", "note")
    ]
    return {
        "displayName": "Bench rows",
        "cityLevel": "CITY_LEVEL_INTERNAL",
        "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
        "contract": {"fields": fields, "key": ["id"]},
    }
