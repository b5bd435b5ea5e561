"""The service as it is built, over a socket, with catalogue and security behind sockets too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.api import httpbody_pb2
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.common.v1 import runs_pb2
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza.ingestion.v1 import ingestion_pb2_grpc, worker_pb2, worker_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.rpc.build import SPEC, build
from plaza_ingestion.settings import IngestionSettings
from plaza_kit.db.jobs import Jobs
from plaza_kit.identity import Principal, ServiceTokens, TokenVerifier
from plaza_kit.policy import PolicyFollower
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_kit.rpc.server import Server
from plaza_kit.rpc.status import status_of
from plaza_kit.service import Runtime
from plaza_kit.signing import KeyRing
from plaza_testing.callers import machine, person

pytestmark = pytest.mark.integration

Ingestion = Any
FILE = b"Station,Hour,PM2.5\na,1,35\nb,1,x\n"


class Tokens:
    """Tokens that say who they are: `data-officer:ecology`."""

    async def verify(self, token: str) -> Principal:
        role, _, department = token.partition(":")
        return machine(department) if role == "machine" else person(role, department)


class Others(
    catalogue_pb2_grpc.CatalogueServiceServicer,
    security_pb2_grpc.GrantServiceServicer,
):
    """Catalogue and security, as far as they are asked."""

    def __init__(self, ingestion: Ingestion) -> None:
        self._ingestion = ingestion

    async def GetDataset(self, request: catalogue_pb2.GetDatasetRequest, rpc: Any) -> catalogue_pb2.Dataset:
        if request.name != self._ingestion.dataset:
            await rpc.abort(grpc.StatusCode.NOT_FOUND, "no such dataset")
        force = self._ingestion.peer.force
        return catalogue_pb2.Dataset(
            name=request.name, contract=force.contract, contract_version=force.version
        )

    async def IssueRunGrant(
        self, request: security_pb2.IssueRunGrantRequest, rpc: Any
    ) -> security_pb2.IssueRunGrantResponse:
        grant = await self._ingestion.peer.run_grant(request.run, request.dataset)
        return security_pb2.IssueRunGrantResponse(grant=grant)

    async def IssueReadGrant(
        self, request: security_pb2.IssueReadGrantRequest, rpc: Any
    ) -> security_pb2.IssueReadGrantResponse:
        assert (request.table, request.audience, request.purpose) == ("quarantine", "ingestion", "quarantine")
        grant = await self._ingestion.peer.quarantine_grant(request.dataset)
        return security_pb2.IssueReadGrantResponse(grant=grant)


@pytest.fixture
def ingestion_settings(
    ingestion_url: str, ingestion_catalog: str, tmp_path: Path, ingestion: Ingestion
) -> IngestionSettings:
    return IngestionSettings(
        listen=f"unix:{tmp_path}/i.sock",
        database_url=ingestion_url,
        issuer="http://127.0.0.1:1",
        client_id="plaza-ingestion",
        client_secret="-",
        trust_file=tmp_path / "trust.json",
        security_address=f"unix:{tmp_path}/o.sock",
        catalogue_address=f"unix:{tmp_path}/o.sock",
        quality_address=f"unix:{tmp_path}/o.sock",
        lake_warehouse=str(tmp_path / "lake"),
        lake_catalog_url=ingestion_catalog,
        staging=str(tmp_path / "staging"),
    )


async def test_a_file_over_the_wire(ingestion: Ingestion, ingestion_settings: IngestionSettings) -> None:
    settings = ingestion_settings
    peers = Peers({"security": settings.security_address, "catalogue": settings.catalogue_address})
    runtime = Runtime(
        database=ingestion.world.database,
        peers=peers,
        tokens=cast(ServiceTokens, None),
        policy=cast(PolicyFollower, ingestion.policy),
        outbox=ingestion.world.outbox,
        jobs=Jobs(settings.database_url, SPEC.schema),
        grants=ingestion.world.grants,
        keys=KeyRing([ingestion.peer.granter.key.verifying_key]),
    )
    steps: list[LoadStep] = []
    parts = await build(settings, runtime, on_step=steps.append)
    verifier = cast(TokenVerifier, Tokens())
    others = Others(ingestion)
    played = Server(
        settings.security_address,
        verifier,
        [
            lambda server: catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(others, server),
            lambda server: security_pb2_grpc.add_GrantServiceServicer_to_server(others, server),
        ],
        [],
    )
    server = Server(settings.listen, verifier, parts.registrations, parts.service_names)
    await played.start()
    await server.start()
    background = [asyncio.create_task(step()) for step in (runtime.jobs.run, *parts.background)]
    client = Peers({"ingestion": settings.listen})
    try:
        async with asyncio.timeout(30):
            await story(ingestion, client.channel("ingestion"))
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
        await peers.close()
        await server.stop()
        await played.stop()
        set_caller(None)
    assert steps == list(LoadStep)


async def story(ingestion: Ingestion, channel: grpc.aio.Channel) -> None:
    department = f"departments/{ingestion.department}"
    officer = (("authorization", f"Bearer data-officer:{ingestion.department}"),)
    worker = (("authorization", f"Bearer machine:{ingestion.department}"),)
    intake = ingestion_pb2_grpc.IngestionServiceStub(channel)
    work_service = worker_pb2_grpc.WorkerServiceStub(channel)

    async def messages() -> AsyncIterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(header=pb.UploadHeader(parent=department, file_name="air.csv"))
        yield pb.UploadFileRequest(chunk=FILE)
        yield pb.UploadFileRequest(end=pb.UploadEnd(size_bytes=len(FILE)))

    upload = await intake.UploadFile(messages(), metadata=officer)
    assert upload.size_bytes == len(FILE)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        unknown = pb.IngestUploadRequest(dataset=f"{department}/datasets/other", upload=upload.name)
        await intake.IngestUpload(unknown, metadata=officer)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    request = pb.IngestUploadRequest(dataset=ingestion.dataset, upload=upload.name)
    run = await intake.IngestUpload(request, metadata=officer)
    answer = await work_service.LeaseWork(worker_pb2.LeaseWorkRequest(department=department), metadata=worker)
    await work_service.CompleteLoad(await ingestion.stage(answer.work), metadata=worker)
    watched = [run async for run in intake.WatchRun(pb.WatchRunRequest(name=run.name), metadata=officer)]
    assert watched[-1].state == runs_pb2.RUN_STATE_SUCCEEDED
    assert watched[-1].version == 1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await intake.IngestUpload(request, metadata=officer)
    assert "already ingested as version 1" in status_of(raised.value).message
    bodies: list[httpbody_pb2.HttpBody] = [
        body
        async for body in intake.ExportQuarantine(
            pb.ExportQuarantineRequest(parent=ingestion.dataset), metadata=officer
        )
    ]
    assert b"".join(body.data for body in bodies) == b"Station,Hour,PM2.5\nb,1,x\n"
