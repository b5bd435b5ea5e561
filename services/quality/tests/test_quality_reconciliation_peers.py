"""Whom reconciliations ask for what, over gRPC: for the caller, and in a job with the run grant of its starter."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from plaza.catalogue.v1 import code_lists_pb2, code_lists_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName, DepartmentId
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.context import set_caller
from plaza_quality.domain.reconciliations import Side
from plaza_quality.rpc.reconciliation_peers import SideRefused, SourcesPeer
from plaza_testing.callers import person

pytestmark = pytest.mark.integration
OTHER = "departments/police/datasets/residents"
RIGHT = Side(
    "right", DatasetName.parse(OTHER), 3, "agreements/7", DepartmentId("ecology"), ("person", "income")
)
OWN = Side(
    "left", DatasetName.parse("departments/ecology/datasets/x"), 0, "", DepartmentId("ecology"), ("id",)
)


class City(security_pb2_grpc.GrantServiceServicer, code_lists_pb2_grpc.CodeListServiceServicer):
    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.refuses: grpc.StatusCode | None = None

    async def _note(self, request: Any, rpc: Any) -> None:
        self.asked.append((dict(rpc.invocation_metadata())["authorization"], request))
        if self.refuses is not None:
            await rpc.abort(self.refuses, "field 'income' is not granted")

    async def IssueReadGrant(self, request: Any, rpc: Any) -> security_pb2.IssueReadGrantResponse:
        await self._note(request, rpc)
        return security_pb2.IssueReadGrantResponse(grant="read")

    async def IssueRunGrant(self, request: Any, rpc: Any) -> security_pb2.IssueRunGrantResponse:
        await self._note(request, rpc)
        return security_pb2.IssueRunGrantResponse(grant="run")

    async def ListCodes(self, request: Any, rpc: Any) -> code_lists_pb2.ListCodesResponse:
        await self._note(request, rpc)
        version = "codeLists/sex/versions/2"
        if not request.page_token:
            codes = [code_lists_pb2.Code(code="1", name="男")]
            return code_lists_pb2.ListCodesResponse(version=version, codes=codes, next_page_token="2")
        assert request.parent == version, "pages of one version"
        return code_lists_pb2.ListCodesResponse(
            version=version, codes=[code_lists_pb2.Code(code="2", name="女")]
        )


class Tokens:
    async def token(self) -> str:
        return "own-token"


@pytest_asyncio.fixture
async def city() -> AsyncIterator[tuple[City, SourcesPeer]]:
    city, server = City(), grpc.aio.server()
    security_pb2_grpc.add_GrantServiceServicer_to_server(city, server)
    code_lists_pb2_grpc.add_CodeListServiceServicer_to_server(city, server)
    with tempfile.TemporaryDirectory(prefix="q") as folder:  # a socket's path must be short
        address = f"unix:{folder}/s"
        server.add_insecure_port(address)
        await server.start()
        peers = Peers({"catalogue": address, "security": address})
        set_caller(person("steward", "ecology"))
        yield city, SourcesPeer(peers, cast(ServiceTokens, Tokens()))
        set_caller(None)
        await peers.close()
        await server.stop(None)


async def test_a_person_asks_for_themselves_and_a_job_with_their_run_grant(
    city: tuple[City, SourcesPeer],
) -> None:
    services, sources = city
    assert await sources.reading(OWN) == await sources.reading(RIGHT) == "read"
    assert await sources.run_grant("departments/ecology/reconciliations/1/runs/1", RIGHT) == "run"
    assert await sources.reconciling(RIGHT, "run") == "read"
    tokens = [token for token, _ in services.asked]
    assert "own-token" not in "".join(tokens[:3])
    assert tokens[3] == "Bearer own-token"
    own, shared, run, job = (request for _, request in services.asked)
    both = {"table": "rows", "audience": "quality", "reader": "ecology"}
    expected = {"dataset": OTHER, "version": 3, "columns": ["person", "income"], "agreement": "agreements/7"}
    assert own == security_pb2.IssueReadGrantRequest(
        dataset=str(OWN.dataset), columns=["id"], purpose="own", **both
    )
    assert shared == security_pb2.IssueReadGrantRequest(purpose="share", **both, **expected)
    assert run == security_pb2.IssueRunGrantRequest(
        run="departments/ecology/reconciliations/1/runs/1", action="reconcile", dataset=OTHER
    )
    assert job == security_pb2.IssueReadGrantRequest(purpose="reconcile", run_grant="run", **both, **expected)


async def test_a_refusal_names_the_side_and_an_outage_is_none(city: tuple[City, SourcesPeer]) -> None:
    services, sources = city
    services.refuses = grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(SideRefused, match="right: field 'income'"):
        await sources.reading(RIGHT)
    services.refuses = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError):
        await sources.reconciling(RIGHT, "run")


async def test_all_names_of_one_version_of_a_code_list(city: tuple[City, SourcesPeer]) -> None:
    services, sources = city
    assert await sources.code_names("codeLists/sex") == (
        "codeLists/sex/versions/2",
        {"1": "男", "2": "女"},
    )
    services.refuses = grpc.StatusCode.NOT_FOUND
    assert await sources.code_names("codeLists/none") is None
