"""The operator's worst day: worker and ingestion are killed at every step. Nothing is lost, nothing is there twice."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import air_quality
import faults
import httpx
import pytest
from story import Suite, free_port

pytestmark = pytest.mark.e2e

SEED = 20261121
WORKER = ("leased", "staged", "acknowledged")
INGESTION = ("manifest_taken", "data_files", "catalogue_commit", "outbox")
FILES = 6
LOAD_SECONDS = 120


@pytest.fixture(scope="module")
def fault_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="plaza-faults-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def mortal(fault_folder: Path) -> Iterator[Suite]:
    """A suite whose worker and ingestion die where they are told to."""
    with tempfile.TemporaryDirectory(prefix="plaza-e2e-") as folder:
        command = (sys.executable, str(Path(__file__).parent / "mortal_suite.py"), str(fault_folder))
        suite = Suite(Path(folder) / "home", free_port(), free_port(), command=command)
        suite.start()
        yield suite
        suite.stop()


def test_twenty_deaths_change_nothing(mortal: Suite, fault_folder: Path, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    files = _files(tmp_path)
    for dataset in ("spared", "killed"):
        _register(mortal, dataset)
    for file in files:
        _load(mortal, "spared", file)
    for number, file in enumerate(files):
        # Every point at least once; which of them meet in one load is the seed's choice.
        points = {*chance.sample(WORKER, 2), *chance.sample(INGESTION, 2), (*WORKER, *INGESTION)[number]}
        for point in points:
            faults.arm(fault_folder, point)
        _load(mortal, "killed", file)
        _until(lambda: not faults.still_armed(fault_folder), "every armed point is reached")
    deaths = Counter(faults.fired(fault_folder))
    assert deaths.total() >= 20
    assert set(deaths) == {*WORKER, *INGESTION}
    _until(lambda: _assessed(mortal, "killed") == len(files), "every version is assessed")
    _until(lambda: _assessed(mortal, "spared") == len(files), "every version is assessed")
    for look in (_rows, _quarantine, _versions, _ledger):
        assert look(mortal, "killed") == look(mortal, "spared"), look.__name__


def _files(folder: Path) -> list[Path]:
    """Three whole files, one with 20 broken lines, one that overlaps the first, one more."""
    whole = [air_quality.station_file(folder, station, 400) for station in ("Dongsi", "Gucheng", "Huairou")]
    broken = folder / "broken.csv"
    air_quality.break_lines(air_quality.station_file(folder, "Dingling", 500), broken)
    overlapping = air_quality.station_file(folder, "Dongsi", 300, first=250)
    last = air_quality.station_file(folder, "Changping", 200)
    files = [*whole, broken, overlapping, last]
    assert len(files) == FILES
    return files


def _register(suite: Suite, dataset: str) -> None:
    fields = [
        {"name": "no", "sourceName": "No", "type": "FIELD_TYPE_INTEGER"},
        *(
            {"name": name, "sourceName": name, "type": "FIELD_TYPE_INTEGER", "required": True}
            for name in ("year", "month", "day", "hour")
        ),
        {"name": "pm2_5", "sourceName": "PM2.5", "type": "FIELD_TYPE_NUMBER"},
        {"name": "station", "sourceName": "station", "type": "FIELD_TYPE_STRING", "required": True},
        {"name": "time", "type": "FIELD_TYPE_TIMESTAMP", "required": True},
    ]
    parts = {part: part for part in ("year", "month", "day", "hour")}
    contract = {
        "fields": fields,
        "key": list(air_quality.KEY),
        "format": {"missingValues": ["NA"]},
        "steps": [{"buildTimestamp": {"target": "time", "zone": "Asia/Shanghai", **parts}}],
        "rules": [
            {
                "id": "pm2_5-null-share",
                "dimension": "DIMENSION_COMPLETENESS",
                "thresholdPercent": 90,
                "notNull": {"field": "pm2_5"},
            }
        ],
    }
    body = {
        "displayName": dataset,
        "cityLevel": "CITY_LEVEL_INTERNAL",
        "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
        "contract": contract,
    }
    with _api(suite) as http:
        answer = http.post("/departments/ecology/datasets", params={"datasetId": dataset}, json=body)
    answer.raise_for_status()


def _load(suite: Suite, dataset: str, file: Path) -> None:
    with _api(suite) as http:
        upload = _persist(
            http.post,
            "/departments/ecology/uploads",
            params={"fileName": file.name},
            content=file.read_bytes(),
        )
        order = {"upload": upload["name"]}
        run = _persist(http.post, f"/departments/ecology/datasets/{dataset}:ingest", json=order)
        deadline = time.monotonic() + LOAD_SECONDS
        while run["state"] not in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"):
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
            run = _persist(http.get, f"/{run['name']}")
    assert run["state"] == "RUN_STATE_SUCCEEDED", run


def _persist(call: Callable[..., httpx.Response], address: str, **more: Any) -> Any:
    """What a client does while a service is away: ask again."""
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        answer = call(address, **more)
        if answer.status_code != 503:
            answer.raise_for_status()
            return answer.json()
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.3)


def _until(holds: Callable[[], bool], promise: str) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while not holds():
        assert time.monotonic() < deadline, promise
        time.sleep(0.3)


def _api(suite: Suite, person: str = "ecology-officer") -> httpx.Client:
    headers = {"authorization": f"Bearer {suite.token(person)}"}
    return httpx.Client(base_url=suite.api, headers=headers, trust_env=False, timeout=60)


def _get(suite: Suite, path: str, **query: str | int) -> httpx.Response:
    with _api(suite) as http:
        return http.get(f"/departments/ecology/datasets/{path}", params=query).raise_for_status()


def _rows(suite: Suite, dataset: str) -> str:
    text = _get(suite, f"{dataset}/rows", format="csv").text
    assert text.count("\n") > 1500
    return text


def _quarantine(suite: Suite, dataset: str) -> list[tuple[Any, ...]]:
    rows = _get(suite, f"{dataset}/quarantine", pageSize=1000).json()["rows"]
    assert len(rows) == 20 + 150
    return sorted(
        (row["fileName"], int(row["line"]), row.get("field", ""), row["reason"], row["originalText"])
        for row in rows
    )


def _versions(suite: Suite, dataset: str) -> list[tuple[Any, ...]]:
    found = _get(suite, f"{dataset}/versions").json()
    return [
        (v["version"], v["rows"], v["rowsAdded"], v.get("rowsRefused", "0"), v["score"], v["light"])
        for v in found["versions"]
    ]


def _assessed(suite: Suite, dataset: str) -> int:
    found = _get(suite, f"{dataset}/assessments").json()
    return len(found.get("assessments", []))


def _ledger(suite: Suite, dataset: str) -> list[tuple[str, str]]:
    """Type and what does not differ by name: each load and each assessment once."""
    entries: list[dict[str, Any]] = []
    token = ""
    with _api(suite, "bureau-auditor") as http:
        while token or not entries:
            asked = {"pageSize": 1000, "pageToken": token}
            page = http.get("/ledger/entries", params=asked).raise_for_status().json()
            entries += page["entries"]
            token = page.get("nextPageToken", "")
            if not token:
                break
    mine = f"departments/ecology/datasets/{dataset}"
    told = []
    for entry in entries:
        if entry["subject"] == mine or entry["subject"].startswith(f"{mine}/"):
            data = json.loads(entry["leaf"])["data"]
            kept = ("version", "rows", "rows_added", "rows_refused", "source_sha256", "score", "light")
            told.append((entry["type"], json.dumps({name: data.get(name) for name in kept}, sort_keys=True)))
    # One registration, one commit and one assessment a file.
    assert len(told) == 1 + 2 * FILES
    return sorted(told)
