"""The other services, as the use cases ask them."""

from __future__ import annotations

from typing import Any, TypeVar

import grpc
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import gates_pb2, gates_pb2_grpc, quality_pb2, quality_pb2_grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.identity import ServiceTokens
from plaza_kit.names import DatasetName
from plaza_kit.rpc.client import Peers, as_service, on_behalf

_SECONDS = 10.0
T = TypeVar("T")


class PeerFacts:
    """`plaza_opendata.usecases.ports.Facts` by gRPC, with the caller's own token."""

    def __init__(self, peers: Peers) -> None:
        self._catalogue = catalogue_pb2_grpc.CatalogueServiceStub(peers.channel("catalogue"))
        self._quality = quality_pb2_grpc.QualityServiceStub(peers.channel("quality"))
        self._gates = gates_pb2_grpc.GateServiceStub(peers.channel("quality"))

    async def dataset(self, name: DatasetName) -> catalogue_pb2.Dataset:
        request = catalogue_pb2.GetDatasetRequest(name=str(name))
        return await self._catalogue.GetDataset(request, metadata=on_behalf(), timeout=_SECONDS)

    async def version(self, name: DatasetName, number: int) -> catalogue_pb2.Version | None:
        request = catalogue_pb2.GetVersionRequest(name=f"{name}/versions/{number}")
        return await _or_none(self._catalogue.GetVersion(request, metadata=on_behalf(), timeout=_SECONDS))

    async def contract(self, name: DatasetName, number: int) -> contract_pb2.Contract:
        request = catalogue_pb2.GetContractRequest(name=f"{name}/contracts/{number}")
        found = await self._catalogue.GetContract(request, metadata=on_behalf(), timeout=_SECONDS)
        return found.contract

    async def department(self, name: DatasetName) -> catalogue_pb2.Department:
        request = catalogue_pb2.GetDepartmentRequest(name=f"departments/{name.department}")
        return await self._catalogue.GetDepartment(request, metadata=on_behalf(), timeout=_SECONDS)

    async def assessment(self, name: DatasetName, version: int) -> quality_pb2.Assessment | None:
        request = quality_pb2.GetAssessmentRequest(name=f"{name}/versions/{version}/assessment")
        return await _or_none(self._quality.GetAssessment(request, metadata=on_behalf(), timeout=_SECONDS))

    async def opening(self, name: DatasetName, version: int) -> gates_pb2.ExitGate:
        request = gates_pb2.GetGateRequest(name=f"{name}/gate", version=version)
        return (await self._gates.GetGate(request, metadata=on_behalf(), timeout=_SECONDS)).opening


class PeerSecurity:
    """`plaza_opendata.usecases.ports.Security` by gRPC."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._tokens = tokens
        self._grants = security_pb2_grpc.GrantServiceStub(peers.channel("security"))
        self._ledger = security_pb2_grpc.LedgerServiceStub(peers.channel("security"))

    async def run_grant(self, name: DatasetName, run: str) -> str:
        request = security_pb2.IssueRunGrantRequest(run=run, action="release", dataset=str(name))
        answer = await self._grants.IssueRunGrant(request, metadata=on_behalf(), timeout=_SECONDS)
        return answer.grant

    async def read_grant(self, name: DatasetName, version: int, run_grant: str) -> str:
        request = security_pb2.IssueReadGrantRequest(
            dataset=str(name),
            table="rows",
            version=version,
            audience="open-data",
            purpose="release",
            run_grant=run_grant,
        )
        metadata = await as_service(self._tokens)
        answer = await self._grants.IssueReadGrant(request, metadata=metadata, timeout=_SECONDS)
        return answer.grant

    async def inclusion(self, event_id: str) -> security_pb2.InclusionProof | None:
        request = security_pb2.GetInclusionProofRequest(event_id=event_id)
        metadata = await as_service(self._tokens)
        return await _or_none(self._ledger.GetInclusionProof(request, metadata=metadata, timeout=_SECONDS))


async def _or_none(call: grpc.aio.UnaryUnaryCall[Any, T]) -> T | None:
    """None where the peer answers NOT_FOUND."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
