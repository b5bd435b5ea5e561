"""The gRPC methods of the ledger."""

from __future__ import annotations

from uuid import UUID

from plaza.security.v1 import security_pb2 as pb
from plaza.security.v1 import security_pb2_grpc as pb_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_security.rpc.servicers import timestamp
from plaza_security.usecases.ledger import Ledger


class LedgerServicer(pb_grpc.LedgerServiceServicer):
    """`LedgerService`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, rpc: ServicerContext) -> pb.Checkpoint:
        size, note = await self._ledger.checkpoint()
        return pb.Checkpoint(note=note, tree_size=size)

    async def ListLedgerKeys(
        self, request: pb.ListLedgerKeysRequest, rpc: ServicerContext
    ) -> pb.ListLedgerKeysResponse:
        return pb.ListLedgerKeysResponse(keys=self._ledger.keys())

    async def ListLedgerEntries(
        self, request: pb.ListLedgerEntriesRequest, rpc: ServicerContext
    ) -> pb.ListLedgerEntriesResponse:
        page, token = await self._ledger.entries(request.page_size, request.page_token, request.subject)
        entries = [
            pb.LedgerEntry(
                name=f"ledger/{entry.index}",
                index=entry.index,
                type=entry.type,
                subject=entry.subject,
                event_time=timestamp(entry.event_time),
                leaf=entry.leaf,
            )
            for entry in page
        ]
        return pb.ListLedgerEntriesResponse(entries=entries, next_page_token=token)

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, rpc: ServicerContext
    ) -> pb.InclusionProof:
        proof = await self._ledger.inclusion(UUID(request.event_id))
        return pb.InclusionProof(
            index=proof.entry.index,
            tree_size=proof.tree_size,
            path=proof.path,
            leaf=proof.entry.leaf,
            checkpoint=proof.note,
        )

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, rpc: ServicerContext
    ) -> pb.ConsistencyProof:
        later, path = await self._ledger.consistency(request.first_size, request.second_size)
        return pb.ConsistencyProof(first_size=request.first_size, second_size=later, path=path)
