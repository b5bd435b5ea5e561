"""CSV → committed version, through the running suite, beside its floor in the same round: DuckDB's own COPY of the
same rows with the same typed columns to Parquet (no refused rows, no key, no places, no version).

In UTF-8 and in GB18030 (which DuckDB cannot read: its floor is the same rows in UTF-8), and at a tenth of the size.
CPU seconds stand beside the wall clock: they compare also on a machine that is busy with something else.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from air_quality import HEADING, KEY, station_file
from story import Suite

from bench.processes import cpu_seconds, peak

MEGABYTES = 1000
HOURS = 35_064
ROUNDS = 3
ENCODINGS = ("utf-8", "gb18030")
WATCHED = ("gateway", "ingestion", "worker ecology")
GOAL = 1.5
GROWTH_GOAL = 10.5
PEAK_GOAL_MIB = 1024
POLL_SECONDS = 0.25
"""Asking costs the services time that the load would have; a load is found ended so much too late, at most."""

COPY = """
import resource, sys, duckdb
connection = duckdb.connect(config={"threads": "2"})
connection.execute("SET enable_progress_bar = false")
connection.execute(
    f"COPY (SELECT *, make_timestamp(year, month, day, hour, 0, 0) AS time FROM read_csv('{sys.argv[1]}', header=true,"
    " nullstr='NA', columns=" + sys.argv[2] + f")) TO '{sys.argv[3]}' (FORMAT parquet, COMPRESSION zstd)"
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Source:
    """One file to load."""

    path: Path
    rows: int
    encoding: str

    @property
    def megabytes(self) -> float:
        return self.path.stat().st_size / 1e6


@dataclass(frozen=True)
class Taken:
    """Seconds of one load, or of a COPY (which uploads nothing)."""

    upload: float
    load: float
    cpu: dict[str, float]
    """Of each process of ours that takes part, PostgreSQL left out; upload included."""

    @property
    def whole(self) -> float:
        return self.upload + self.load

    @property
    def all_cpu(self) -> float:
        return sum(self.cpu.values())


def measure(suite: Suite, folder: Path, megabytes: int = MEGABYTES) -> None:
    """Print each round, then medians beside their goals."""
    sources = {encoding: write_source(folder, megabytes, encoding) for encoding in ENCODINGS}
    tenth = write_source(folder, megabytes / 10)
    utf8 = sources["utf-8"]
    print(
        f"load: {utf8.rows:,} rows, {utf8.megabytes:.0f} MB of CSV, 18 columns and a timestamp built from parts,"
        " key of 5 fields"
    )
    peaks: dict[str, float] = {}
    copies: list[Taken] = []
    ours: dict[str, list[Taken]] = {encoding: [] for encoding in ENCODINGS}
    small: list[Taken] = []
    _ours(suite, tenth, "bench-warm", peaks)  # starts the department's worker
    for number in range(1, ROUNDS + 1):
        for encoding, source in sources.items():
            ours[encoding].append(_ours(suite, source, f"bench-{encoding}-{number}", peaks))
            copy, copy_peak = _copy(utf8, folder)
            copies.append(copy)
            _print_round(number, source, ours[encoding][-1], copy, copy_peak)
        small.append(_ours(suite, tenth, f"bench-tenth-{number}", peaks))
    for encoding in ENCODINGS:
        # Paired with the COPY that ran right behind it.
        pairs = list(zip(ours[encoding], copies[ENCODINGS.index(encoding) :: len(ENCODINGS)], strict=True))
        print(
            f"load, median, {encoding:<8} {median(one.load / copy.load for one, copy in pairs):5.2f} × DuckDB COPY"
            f" (goal ≤ {GOAL}); with the upload {median(one.whole / copy.load for one, copy in pairs):.2f} ×;"
            f" CPU with the upload {median(one.all_cpu / copy.all_cpu for one, copy in pairs):.2f} ×"
        )
    growth = median(one.load for one in ours["utf-8"]) / median(one.load for one in small)
    times = utf8.rows / tenth.rows
    print(
        f"load, growth: {times:.1f} × the rows take {growth:.1f} × the time (goal ≤ {GROWTH_GOAL / 10 * times:.1f})"
    )
    for name, most in peaks.items():
        print(f"load, peak memory of {name:<15} {most:6.0f} MiB (goal ≤ {PEAK_GOAL_MIB})")


def _print_round(number: int, source: Source, one: Taken, copy: Taken, copy_peak: float) -> None:
    print(
        f"load, round {number}, {source.encoding:<8} {source.rows / one.load:9,.0f} rows/s, {one.load:5.1f} s"
        f" = {one.load / copy.load:.2f} × DuckDB COPY ({copy.load:.1f} s, {copy_peak:.0f} MiB);"
        f" upload before it {one.upload:.1f} s; CPU {one.all_cpu:.1f} s"
        f" ({', '.join(f'{name} {used:.1f}' for name, used in one.cpu.items())}) against {copy.all_cpu:.1f} s"
    )


def write_source(folder: Path, megabytes: float = MEGABYTES, encoding: str = "utf-8") -> Source:
    """One station's generated hours, written again under other stations' names until the file is so large."""
    first = station_file(folder, "S00", HOURS).read_bytes().split(b"\r\n", 1)[1]
    path = folder / f"stations-{megabytes:g}-{encoding}.csv"
    stations = 0
    with path.open("wb") as file:
        file.write(HEADING.encode() + b"\r\n")
        # In UTF-8 and GB18030 the same rows, whatever their size in bytes.
        size = len(first) + HOURS * len("监测站0000".encode())
        while stations * size < megabytes * 1e6 or not stations:
            name = f'"监测站{stations:04}"'.encode(encoding)
            file.write(first.replace(b'"S00"', name))
            stations += 1
    return Source(path, stations * HOURS, encoding)


def fields() -> list[tuple[str, str, str]]:
    """(heading, name, type) of each column."""
    whole = ("No", "year", "month", "day", "hour")
    text = ("wd", "station")
    headings = [heading.strip('"') for heading in HEADING.split(",")]
    return [
        (h, h.lower().replace(".", "_"), "INTEGER" if h in whole else "STRING" if h in text else "NUMBER")
        for h in headings
    ]


def _ours(suite: Suite, source: Source, dataset: str, peaks: dict[str, float]) -> Taken:
    """Upload, order to load, until the version is committed; each into a new dataset."""
    headers = {"authorization": f"Bearer {suite.token('ecology-officer')}"}
    before = {pid: cpu_seconds(pid) for _, pid in _watched(suite)}
    with httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=300) as http:
        _register(http, dataset, source.encoding)
        begin = time.perf_counter()
        with source.path.open("rb") as file:
            answer = http.post(
                "/departments/ecology/uploads",
                params={"fileName": source.path.name},
                content=iter(lambda: file.read(1 << 20), b""),
            )
        uploaded = time.perf_counter()
        upload = answer.raise_for_status().json()["name"]
        order = http.post(f"/departments/ecology/datasets/{dataset}:ingest", json={"upload": upload})
        run = order.raise_for_status().json()
        while run["state"] not in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"):
            time.sleep(POLL_SECONDS)
            run = http.get(f"/{run['name']}").raise_for_status().json()
        ended = time.perf_counter()
    assert run["state"] == "RUN_STATE_SUCCEEDED", run
    assert int(run["progress"]["rowsAccepted"]) == source.rows, run
    used = {}
    for name, pid in _watched(suite):
        used[name] = cpu_seconds(pid) - before.get(pid, 0.0)
        peaks[name] = max(peaks.get(name, 0.0), peak(pid))
    return Taken(uploaded - begin, ended - uploaded, used)


