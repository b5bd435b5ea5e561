"""What sharing asks of the catalogue and of security, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.common.v1 import grades_pb2
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.names import DatasetName, DepartmentId
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_sharing.domain.sharing import Dataset
from plaza_sharing.rpc.peers import CataloguePeer, SecurityAway, SecurityPeer
from plaza_sharing.usecases.ports import ReadRight
from plaza_testing.callers import person

pytestmark = pytest.mark.integration

AIR = DatasetName.parse("departments/ecology/datasets/air")
WATER = DatasetName.parse("departments/ecology/datasets/water")
RIGHT = ReadRight(AIR, 3, ("hour",), "share", "agreements/a", DepartmentId("transport"))


class Both(catalogue_pb2_grpc.CatalogueServiceServicer, security_pb2_grpc.GrantServiceServicer):
    """Both services in one, as far as they are asked."""

    asked: security_pb2.IssueReadGrantRequest
    answer = grpc.StatusCode.OK

    async def GetDataset(self, request: catalogue_pb2.GetDatasetRequest, rpc: Any) -> catalogue_pb2.Dataset:
        assert dict(rpc.invocation_metadata())["authorization"] == "Bearer -"
        dataset = catalogue_pb2.Dataset(name=request.name)
        if request.name == str(AIR):
            dataset.city_level = grades_pb2.CITY_LEVEL_INTERNAL
            setattr(dataset.sharing, "class", grades_pb2.SHARING_CLASS_NOT_SHARED)
        return dataset

    async def IssueReadGrant(
        self, request: security_pb2.IssueReadGrantRequest, rpc: Any
    ) -> security_pb2.IssueReadGrantResponse:
        assert dict(rpc.invocation_metadata())["authorization"] == "Bearer -"
        if self.answer is not grpc.StatusCode.OK:
            await rpc.abort(self.answer, "no")
        self.asked = request
        return security_pb2.IssueReadGrantResponse(grant="signed")


@pytest_asyncio.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Both, Peers]]:
    address = f"unix:{tmp_path}/s"
    servicer, server = Both(), grpc.aio.server()
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(servicer, server)
    security_pb2_grpc.add_GrantServiceServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    await server.start()
    peers = Peers({"catalogue": address, "security": address})
    set_caller(person("reader", "transport"))
    yield servicer, peers
    set_caller(None)
    await peers.close()
    await server.stop(grace=None)


async def test_a_dataset_in_words(both: tuple[Both, Peers]) -> None:
    catalogue = CataloguePeer(both[1])
    assert await catalogue.dataset(AIR) == Dataset(AIR, "internal", "not_shared")
    assert await catalogue.dataset(WATER) == Dataset(WATER, "", "")


async def test_a_grant_for_the_caller(both: tuple[Both, Peers]) -> None:
    servicer, peers = both
    assert await SecurityPeer(peers).read_grant(RIGHT) == "signed"
    assert servicer.asked == security_pb2.IssueReadGrantRequest(
        dataset=str(AIR),
        table="rows",
        version=3,
        columns=["hour"],
        audience="sharing",
        purpose="share",
        agreement="agreements/a",
        reader="transport",
    )


async def test_refusals_pass_and_absence_is_told_apart(both: tuple[Both, Peers]) -> None:
    servicer, peers = both
    servicer.answer = grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError):
        await SecurityPeer(peers).read_grant(RIGHT)
    servicer.answer = grpc.StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(SecurityAway):
        await SecurityPeer(peers).read_grant(RIGHT)
