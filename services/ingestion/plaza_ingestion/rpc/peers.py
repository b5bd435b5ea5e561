"""Catalogue and security, asked on behalf of the caller."""

from __future__ import annotations

from typing import Final

import grpc
from plaza.catalogue.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    source_systems_pb2,
    source_systems_pb2_grpc,
)
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.rpc.client import Peers, on_behalf

from plaza_ingestion.usecases.ports import ContractInForce, SystemState

_TIMEOUT: Final = 10.0
"""Seconds."""


class CataloguePeer:
    """`plaza.catalogue.v1`, as far as it is used here."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def contract(self, dataset: str) -> ContractInForce:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(self._peers.channel("catalogue"))
        request = catalogue_pb2.GetDatasetRequest(name=dataset)
        found = await stub.GetDataset(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return ContractInForce(found.contract, found.contract_version)

    async def source_system(self, name: str) -> SystemState | None:
        stub = source_systems_pb2_grpc.SourceSystemServiceStub(self._peers.channel("catalogue"))
        request = source_systems_pb2.GetSourceSystemRequest(name=name)
        try:
            found = await stub.GetSourceSystem(request, metadata=on_behalf(), timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        retired = found.state == source_systems_pb2.SOURCE_SYSTEM_STATE_RETIRED
        return SystemState.RETIRED if retired else SystemState.ACTIVE


class SecurityPeer:
    """`plaza.security.v1`, as far as it is used here."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def run_grant(self, run: str, dataset: str) -> str:
        request = security_pb2.IssueRunGrantRequest(run=run, action="load", dataset=dataset)
        answer = await self._grants().IssueRunGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return str(answer.grant)

    async def quarantine_grant(self, dataset: str) -> str:
        request = security_pb2.IssueReadGrantRequest(
            dataset=dataset, table="quarantine", audience="ingestion", purpose="quarantine"
        )
        answer = await self._grants().IssueReadGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return str(answer.grant)

    def _grants(self) -> security_pb2_grpc.GrantServiceStub:
        return security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))
