"""Makes what is missing of the demo city. Making it again changes nothing: what is there is left as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from plaza_cli.demo.city import DATASETS, DEPARTMENTS, DemoDataset
from plaza_cli.demo.rows import csv_file

PASSWORD = "plaza-demo"  # noqa: S105 - the development realm's demo people, loopback only
LONGEST_SECONDS = 300.0
"""For one load or release of the demo; far more than it takes."""


class DemoFailed(Exception):
    """The demo city could not be made; the message holds the server's answer."""


TokenOf = Callable[[str], Awaitable[str]]
"""The access token of one of the demo's people, by log-in name."""


async def ensure(http: httpx.AsyncClient, url: str, token_of: TokenOf, made: Path) -> int:
    """Answers how many datasets were made; `made` is the mark that all is there. Raises DemoFailed."""
    if await asyncio.to_thread(made.exists):
        return 0
    admin = _Person(http, url, await token_of("bureau-admin"))
    for department, (title, title_en, code) in DEPARTMENTS.items():
        body = {"displayName": title, "displayNameEn": title_en, "providerCode": code}
        await admin.make("departments", {"departmentId": department}, body)
    # Departments side by side: each has a worker of its own.
    counts = await asyncio.gather(*(fill(http, url, token_of, department) for department in DEPARTMENTS))
    await asyncio.to_thread(made.touch, 0o600)
    return sum(counts)


async def fill(http: httpx.AsyncClient, url: str, token_of: TokenOf, department: str) -> int:
    """One department's datasets, with rows; public ones released. Answers how many were made. Raises DemoFailed."""
    datasets = [dataset for dataset in DATASETS if dataset.department == department]
    if not datasets:
        return 0
    officer = _Person(http, url, await token_of(f"{department}-officer"))
    count = 0
    for dataset in datasets:
        count += await officer.make(
            f"departments/{department}/datasets", {"datasetId": dataset.id}, dataset.body()
        )
    runs = [await officer.load(dataset) for dataset in datasets]
    for run in filter(None, runs):
        await officer.wait(run, "RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED")
    public = [dataset for dataset in datasets if dataset.level == "PUBLIC"]
    releases = [await officer.release(dataset) for dataset in public]
    for release in filter(None, releases):
        await officer.wait(release, "RELEASE_STATE_PUBLISHED", "RELEASE_STATE_FAILED")
    return count


def tokens_by_password(http: httpx.AsyncClient, issuer: str) -> TokenOf:
    """As the development issuer gives them. What is asked of it raises DemoFailed."""

    async def token_of(username: str) -> str:
        answer = await http.post(
            f"{issuer}/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "plaza-cli",
                "username": username,
                "password": PASSWORD,
                "scope": "openid organization:*",
            },
        )
        if answer.status_code != 200:
            raise DemoFailed(f"{username} cannot log in: {answer.text}")
        return str(answer.json()["access_token"])

    return token_of


class _Person:
    """Somebody of the demo city at the API."""

    def __init__(self, http: httpx.AsyncClient, url: str, token: str) -> None:
        self._http = http
        self._api = f"{url}/api/v1"
        self._headers = {"authorization": f"Bearer {token}"}

    async def make(self, path: str, query: dict[str, str], body: dict[str, Any]) -> bool:
        """True when it was made, False when it was there."""
        return await self._post(path, json=body, params=query) is not None

    async def load(self, dataset: DemoDataset) -> str:
        """Hands in the dataset's file and orders its load; answers the run, or nothing when it is in already."""
        name = f"{dataset.id}.csv"
        upload = await self._post(
            f"departments/{dataset.department}/uploads", params={"fileName": name}, content=csv_file(dataset)
        )
        assert upload is not None, "an upload is always new"
        run = await self._post(f"{_name(dataset)}:ingest", json={"upload": upload["name"]})
        return str(run["name"]) if run else ""

    async def release(self, dataset: DemoDataset) -> str:
        """Opens the newest version once it is assessed; answers the release, or nothing when it is open already."""
        await self._until_assessed(dataset)
        release = await self._post(f"{_name(dataset)}/releases", json={})
        return str(release["name"]) if release else ""

    async def wait(self, name: str, good: str, bad: str) -> None:
        """Until a run or a release is in the state `good`. Raises DemoFailed in the state `bad`."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            found = await self._get(name)
            if found.get("state") == good:
                return
            if found.get("state") == bad:
                raise DemoFailed(f"{name}: {found.get('error')}")
            await asyncio.sleep(0.2)
        raise DemoFailed(f"{name} is not {good} after {LONGEST_SECONDS:.0f} s")

    async def _until_assessed(self, dataset: DemoDataset) -> None:
        address = f"{self._api}/{_name(dataset)}/versions/1/assessment"
        deadline = time.monotonic() + LONGEST_SECONDS
        while (await self._http.get(address, headers=self._headers)).status_code != 200:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{_name(dataset)} is not assessed after {LONGEST_SECONDS:.0f} s")
            await asyncio.sleep(0.2)

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._http.get(f"{self._api}/{path}", headers=self._headers)
        if answer.status_code != 200:
            raise DemoFailed(f"{path}: {answer.status_code} {answer.text}")
        return dict(answer.json())

    async def _post(self, path: str, **more: Any) -> dict[str, Any] | None:
        """The answer; nothing when it was there before."""
        answer = await self._http.post(f"{self._api}/{path}", headers=self._headers, **more)
        if answer.status_code == 200:
            return dict(answer.json())
        if answer.status_code == 409:
            return None
        raise DemoFailed(f"{path}: {answer.status_code} {answer.text}")


def _name(dataset: DemoDataset) -> str:
    return f"departments/{dataset.department}/datasets/{dataset.id}"
