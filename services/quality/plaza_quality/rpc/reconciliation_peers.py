"""`usecases.reconciliation_ports.Sources` over gRPC: security and catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc
from plaza.security.v1 import security_pb2, security_pb2_grpc
from plaza_kit.errors import PermissionDenied
from plaza_kit.identity import ServiceTokens
from plaza_kit.rpc.client import Peers, as_service, on_behalf

from plaza_quality.domain.reconciliations import Side
from plaza_quality.rpc.peers import CataloguePeer

_TIMEOUT: Final = 10.0
_Metadata = tuple[tuple[str, str], ...]


class SideRefused(PermissionDenied):
    """One of the two sources may not be read, or not all of the columns that are compared: the differences would
    tell their values."""


class SourcesPeer:
    """Asks for the caller, or in a job in the service's own name with the run grant of the starter."""

    def __init__(self, peers: Peers, tokens: ServiceTokens) -> None:
        self._peers = peers
        self._tokens = tokens

    async def reading(self, side: Side) -> str:
        purpose = "own" if side.own else "share"
        return await self._read_grant(side, purpose, "", on_behalf())

    async def run_grant(self, run: str, side: Side) -> str:
        request = security_pb2.IssueRunGrantRequest(run=run, action="reconcile", dataset=str(side.dataset))
        answer = await self._security().IssueRunGrant(request, metadata=on_behalf(), timeout=_TIMEOUT)
        return str(answer.grant)

    async def reconciling(self, side: Side, run_grant: str) -> str:
        return await self._read_grant(side, "reconcile", run_grant, await as_service(self._tokens))

    async def code_names(self, code_list: str) -> tuple[str, Mapping[str, str]] | None:
        found = await CataloguePeer(self._peers, self._tokens).codes(code_list)
        return None if found is None else (found[0], {each.code: each.name for each in found[1]})

    def _security(self) -> security_pb2_grpc.GrantServiceStub:
        return security_pb2_grpc.GrantServiceStub(self._peers.channel("security"))

    async def _read_grant(self, side: Side, purpose: str, run_grant: str, metadata: _Metadata) -> str:
        request = security_pb2.IssueReadGrantRequest(
            dataset=str(side.dataset),
            table="rows",
            version=side.version,
            columns=side.columns,
            audience="quality",
            purpose=purpose,
            agreement="" if side.own else side.agreement,
            reader=side.reader,
            run_grant=run_grant,
        )
        try:
            answer = await self._security().IssueReadGrant(request, metadata=metadata, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            raise SideRefused(
                f"{side.word}: {error.details()}",
                remedy="compare only columns that you may read"
                + ("" if side.own else "; see that the agreement is in force (plaza rows makes one by rule)"),
                facts={"side": side.word, "dataset": str(side.dataset)},
            ) from error
        return str(answer.grant)
