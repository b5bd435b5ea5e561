"""The chain with everything on S3: the worker has its department's keys alone, ingestion a machine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import sources_pb2, worker_pb2
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.storage.staging import NotAPlainFile, StagedFileMissing
from plaza_ingestion.storage.staging_area import Staging, staging_at
from plaza_ingestion.worker.client import WorkerClient
from plaza_ingestion.worker.places import Bucket, OutsidePrefix, place_at
from plaza_ingestion.worker.process import Worker, _Order
from plaza_ingestion.worker.source import SourceChanged
from plaza_kit.objects.settings import S3Access, S3Place
from plaza_kit.objects.store import StoreRefuses
from plaza_lake.files import UnreachableFile, files_at
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.versions import versions
from plaza_testing.s3 import Gateway

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Ingestion = Any
Web = Any
HEADING = b"Station,Hour,PM2.5\n"
BEFORE = HEADING + b"a,1,35\nb,1,x\n"
FILE = HEADING + b"c,1,1\na,1,99\nz,z,z\nb,2,NA\nb,2,3\n"


class Killed(BaseException):
    """As if the process had ended here: nothing catches it."""


@dataclass
class OnS3:
    """Two buckets, and machines that come and go."""

    gateway: Gateway
    catalog_url: str
    department: str
    folder: Path
    machines: int = 0
    lakes: list[Lake] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.department_keys: S3Access = self.gateway.user()
        self.gateway.bucket(self.department_keys, f"plaza-{self.department}")
        self.warehouse = f"s3://{self.gateway.bucket()}/lake"

    def place(self, access: S3Access) -> S3Place:
        self.machines += 1
        return S3Place(access, self.folder / f"machine-{self.machines}", 1 << 26)

    def moved(self, ingestion: Ingestion) -> None:
        """Ingestion goes on on another machine."""
        settings = LakeSettings(self.catalog_url, self.warehouse, memory_limit="256MB")
        lake = Lake(replace(settings, s3=self.place(self.gateway.access())))
        self.lakes.append(lake)
        staging = staging_at("s3://plaza-{department}/staging", lake.files, self.warehouse)
        ingestion.world = replace(ingestion.world, lake=lake, staging=staging)

    def work(self, work: worker_pb2.Work) -> Any:
        """What the worker's process makes of it, with nothing but its department's keys."""
        worker = Worker(cast(WorkerClient, None), self.bucket(self.department_keys))
        return worker._do(work, _Order())

    def bucket(self, access: S3Access) -> Bucket:
        place = place_at(f"s3://plaza-{self.department}/staging", self.place(access))
        assert isinstance(place, Bucket)
        return place

    def objects(self, place: str) -> list[str]:
        found = files_at(place, self.place(self.gateway.access())).listed(place)
        return sorted(file.uri.removeprefix(place) for file in found)


@pytest.fixture
def s3_world(s3: Gateway, ingestion: Ingestion, ingestion_catalog: str, tmp_path: Path) -> Iterator[OnS3]:
    world = OnS3(s3, ingestion_catalog, ingestion.department, tmp_path / "s3")
    world.moved(ingestion)

    async def done(work: worker_pb2.Work) -> Any:
        return await asyncio.to_thread(world.work, work)

    ingestion.stage = ingestion.fetch = done
    yield world
    for lake in world.lakes:
        lake.close()


async def test_a_load_all_the_way(ingestion: Ingestion, s3_world: OnS3) -> None:
    await ingestion.whole(BEFORE)
    s3_world.moved(ingestion)
    run = await ingestion.whole(FILE)
    assert (run.state, run.version) == (runs_pb2.RUN_STATE_SUCCEEDED, 2)
    assert dict(run.refused_by_reason) == {"duplicate_key": 2, "type": 1}
    s3_world.moved(ingestion)
    assert [row["station"] for row in ingestion.rows()] == ["a", "b", "c"]
    assert b"a,1,99" in [row["original"] for row in ingestion.rows("quarantine")]
    staged = s3_world.objects(f"s3://plaza-{s3_world.department}/staging/")
    assert [path.split("/")[0] for path in staged] == ["uploads", "uploads"]
    assert s3_world.objects(f"{s3_world.warehouse}/_ingestion") == []
    assert not (ingestion.root / "lake").exists()
    assert not (ingestion.root / "staging").exists()


@pytest.mark.parametrize("at", [LoadStep.DATA_FILES, LoadStep.CATALOGUE_COMMIT])
async def test_killed_and_carried_on_by_another_machine(
    at: LoadStep, ingestion: Ingestion, s3_world: OnS3
) -> None:
    await ingestion.whole(BEFORE)
    run = await ingestion.loaded(FILE)

    def kill(step: LoadStep) -> None:
        if step is at:
            raise Killed

    ingestion.with_steps(kill)
    with pytest.raises(Killed):
        await ingestion.commit()
    ingestion.with_steps(lambda _: None)
    s3_world.moved(ingestion)
    known = versions(ingestion.world.lake, ingestion.dataset)
    assert len(known) == (1 if at is LoadStep.DATA_FILES else 2)
    assert len(ingestion.rows()) == known[-1].total_rows
    await ingestion.commit()
    done = await ingestion.get(run.name)
    assert (done.state, done.version) == (runs_pb2.RUN_STATE_SUCCEEDED, 2)
    assert [row["station"] for row in ingestion.rows()] == ["a", "b", "c"]
    assert len(ingestion.rows("quarantine")) == 4
    assert [data["version"] for _, _, data in await ingestion.events()] == [1, 2]
    data = s3_world.objects(f"{s3_world.warehouse}/{s3_world.department}/air/rows/data")
    assert len(data) == 2, "nothing is left of the first try"


async def test_a_staged_file_that_is_changed_afterwards_does_not_come_in(
    ingestion: Ingestion, s3_world: OnS3
) -> None:
    run = await ingestion.ingest(FILE)
    work = await ingestion.lease()
    manifest = await ingestion.stage(work)
    await ingestion.work.CompleteLoad(manifest, RPC)
    bucket = s3_world.bucket(s3_world.department_keys)
    planted = bucket.folder(manifest.accepted.path)
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"x" * manifest.accepted.size_bytes)
    bucket.hand_over([manifest.accepted.path])
    await ingestion.commit()
    assert (await ingestion.get(run.name)).error.reason == "STAGED_FILE_CHANGED"
    assert ingestion.rows() == []


async def test_a_pull_and_its_upload(ingestion: Ingestion, s3_world: OnS3, web: Web) -> None:
    web.give(HEADING + b"a,1,35\n", ETag='"a"')
    await ingestion.source(http=sources_pb2.HttpConnector(url=f"{web.url}/air.csv"))
    run = await ingestion.pulled()
    assert (run.state, run.version) == (runs_pb2.RUN_STATE_SUCCEEDED, 1), run.error
    assert [row["station"] for row in ingestion.rows()] == ["a"]
    [upload] = s3_world.objects(f"s3://plaza-{s3_world.department}/staging/")
    assert upload.startswith("uploads/")
    staging = ingestion.world.staging
    staging.remove_upload(s3_world.department, upload)
    staging.remove_upload(s3_world.department, upload)
    assert s3_world.objects(f"s3://plaza-{s3_world.department}/staging/") == []
    with pytest.raises(StagedFileMissing), staging.opened(s3_world.department, upload):
        pass


async def test_an_inference(ingestion: Ingestion, s3_world: OnS3) -> None:
    upload = await ingestion.upload(BEFORE)
    run = await ingestion.api.InferContract(pb.InferContractRequest(upload=upload.name), RPC)
    work = await ingestion.lease()
    assert work.run == run.name
    proposal = await ingestion.stage(work)
    assert [one.name for one in proposal.contract.fields] == ["station", "hour", "pm2_5"]


def test_a_workers_keys_open_nothing_else(s3: Gateway, ingestion: Ingestion, s3_world: OnS3) -> None:
    strange = s3_world.bucket(s3.user())
    act: Callable[[], Any]
    for act in (lambda: strange.source("uploads/1/air.csv"), lambda: strange.hand_over(["runs/1/1/x"])):
        here = strange.folder("runs/1/1/x")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(b"planted")
        with pytest.raises(StoreRefuses):
            act()
        strange.clear()
        assert not here.exists()
    own = s3_world.bucket(s3_world.department_keys)
    with pytest.raises(SourceChanged):
        own.source("uploads/1/air.csv")
    city = Bucket(s3_world.warehouse, s3_world.place(s3_world.department_keys))
    with pytest.raises(StoreRefuses):
        city.source(f"{s3_world.department}/air/rows/metadata/1")
    for path in ("../other/x", "", "runs//x", "/x"):
        with pytest.raises(OutsidePrefix):
            own.source(path)
        with pytest.raises(NotAPlainFile):
            ingestion.world.staging.size(s3_world.department, path)


def test_the_setting_says_where(tmp_path: Path) -> None:
    local = files_at(str(tmp_path), None)
    assert isinstance(staging_at(str(tmp_path), local, str(tmp_path)), Staging)
    with pytest.raises(UnreachableFile):
        staging_at("s3://plaza-{department}", local, str(tmp_path))
