"""A release's life under traffic: the version before, with data, becomes this one; goes back; comes again; and then
nothing moves.

The version before is a git ref, `PLAZA_E2E_PREVIOUS`: its charts are taken from there. Its images bear the tag
`PLAZA_E2E_PREVIOUS_TAG` (`previous`), this version's `PLAZA_E2E_TAG` (the file VERSION). Both were built before:

    git worktree add ../before REF && make -C ../before images TAG=previous IMAGE_LOADER=…
    make images IMAGE_LOADER=…

Alone and first on a new cluster, `pytest e2e-tests/cluster_full/test_upgrade.py` installs the version before, so that
the schemas are its own. With `PLAZA_E2E_INSTALLED=1` what is there is brought to the version before, and if its schemas
are newer, that is said: migrations only expand, and nobody takes them back. `PLAZA_E2E_PREVIOUS=installed` takes what
is there, with its values, as the version before.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import air_quality
import cluster
import httpx
import pytest
from cluster import NAMESPACE, Cluster, kubectl, run
from cluster_full.tenants import Operator, samples, sql, table
from mortal_client import PatientClient
from plaza_cli.demo import fill

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = os.environ.get("PLAZA_E2E_PREVIOUS", "86c02c4")
PREVIOUS_TAG = os.environ.get("PLAZA_E2E_PREVIOUS_TAG", "previous")
TAG = os.environ.get("PLAZA_E2E_TAG") or (ROOT / "VERSION").read_text(encoding="ascii").strip()
SERVICES = ("catalogue", "ingestion", "open_data", "quality", "security", "sharing")
ROLLED_SECONDS = 900
PATIENCE_SECONDS = 120
AGAIN = (502, 503, 504)
"""Answers after which a client may ask the same again; no answer at all is another."""
HOURS = 300


@dataclass
class Release:
    """The release of charts/plaza, its versions and what was measured."""

    plaza: Cluster
    values: dict[str, Any]
    """Of every version, but for the image's tag."""
    fresh: bool = False
    """Nothing was there before: the schemas are those of the version before."""
    rows: list[tuple[str, str]] = field(default_factory=list)

    def bring(self, charts: Path, tag: str) -> float:
        """`helm upgrade`, as a platform team does it; answers the seconds until all pods are new."""
        begun = time.monotonic()
        helm = ("helm", "upgrade", "--install", "--namespace", NAMESPACE)
        waiting = ("--wait", "--timeout", f"{ROLLED_SECONDS}s")
        run(*helm, "plaza-crds", str(charts / "plaza-crds"), *waiting)
        values = ("--values", str(charts / "plaza" / "values-dev.yaml"), "--values", "-")
        run(*helm, "plaza", str(charts / "plaza"), *values, *waiting,
            stdin=json.dumps(self.values | {"image": {"tag": tag}}), seconds=ROLLED_SECONDS)  # fmt: skip
        return time.monotonic() - begun

    def to_this(self) -> float:
        """This version."""
        return self.bring(cluster.CHARTS, TAG)

    def note(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))
        print(f"  {what}: {figure}")

    @staticmethod
    def revisions() -> dict[str, str]:
        """At which migration each service's schema is."""
        return {name: sql("plaza", f"SELECT version_num FROM {name}.schema_version") for name in SERVICES}

    @staticmethod
    def images() -> set[str]:
        """Tags that the pods run with."""
        labels = "app.kubernetes.io/instance=plaza,app.kubernetes.io/component!=test"
        pods = json.loads(kubectl("get", "pods", "-l", labels, "-o", "json"))["items"]
        return {
            one["spec"]["containers"][0]["image"].rpartition(":")[2]
            for one in pods
            if one["status"]["phase"] == "Running" and not one["metadata"].get("deletionTimestamp")
        }


# Who has no certificates between pods today gets them in an upgrade of their own: pods with them and pods without
# cannot call each other.
PLAIN = {"tls": {"mode": "none"}}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The version before, with data."""
    cluster.require_tools()
    folder = tmp_path_factory.mktemp("before")
    if PREVIOUS == "installed":
        said = json.loads(run("helm", "get", "values", "plaza", "--namespace", NAMESPACE, "--output", "json"))
        made = Release(cluster.ready(folder), said)
        give_data(made.plaza)
    elif os.environ.get("PLAZA_E2E_INSTALLED") == "1":
        plaza = cluster.ready(folder)
        made = Release(plaza, plaza._values() | PLAIN)
        if made.images() != {PREVIOUS_TAG}:
            made.bring(charts_of(PREVIOUS, folder), PREVIOUS_TAG)
        give_data(plaza)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster, "CHARTS", charts_of(PREVIOUS, folder))
            given, changed = Cluster._values, PLAIN | {"image": {"tag": PREVIOUS_TAG}}
            patch.setattr(Cluster, "_values", lambda self: given(self) | changed)
            there = run("helm", "list", "--namespace", NAMESPACE, "--filter", "^plaza$", "--short")
            plaza = cluster.ready(folder)
        made = Release(plaza, plaza._values() | PLAIN, fresh=not there.strip())
    yield made
    table("Upgrade:", made.rows)


def give_data(plaza: Cluster) -> None:
    """The demo's datasets of one department, some of them open."""

    async def token_of(person: str) -> str:
        return await asyncio.to_thread(plaza.token, person)

    async def give() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            await fill(http, plaza.url, token_of, "ecology")

    asyncio.run(give())


