"""The service as it runs: peers over gRPC, the job by the worker."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.db import Scope
from plaza_kit.db.jobs import Jobs
from plaza_kit.identity import ServiceTokens
from plaza_kit.policy import PolicyFollower
from plaza_kit.rpc.client import Peers
from plaza_kit.service import Runtime
from plaza_kit.settings import BadSettings, load
from plaza_kit.signing import KeyRing
from plaza_quality.rpc.build import SPEC, build
from plaza_quality.settings import QualitySettings
from plaza_quality.usecases.reading import NotAssessedYet
from sqlalchemy import text

Quality = Any
"""The fixture's class lives in conftest, which tests do not import."""


class Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    def __init__(self, quality: Quality) -> None:
        self.quality = quality
        self.callers: list[Any] = []

    async def GetDataset(self, request: Any, rpc: Any) -> catalogue_pb2.Dataset:
        self.callers.append(dict(rpc.invocation_metadata())["authorization"])
        assert request.name == self.quality.name
        return cast(catalogue_pb2.Dataset, self.quality.peer.dataset)


class Grants(security_pb2_grpc.GrantServiceServicer):
    def __init__(self, quality: Quality) -> None:
        self.quality = quality
        self.asked: list[Any] = []

    async def IssueReadGrant(self, request: Any, rpc: Any) -> security_pb2.IssueReadGrantResponse:
        self.asked.append((dict(rpc.invocation_metadata())["authorization"], request))
        grant = self.quality.peer.granter(dataset=request.dataset, version=request.version)
        return security_pb2.IssueReadGrantResponse(grant=grant)


class Tokens:
    async def token(self) -> str:
        return "own-token"


@pytest_asyncio.fixture
async def peers(quality: Quality) -> AsyncIterator[tuple[Peers, Catalogue, Grants]]:
    catalogue, grants = Catalogue(quality), Grants(quality)
    server = grpc.aio.server()
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(catalogue, server)
    security_pb2_grpc.add_GrantServiceServicer_to_server(grants, server)
    with tempfile.TemporaryDirectory(prefix="q") as folder:  # a socket's path must be short
        address = f"unix:{folder}/s"
        server.add_insecure_port(address)
        await server.start()
        opened = Peers({"catalogue": address, "security": address})
        yield opened, catalogue, grants
        await opened.close()
        await server.stop(None)


def settings(quality_url: str, warehouse: Path, catalog_url: str) -> QualitySettings:
    return QualitySettings(
        listen="unix:/nowhere",
        database_url=quality_url,
        issuer="http://127.0.0.1:1",
        client_id="plaza-quality",
        client_secret="-",
        trust_file=Path("/nowhere"),
        security_address="-",
        catalogue_address="-",
        ingestion_address="-",
        lake_warehouse=str(warehouse),
        lake_catalog_url=catalog_url,
        profile_rows=0,  # profiles read too, at their own time
    )


@pytest.mark.integration
async def test_an_event_becomes_an_assessment_by_itself(
    quality: Quality,
    peers: tuple[Peers, Catalogue, Grants],
    quality_url: str,
    quality_catalog_url: str,
    tmp_path: Path,
) -> None:
    channels, catalogue, grants = peers
    jobs = Jobs(quality_url, SPEC.schema)
    runtime = Runtime(
        database=quality.world.database,
        peers=channels,
        tokens=cast(ServiceTokens, Tokens()),
        policy=cast(PolicyFollower, quality.world.policy),
        outbox=quality.world.outbox,
        jobs=jobs,
        grants=quality.world.grants,
        keys=cast(KeyRing, None),
    )
    parts = await build(settings(quality_url, tmp_path / "lake", quality_catalog_url), runtime)
    server = grpc.aio.server()
    for register in parts.registrations:
        register(server)
    assert list(parts.service_names) == [
        "plaza.quality.v1.QualityService",
        "plaza.quality.v1.ScoreService",
        "plaza.quality.v1.VerdictService",
        "plaza.quality.v1.WorkOrderService",
        "plaza.quality.v1.GateService",
        "plaza.quality.v1.FailingRowsService",
        "plaza.quality.v1.ProfileService",
        "plaza.quality.v1.SuggestionService",
        "plaza.quality.v1.AnomalyService",
        "plaza.quality.v1.ReconciliationService",
        "plaza.quality.v1.HealthReportService",
        "plaza.common.v1.EventSinkService",
    ]
    async with quality.world.database.transaction(Scope.everything()) as connection:
        await connection.execute(text("DELETE FROM procrastinate_jobs"))  # of other tests, other lakes
    quality.rules({"notNull": {"field": "x"}})
    version = quality.commit([{"id": 1, "x": 1.0}, {"id": 2, "x": None}]).version
    await quality.deliver(quality.event(version))
    work = [asyncio.create_task(step()) for step in (jobs.run, *parts.background)]
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(NotAssessedYet):
                    made = await quality.get(version)
                    break
                await asyncio.sleep(0.05)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert (made.score, made.rows) == (50, 2)
    assert catalogue.callers == ["Bearer own-token"]
    [(caller, request)] = grants.asked
    assert caller == "Bearer own-token"
    assert request == security_pb2.IssueReadGrantRequest(
        dataset=quality.name, table="rows", version=version, audience="quality", purpose="assess"
    )
    [(*_, principal, _)] = await quality.outbox()
    assert principal == "services/plaza-quality"


def test_settings_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLAZA_CATALOGUE_ADDRESS", "PLAZA_LAKE_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSettings, match=r"PLAZA_LAKE_WAREHOUSE[\s\S]*PLAZA_CATALOGUE_ADDRESS"):
        load(QualitySettings)
