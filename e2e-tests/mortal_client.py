"""A client that asks again while services are away, as a patient program of a department does."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import air_quality
import httpx
from story import Story

SECONDS = 180
"""Until a load with deaths in it has ended, on a busy machine."""


def until(holds: Callable[[], bool], promise: str) -> None:
    """Waits for what follows by itself."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {promise}"
        time.sleep(0.3)


class PatientClient:
    """Requests of a department's officer; each may be repeated without harm."""

    def __init__(self, suite: Story, department: str = "ecology") -> None:
        self._suite = suite
        self._department = f"departments/{department}"
        self._officer = f"{department}-officer"

    def register(self, dataset: str, kind: str) -> None:
        """A dataset for the stations' hours, with one quality rule."""
        body = {
            "displayName": dataset,
            "cityLevel": "CITY_LEVEL_INTERNAL",
            "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
            "contract": _contract(kind),
        }
        query = {"datasetId": dataset, "requestId": str(uuid.uuid4())}
        self.ask("POST", f"/{self._department}/datasets", params=query, json=body)

    def load(self, dataset: str, file: Path, mode: str, during: Callable[[], None] = lambda: None) -> None:
        """A file into the dataset. `during`: called in the middle of the first attempt to upload it."""
        name = {"fileName": file.name}
        pieces = _Pieces(file.read_bytes(), during)
        upload = self.ask("POST", f"/{self._department}/uploads", params=name, content=pieces)
        order = {
            "upload": upload["name"],
            "mode": f"LOAD_MODE_{mode.upper()}",
            "requestId": str(uuid.uuid4()),
        }
        run = self.ask("POST", f"/{self._department}/datasets/{dataset}:ingest", json=order)
        self.finish(run)

    def add_source(self, dataset: str, postgres: dict[str, Any]) -> str:
        """A table that is pulled into the dataset; answers the source's name."""
        body = {
            "displayName": dataset,
            "class": "SOURCE_CLASS_GOVERNMENT",
            "owner": "monitoring centre",
            "lawfulBasis": "Environmental Protection Law, article 17",
            "justification": "hours and values only",
            "dataset": f"{self._department}/datasets/{dataset}",
            "mode": "LOAD_MODE_UPSERT",
            "postgres": postgres,
        }
        query = {"sourceId": dataset, "requestId": str(uuid.uuid4())}
        return str(self.ask("POST", f"/{self._department}/sources", params=query, json=body)["name"])

    def pull(self, source: str) -> dict[str, Any]:
        """What is new at a source, in the dataset."""
        return self.finish(self.ask("POST", f"/{source}:pull", json={"requestId": str(uuid.uuid4())}))

    def finish(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run when it has succeeded."""
        deadline = time.monotonic() + SECONDS
        while run["state"] not in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED"):
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
            run = self.ask("GET", f"/{run['name']}")
        assert run["state"] == "RUN_STATE_SUCCEEDED", run
        return run

    def rows(self, dataset: str) -> list[str]:
        """All of them, in an order of their own."""
        return sorted(
            self.ask_text(f"/{self._department}/datasets/{dataset}/rows", format="csv").splitlines()
        )

    def quarantine(self, dataset: str) -> list[tuple[Any, ...]]:
        """What was refused, and why."""
        rows = self._all(f"/{self._department}/datasets/{dataset}/quarantine", "rows")
        return sorted(
            (row["fileName"], int(row["line"]), row.get("field", ""), row["reason"], row["originalText"])
            for row in rows
        )

    def versions(self, dataset: str) -> list[tuple[Any, ...]]:
        """Numbers, counts and scores."""
        found = self._all(f"/{self._department}/datasets/{dataset}/versions", "versions")
        return [
            (v["version"], v["rows"], v["rowsAdded"], v.get("rowsRefused", "0"), v["score"], v["light"])
            for v in found
        ]

    def is_assessed(self, dataset: str, versions: int) -> bool:
        """Whether every version has its score, in the catalogue too."""
        found = self._all(f"/{self._department}/datasets/{dataset}/versions", "versions")
        return len(found) == versions and all("score" in version for version in found)

    def ledger(self, dataset: str) -> list[tuple[str, str]]:
        """Type and what does not differ by name: each registration, commit and assessment once."""
        mine = f"{self._department}/datasets/{dataset}"
        kept = ("version", "rows", "rows_added", "rows_refused", "score", "light")
        told = []
        for entry in self._all("/ledger/entries", "entries", person="bureau-auditor"):
            if entry["subject"] == mine or entry["subject"].startswith(f"{mine}/"):
                data = json.loads(entry["leaf"])["data"]
                told.append((entry["type"], json.dumps({name: data.get(name) for name in kept})))
        return sorted(told)

    def _all(self, path: str, field: str, *, person: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            query = {"pageSize": 1000, "pageToken": token}
            page = json.loads(self.ask_text(path, person=person, **query))
            found += page.get(field, [])
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def ask_text(self, path: str, *, person: str = "", **query: str | int) -> str:
        """A GET's body."""
        return self._send("GET", path, person or self._officer, params=query).text

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer as JSON."""
        return self._send(method, path, self._officer, **more).json()

    def _send(self, method: str, path: str, person: str, **more: Any) -> httpx.Response:
        """Until somebody answers. What a client must expect while services die: no answer, or 503."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                headers = {"authorization": f"Bearer {self._suite.token(person)}"}
                address = f"{self._suite.api}{path}"
                answer = httpx.request(method, address, headers=headers, trust_env=False, timeout=60, **more)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
                    return answer
                said = answer.text
            assert time.monotonic() < deadline, f"{method} {path}: {said}"
            time.sleep(0.3)


class _Pieces:
    """A file's bytes, to be sent as often as it takes."""

    def __init__(self, content: bytes, during: Callable[[], None]) -> None:
        self._content = content
        self._during = during

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self._content) // 2
        yield self._content[:middle]
        during, self._during = self._during, lambda: None
        during()
        yield self._content[middle:]


def _contract(kind: str) -> dict[str, Any]:
    fields = [
        {"name": "no", "sourceName": "No", "type": "FIELD_TYPE_INTEGER"},
        *(
            {"name": name, "sourceName": name, "type": "FIELD_TYPE_INTEGER", "required": True}
            for name in ("year", "month", "day", "hour")
        ),
        {"name": "pm2_5", "sourceName": "PM2.5", "type": "FIELD_TYPE_NUMBER"},
        {"name": "wspm", "sourceName": "WSPM", "type": "FIELD_TYPE_NUMBER"},
        {"name": "station", "sourceName": "station", "type": "FIELD_TYPE_STRING", "required": True},
        {"name": "time", "type": "FIELD_TYPE_TIMESTAMP", "required": True},
    ]
    parts = {part: part for part in ("year", "month", "day", "hour")}
    rule = {
        "id": "pm2_5-null-share",
        "dimension": "DIMENSION_COMPLETENESS",
        "thresholdPercent": 90,
        "notNull": {"field": "pm2_5"},
    }
    return {
        "fields": fields,
        "key": list(air_quality.KEY),
        "format": {"missingValues": ["NA"], "type": kind},
        "steps": [{"buildTimestamp": {"target": "time", "zone": "Asia/Shanghai", **parts}}],
        "rules": [rule],
    }
