"""CSV → committed version: rows a second and peak memory, beside the floor (reading and hashing the file) and the
baseline (DuckDB's own COPY of the same typed columns to Parquet: no refused rows, no key, no version)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from air_quality import HEADING, KEY, station_file
from story import Suite

from bench.processes import peak

STATIONS = 29
HOURS = 35_064
ROUNDS = 3

COPY = """
import resource, sys, duckdb
duckdb.connect(config={"threads": "2"}).execute(
    f"COPY (SELECT *, make_timestamp(year, month, day, hour, 0, 0) AS time FROM read_csv('{sys.argv[1]}', header=true,"
    " nullstr='NA', columns=" + sys.argv[2] + f")) TO '{sys.argv[3]}' (FORMAT parquet, COMPRESSION zstd)"
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(suite: Suite, folder: Path) -> None:
    """Print one line a round: each round loads the same rows into a new dataset."""
    source = write_source(folder)
    rows, size = STATIONS * HOURS, source.stat().st_size
    print(
        f"load: {rows:,} rows, {size / 1e6:.0f} MB, 18 columns and a timestamp built from parts, key of 5 fields"
    )
    for number in range(1, ROUNDS + 1):
        seconds, upload = _ours(suite, source, f"bench-{number}")
        floor, copy = _floor(source), _copy(source, folder)
        print(
            f"load, round {number}: CSV → committed version {rows / seconds:9,.0f} rows/s ({seconds:.1f} s,"
            f" {seconds / copy[0]:.1f} × DuckDB COPY; upload before it {upload:.1f} s)"
            f"   DuckDB COPY {rows / copy[0]:9,.0f} rows/s, {copy[1]:.0f} MiB   read + SHA-256 {floor:.2f} s"
        )
    for child in suite.plaza("status")["processes"]:
        if child["pid"] and child["name"] in ("ingestion", "quality", "gateway", "worker ecology"):
            print(f"load, peak memory of {child['name']:<15} {peak(child['pid']):6.0f} MiB")


def write_source(folder: Path, stations: int = STATIONS) -> Path:
    """One station's generated hours, written again under each station's name."""
    first = station_file(folder, "S00", HOURS).read_bytes().split(b"\r\n", 1)[1]
    source = folder / f"stations-{stations}.csv"
    with source.open("wb") as file:
        file.write(HEADING.encode() + b"\r\n")
        for number in range(stations):
            file.write(first.replace(b'"S00"', f'"S{number:02}"'.encode()))
    return source


def fields() -> list[tuple[str, str, str]]:
    """(heading, name, type) of each column."""
    whole = ("No", "year", "month", "day", "hour")
    text = ("wd", "station")
    headings = [heading.strip('"') for heading in HEADING.split(",")]
    return [
        (h, h.lower().replace(".", "_"), "INTEGER" if h in whole else "STRING" if h in text else "NUMBER")
        for h in headings
    ]


def _ours(suite: Suite, source: Path, dataset: str) -> tuple[float, float]:
    """Seconds from the order to load until the version is committed, and of the upload."""
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    with httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=300) as http:
        _register(http, dataset)
        begin = time.perf_counter()
        with source.open("rb") as file:
            answer = http.post(
                "/departments/ecology/uploads",
                params={"fileName": source.name},
                content=iter(lambda: file.read(1 << 20), b""),
            )
        uploaded = time.perf_counter()
        upload = answer.raise_for_status().json()["name"]
        order = http.post(f"/departments/ecology/datasets/{dataset}:ingest", json={"upload": upload})
        run = order.raise_for_status().json()
        while run["state"] not in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"):
            time.sleep(0.05)
            run = http.get(f"/{run['name']}").raise_for_status().json()
        ended = time.perf_counter()
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    assert int(run["progress"]["rowsAccepted"]) == STATIONS * HOURS, run
    return ended - uploaded, uploaded - begin


def _register(http: httpx.Client, dataset: str) -> None:
    declared: list[dict[str, Any]] = [
        {"name": name, "sourceName": heading, "type": f"FIELD_TYPE_{kind}", "required": name in KEY}
        for heading, name, kind in fields()
    ]
    declared.append({"name": "time", "type": "FIELD_TYPE_TIMESTAMP", "required": True})
    parts = {part: part for part in ("year", "month", "day", "hour")}
    contract = {
        "fields": declared,
        "key": list(KEY),
        "format": {"missingValues": ["NA"]},
        "steps": [{"buildTimestamp": {"target": "time", "zone": "Asia/Shanghai", **parts}}],
    }
    body = {
        "displayName": "Bench",
        "cityLevel": "CITY_LEVEL_INTERNAL",
        "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
        "contract": contract,
    }
    http.post("/departments/ecology/datasets", params={"datasetId": dataset}, json=body).raise_for_status()


def _floor(source: Path) -> float:
    begin = time.perf_counter()
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - begin


def _copy(source: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of DuckDB's COPY, in a process of its own."""
    types = {"INTEGER": "BIGINT", "NUMBER": "DOUBLE", "STRING": "VARCHAR"}
    columns = "{" + ", ".join(f"'{heading}': '{types[kind]}'" for heading, _, kind in fields()) + "}"
    begin = time.perf_counter()
    command = [sys.executable, "-c", COPY, str(source), columns, str(folder / "copy.parquet")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, int(done.stdout) / 1024
