"""The chain in small, in a cluster, without a person's credentials: what `helm test` runs.

`python -m plaza_cli.installation wait`, until the operator has made the department; then `… chain`, as the department's
own machine client: both doors, a dataset, a file in, assessed, opened, read on the public face, withdrawn. Whoever made
the department takes it away again.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from plaza_kit.errors import PlazaError
from plaza_kit.identity import ServiceTokens

DATASET: Final = "installation"
WAIT_SECONDS: Final = 240.0
"""For each step; far more than it takes. A worker is started for the load."""
PAUSE_SECONDS: Final = 0.5
_API: Final = "https://kubernetes.default.svc"
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SAID: Final = 600
"""Characters of an answer that are told."""


class Broken(Exception):
    """The chain does not hold; the message says where."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the chain is gone."""

    internal: str
    """Address of the internal face, without a slash at its end; empty: it is not there."""
    public: str
    """Of the public face; empty: it is not there."""
    department: str
    """Its id; empty: only the doors are tried."""
    publish: bool

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """As the chart says it."""
        return cls(
            environment.get("PLAZA_TEST_INTERNAL", "").rstrip("/"),
            environment.get("PLAZA_TEST_PUBLIC", "").rstrip("/"),
            environment.get("PLAZA_TEST_DEPARTMENT", ""),
            environment.get("PLAZA_TEST_PUBLISH") == "yes",
        )

    @property
    def dataset(self) -> str:
        """Its resource name."""
        return f"departments/{self.department}/datasets/{DATASET}"


T = TypeVar("T")
TokenOf = Callable[[], Awaitable[str]]


async def until(what: str, ask: Callable[[], Awaitable[T | None]], seconds: float = WAIT_SECONDS) -> T:
    """The first answer that is one. Raises Broken when none comes in time; connections that fail are tried again."""
    deadline, why = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            found = await ask()
            if found is not None:
                return found
        except httpx.HTTPError as error:
            why = f" ({error!r})"
        await asyncio.sleep(PAUSE_SECONDS)
    raise Broken(f"{what}: not after {seconds:.0f} s{why}")


async def try_doors(http: httpx.AsyncClient, place: Place) -> None:
    """Each face is ready and describes itself. Raises Broken."""
    for door in filter(None, (place.internal, place.public)):
        for path in ("/readyz", "/api/v1/openapi.json"):
            await until(f"{door}{path} answers 200", partial(_is_there, http, door + path))
            _tell(f"{door}{path} answers")


async def _is_there(http: httpx.AsyncClient, url: str) -> bool | None:
    return True if (await http.get(url)).status_code == 200 else None


@dataclass(frozen=True, slots=True)
class Chain:
    """One way through, from the dataset to the tombstone."""

    http: httpx.AsyncClient
    place: Place
    token_of: TokenOf
    stamp: str
    """Makes the file another one each time: the same again would be no new version."""

    async def go(self) -> None:
        """Raises Broken, and what the issuer refuses."""
        await self._register()
        version = await self._load()
        await self._read_back()
        await until(
            f"version {version} is assessed",
            lambda: self._asked(f"{self.place.dataset}/versions/{version}/assessment"),
        )
        _tell(f"version {version} is assessed")
        if self.place.publish:
            await self._open()

    async def _register(self) -> None:
        parent = f"departments/{self.place.department}/datasets"
        await self._post(parent, _DATASET, {"datasetId": DATASET}, there=409)
        _tell(f"{self.place.dataset} is registered")

    async def _load(self) -> int:
        uploads = f"departments/{self.place.department}/uploads"
        rows = "place,value,taken\n" + "".join(f"{n},{n},{self.stamp}\n" for n in (1, 2, 3))
        upload = await self._post(uploads, rows.encode(), {"fileName": "installation.csv"})
        order = {"upload": upload["name"], "mode": "LOAD_MODE_REPLACE"}
        run = await self._post(f"{self.place.dataset}:ingest", order)
        ended = await self._ended(str(run["name"]), "RUN_STATE")
        if int(ended.get("progress", {}).get("rowsAccepted", 0)) != 3:
            raise Broken(f"3 rows went in, and came out as {ended}"[:_SAID])
        _tell(f"{run['name']} made version {ended['version']}")
        return int(ended["version"])

    async def _read_back(self) -> None:
        page = await self._get(f"{self.place.dataset}/rows")
        if str(page).count(self.stamp) != 3:
            raise Broken(f"the 3 rows are not those that were loaded: {page}"[:_SAID])
        _tell("3 rows are read")

    async def _open(self) -> None:
        release = str((await self._post(f"{self.place.dataset}/releases", {}))["name"])
        ended = await self._ended(release, "RELEASE_STATE")
        try:
            file = next(one["fileName"] for one in ended["files"] if one["fileName"].endswith(".csv"))
            for door in filter(None, (self.place.public, self.place.internal)):
                await until(f"{file} is given out by {door}", partial(self._public, door, release, file))
                _tell(f"{door} gives out {file} to everybody")
        finally:
            await self._post(f"{release}:withdraw", {"reason": "helm test"})
            _tell(f"{release} is withdrawn")

    async def _public(self, door: str, release: str, file: str) -> bool | None:
        answer = await self.http.get(f"{door}/api/v1/{release}/files/{file}")
        return True if answer.status_code == 200 and answer.text.count(self.stamp) == 3 else None

    async def _ended(self, name: str, states: str) -> dict[str, Any]:
        good = {f"{states}_SUCCEEDED", f"{states}_PUBLISHED"}
        bad = {f"{states}_FAILED", f"{states}_CANCELLED"}

        async def ask() -> dict[str, Any] | None:
            found = await self._asked(name)
            if found is not None and found.get("state") in bad:
                raise Broken(f"{name}: {found.get('error')}"[:_SAID])
            return found if found is not None and found.get("state") in good else None

        return await until(f"{name} is done", ask)

    async def _asked(self, path: str) -> dict[str, Any] | None:
        """What there is; None while there is nothing, or nobody answers."""
        answer = await self.http.get(self._url(path), headers=await self._headers())
        return dict(answer.json()) if answer.status_code == 200 else None

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self.http.get(self._url(path), headers=await self._headers())
        return _checked(answer, path)

    async def _post(
        self, path: str, body: object, query: Mapping[str, str] | None = None, *, there: int = 0
    ) -> dict[str, Any]:
        given: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = await self._headers()
        answer = await self.http.post(self._url(path), headers=headers, params=query, **given)
        return {} if answer.status_code == there else _checked(answer, path)

    def _url(self, path: str) -> str:
        return f"{self.place.internal}/api/v1/{path}"

    async def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {await self.token_of()}"}