def charts_of(ref: str, folder: Path) -> Path:
    """As they were at a commit."""
    done = subprocess.run(["git", "archive", ref, "charts"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.fail(f"PLAZA_E2E_PREVIOUS={ref} is no version with charts: {done.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "charts"


@dataclass
class Traffic:
    """Programs and people who ask all the time, and ask the same again when nobody answers."""

    plaza: Cluster
    department: str = "ecology"
    answered: dict[str, int] = field(default_factory=dict)
    again: int = 0
    slowest: float = 0.0
    lost: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    """Ids of source systems whose registration was confirmed."""
    _over: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def flowing(self) -> Iterator[Traffic]:
        kinds = (self._directory, self._public_search, self._public_file, self._register)
        threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS + 60)

    def check(self) -> None:
        """Every request was answered, and what was confirmed is there, once."""
        assert not self.lost, self.lost[:3]
        assert len(self.answered) == 4, self.answered
        registered = [name.rpartition("/")[2] for name in self._registered()]
        assert len(registered) == len(set(registered))
        assert set(self.made) <= set(registered)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.answered.items()))
        return f"{kinds}; {self.again} asked again, none lost, the slowest after {self.slowest:.1f} s"

    def _repeat(self, kind: Callable[[], None]) -> None:
        name = kind.__name__.strip("_")
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                kind()
            except Exception as error:  # told at the end: a thread's own goes unseen
                self.lost.append(f"{name}: {error!r}"[:400])
            with self._counting:
                self.answered[name] = self.answered.get(name, 0) + 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
            time.sleep(0.2)

    def _directory(self) -> None:
        page = self._ask("GET", f"{self._api}/departments/{self.department}/datasets", officer=True)
        assert page.json()["datasets"], "the demo's datasets are there"

    def _public_search(self) -> None:
        found = self._ask("GET", f"{self.plaza.portal}/api/v1/openDatasets:search")
        assert found.json()["datasets"], "the demo's open datasets are there"

    def _public_file(self) -> None:
        assert self._ask("GET", self._released).content, "a released file has bytes"

    def _register(self) -> None:
        made = f"u{uuid.uuid4().hex[:12]}"
        body = {"displayName": "升级", "class": "SOURCE_SYSTEM_CLASS_GOVERNMENT"}
        query = {"sourceSystemId": made, "requestId": str(uuid.uuid4())}
        self._ask("POST", self._systems, officer=True, params=query, json=body)
        self.made.append(made)

    def _registered(self) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            query = {"pageSize": 1000, "pageToken": token}
            page = self._ask("GET", self._systems, officer=True, params=query).json()
            found += [one["name"] for one in page.get("sourceSystems", ())]
            token = page.get("nextPageToken", "")
            if not token:
                return found

    @property
    def _api(self) -> str:
        return self.plaza.api

    @property
    def _systems(self) -> str:
        return f"{self._api}/departments/{self.department}/sourceSystems"

    @property
    def _released(self) -> str:
        name = f"departments/{self.department}/datasets"
        datasets = self._ask("GET", f"{self._api}/{name}", officer=True).json()["datasets"]
        opened = next(one for one in datasets if one.get("latestRelease"))
        file = f"{opened['name'].rpartition('/')[2]}-r{opened['latestRelease']}.csv"
        return f"{self.plaza.portal}/api/v1/{opened['name']}/releases/{opened['latestRelease']}/files/{file}"

    def _ask(self, method: str, address: str, *, officer: bool = False, **more: Any) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                token = self.plaza.token(f"{self.department}-officer") if officer else ""
                headers = {"authorization": f"Bearer {token}"} if token else {}
                answer = httpx.request(method, address, headers=headers, trust_env=False, timeout=30, **more)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.status_code not in AGAIN:
                    assert answer.is_success, f"{method} {address}: {answer.status_code} {answer.text}"
                    return answer
                said = f"{answer.status_code} {answer.text}"
            assert time.monotonic() < deadline, f"{method} {address}: {said}"
            with self._counting:
                self.again += 1
            time.sleep(0.3)