def _watched(suite: Suite) -> Iterator[tuple[str, int]]:
    for child in suite.plaza("status")["processes"]:
        if child["pid"] and child["name"] in WATCHED:
            yield child["name"], int(child["pid"])


def _register(http: httpx.Client, dataset: str, encoding: str) -> None:
    declared: list[dict[str, Any]] = [
        {"name": name, "sourceName": heading, "type": f"FIELD_TYPE_{kind}", "required": name in KEY}
        for heading, name, kind in fields()
    ]
    declared.append({"name": "time", "type": "FIELD_TYPE_TIMESTAMP", "required": True})
    parts = {part: part for part in ("year", "month", "day", "hour")}
    contract = {
        "fields": declared,
        "key": list(KEY),
        "format": {"missingValues": ["NA"], "encoding": encoding},
        "steps": [{"buildTimestamp": {"target": "time", "zone": "Asia/Shanghai", **parts}}],
    }
    body = {
        "displayName": "Bench",
        "cityLevel": "CITY_LEVEL_INTERNAL",
        "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
        "contract": contract,
    }
    http.post("/departments/ecology/datasets", params={"datasetId": dataset}, json=body).raise_for_status()


def _copy(source: Source, folder: Path) -> tuple[Taken, float]:
    """DuckDB's COPY in a process of its own, and its peak memory in MiB."""
    types = {"INTEGER": "BIGINT", "NUMBER": "DOUBLE", "STRING": "VARCHAR"}
    columns = "{" + ", ".join(f"'{heading}': '{types[kind]}'" for heading, _, kind in fields()) + "}"
    target = folder / "copy.parquet"
    command = [sys.executable, "-c", COPY, str(source.path), columns, str(target)]
    before, begin = _children_cpu(), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    taken = Taken(0.0, time.perf_counter() - begin, {"DuckDB": _children_cpu() - before})
    target.unlink()
    return taken, int(done.stdout) / 1024


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