def _checked(answer: httpx.Response, path: str) -> dict[str, Any]:
    if answer.status_code != 200:
        raise Broken(f"{path}: {answer.status_code} {answer.text}"[:_SAID])
    return dict(answer.json())


def _field(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "sourceName": name, "type": f"FIELD_TYPE_{kind}"}


_DATASET: Final[dict[str, Any]] = {
    "displayName": "安装检验",
    "displayNameEn": "Installation test",
    "description": "由 helm test 生成，检验后即撤回。",
    "format": "CSV",
    "cityLevel": "CITY_LEVEL_PUBLIC",
    "sharing": {"class": "SHARING_CLASS_UNCONDITIONAL"},
    "opening": {"allowed": True},
    "licence": "CC0-1.0",
    "contract": {
        "fields": [_field("place", "INTEGER"), _field("value", "INTEGER"), _field("taken", "STRING")],
        "key": ["place"],
        "rules": [
            {
                "id": "value",
                "dimension": "DIMENSION_COMPLETENESS",
                "thresholdPercent": 100,
                "notNull": {"field": "value"},
            }
        ],
    },
}


class Kubernetes:
    """The two objects that the test may read."""

    def __init__(self) -> None:
        """As the pod's ServiceAccount. Raises OSError outside a cluster."""
        verify = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
        self._http = httpx.AsyncClient(base_url=_API, verify=verify, timeout=10, trust_env=False)

    async def department(self, name: str) -> dict[str, Any] | None:
        """The resource once the operator says that it is ready, else None."""
        found = await self._get(f"/apis/plaza.city/v1alpha1/departments/{name}")
        said = {one["type"]: one for one in found.get("status", {}).get("conditions", ())}
        return found if said.get("Ready", {}).get("status") == "True" else None

    async def credentials(self, department: str) -> tuple[str, str] | None:
        """Id and secret of the department's machine client; None while we may not read them."""
        found = await self._get(f"/api/v1/namespaces/dept-{department}/secrets/worker")
        held = {name: base64.b64decode(value).decode() for name, value in found.get("data", {}).items()}
        return (held["client-id"], held["client-secret"]) if held else None

    async def _get(self, path: str) -> dict[str, Any]:
        token = (_ACCOUNT / "token").read_text(encoding="utf-8")
        answer = await self._http.get(path, headers={"authorization": f"Bearer {token}"})
        # Rights that were given a moment ago take a moment to hold.
        return dict(answer.json()) if answer.status_code == 200 else {}


async def wait(place: Place) -> None:
    """Until the department is ready. Raises Broken."""
    kubernetes = Kubernetes()
    await until(
        f"the department {place.department} is ready", lambda: kubernetes.department(place.department)
    )
    _tell(f"the department {place.department} is ready")


async def chain(place: Place) -> None:
    """Raises Broken, PlazaError."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        await try_doors(http, place)
        if not place.department:
            _tell(
                "No department is made for the test (helmTest.chain, operator.enabled): the chain was NOT gone."
            )
            return
        kubernetes = Kubernetes()
        client, secret = await until(
            "the machine client's secret can be read", lambda: kubernetes.credentials(place.department)
        )
        connect_to = os.environ.get("PLAZA_ISSUER_CONNECT", "")
        tokens = ServiceTokens(os.environ["PLAZA_ISSUER"], client, secret, connect_to=connect_to)
        try:
            await Chain(http, place, tokens.token, f"run-{time.time_ns()}").go()
        finally:
            await tokens.aclose()
    _tell("The chain holds.")


def _tell(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Exits with a message where the chain breaks."""
    steps = {"wait": wait, "chain": chain}
    if len(sys.argv) != 2 or sys.argv[1] not in steps:
        sys.exit(f"one of {', '.join(steps)} is wanted")
    try:
        asyncio.run(steps[sys.argv[1]](Place.of(os.environ)))
    except KeyError as error:
        sys.exit(f"set {error.args[0]}")
    except Broken as error:
        sys.exit(f"The chain breaks: {error}")
    except PlazaError as error:
        sys.exit(f"The chain breaks: {error.message}. {error.remedy}")


if __name__ == "__main__":
    main()