@dataclass
class Loads:
    """Files that come in meanwhile, each whole and once."""

    client: PatientClient
    folder: Path
    dataset: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:8]}")
    count: int = 0

    def load(self) -> None:
        file = air_quality.station_file(
            self.folder, "Dongsi", HOURS, first=self.count * HOURS, seed=self.count
        )
        self.client.load(self.dataset, file, "append")
        self.count += 1

    @contextmanager
    def coming_in(self) -> Iterator[None]:
        """One after the other, until the end."""
        over, failed = threading.Event(), []

        def repeat() -> None:
            try:
                while not over.is_set():
                    self.load()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(ROLLED_SECONDS)
        assert not failed, failed

    def check(self) -> None:
        lines = self.client.rows(self.dataset)
        assert len(lines) == 1 + self.count * HOURS == len(set(lines))


@pytest.fixture(scope="module")
def loads(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    made = Loads(PatientClient(release.plaza), tmp_path_factory.mktemp("loads"))
    made.client.register(made.dataset, "csv")
    made.load()
    return made


def under_traffic(release: Release, loads: Loads, what: str, change: Callable[[], float]) -> None:
    """Changes the release while everything is used; afterwards nothing is lost."""
    traffic, before = Traffic(release.plaza), loads.count
    with traffic.flowing(), loads.coming_in():
        seconds = change()
        time.sleep(10)
    traffic.check()
    loads.check()
    release.note(what, f"{seconds:.0f} s; {traffic}; {loads.count - before} files loaded")


def test_the_version_before_becomes_this_one(release: Release, loads: Loads) -> None:
    old = release.revisions()
    assert TAG not in release.images(), "nothing would change"
    under_traffic(release, loads, f"{PREVIOUS} → this", release.to_this)
    assert release.images() == {TAG}
    new = release.revisions()
    moved = [f"{name} {old[name]} → {new[name]}" for name in SERVICES if old[name] != new[name]]
    if release.fresh:
        assert moved, "between two versions without a migration an upgrade shows little"
    release.note("migrations", ", ".join(moved) or "NONE: the schemas were this version's already")


def test_rollback_and_again(release: Release, loads: Loads) -> None:
    """The version before works on the schemas of this one: migrations only expand."""
    revisions = release.revisions()

    def back() -> float:
        begun = time.monotonic()
        run("helm", "rollback", "plaza", "--namespace", NAMESPACE, "--wait", "--timeout", f"{ROLLED_SECONDS}s",
            seconds=ROLLED_SECONDS)  # fmt: skip
        return time.monotonic() - begun

    if release.images() != {TAG}:
        release.to_this()
    under_traffic(release, loads, "helm rollback", back)
    assert TAG not in release.images()
    assert release.revisions() == revisions
    release.note("this again", f"{release.to_this():.0f} s")
    assert release.images() == {TAG}
    loads.load()
    loads.check()


def test_then_nothing_moves(release: Release) -> None:
    """The same `helm upgrade` again changes no object, and the operator has nothing to put right."""
    operator = Operator()  # the fixture's would install the release anew, with its own values
    if release.images() != {TAG}:
        release.to_this()
    for name in json.loads(kubectl("get", "departments", "-o", "json"))["items"]:
        kubectl("wait", "--for=condition=Ready", f"department/{name['metadata']['name']}", "--timeout=120s")
    before = objects()
    release.to_this()
    after = objects()
    assert after.keys() == before.keys()
    changed = [key for key in after if after[key] != before[key]]
    assert not changed, changed
    # The workers that came with the loads may still go; what counts is what comes without a reason.
    time.sleep(90)
    writes = samples(operator.metrics(), "plaza_operator_writes_total")
    time.sleep(70)
    assert samples(operator.metrics(), "plaza_operator_writes_total") == writes
    release.note("drift", f"none in {len(after)} objects; no write by the operator in 70 s")


def objects() -> dict[str, Any]:
    """What the release consists of, without what the cluster notes about it; and its pods by their ids."""
    manifest = run("helm", "get", "manifest", "plaza", "--namespace", NAMESPACE)
    found = json.loads(kubectl("get", "-f", "-", "-o", "json", stdin=manifest))["items"]
    said = {}
    for one in found:
        noted = {"managedFields", "resourceVersion"}
        metadata = {k: v for k, v in one["metadata"].items() if k not in noted}
        said[f"{one['kind']}/{metadata['name']}"] = {**one, "metadata": metadata, "status": None}
    pods = json.loads(kubectl("get", "pods", "-l", "app.kubernetes.io/instance=plaza", "-o", "json"))["items"]
    return said | {f"Pod/{one['metadata']['name']}": one["metadata"]["uid"] for one in pods}
