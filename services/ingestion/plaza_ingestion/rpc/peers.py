"""Catalogue, security and quality, asked on behalf of the caller."""

from __future__ import annotations

from typing import Final

import grpc
from plaza.catalogue.v1 import (
    catalogue_pb2,
    catalogue_pb2_grpc,
    source_systems_pb2,
    source_systems_pb2_grpc,
)
from plaza.quality.v1 import (
    failing_rows_pb2,
    failing_rows_pb2_grpc,
    work_orders_pb2,
    work_orders_pb2_grpc,
)
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.rpc.client import Peers, on_behalf

from plaza_ingestion.usecases.ports import ContractInForce, Failing, OrderRule, SystemState, WorkOrder

_TIMEOUT: Final = 10.0
"""Seconds."""
_SCAN_TIMEOUT: Final = 120.0


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


class QualityPeer:
    """`plaza.quality.v1`, as far as it is used here."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def work_order(self, name: str) -> WorkOrder:
        stub = work_orders_pb2_grpc.WorkOrderServiceStub(self._peers.channel("quality"))
        request = work_orders_pb2.GetWorkOrderRequest(name=name)
        found = await stub.GetWorkOrder(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return WorkOrder(found.dataset, found.state == work_orders_pb2.WORK_ORDER_STATE_CLOSED)

    async def failing(self, work_order: str, most: int) -> Failing:
        stub = failing_rows_pb2_grpc.FailingRowsServiceStub(self._peers.channel("quality"))
        request = failing_rows_pb2.FindFailingRowsRequest(work_order=work_order)
        call = stub.FindFailingRows(request, metadata=on_behalf(), timeout=_SCAN_TIMEOUT)
        head = failing_rows_pb2.FailingRowsHead()
        places: list[tuple[int, int, tuple[int, ...]]] = []
        async for part in call:
            if part.HasField("head"):
                head = part.head
            places += ((place.file, place.row, tuple(place.rules)) for place in part.places)
            if len(places) >= most:
                call.cancel()
                break
        rules = tuple(OrderRule(rule.id, rule.title, tuple(rule.fields)) for rule in head.rules)
        return Failing(head.dataset, head.version, rules, tuple(head.files), places[:most])


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

    async def rows_grant(self, dataset: str, version: int) -> str:
        request = security_pb2.IssueReadGrantRequest(
            dataset=dataset, table="rows", version=version, audience="ingestion", purpose="own"
        )
        answer = await self._grants().IssueReadGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return str(answer.grant)

    def _grants(self) -> security_pb2_grpc.GrantServiceStub:
        return security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))
