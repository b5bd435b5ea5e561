"""`plaza.sharing.v1`: messages in, use cases, messages out; errors are turned into statuses by the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from plaza.sharing.v1 import sharing_pb2 as pb
from plaza.sharing.v1 import sharing_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_sharing.rpc.messages import agreement_message, delivery_message, rows_request, rows_response
from plaza_sharing.usecases.ports import World
from plaza_sharing.usecases.reading import Reading
from plaza_sharing.usecases.records import Records


class RowsServicer(sharing_pb2_grpc.RowsServiceServicer):
    """The one rows API."""

    def __init__(self, world: World) -> None:
        self._reading = Reading(world)

    async def ReadRows(
        self, request: pb.ReadRowsRequest, rpc: ServicerContext
    ) -> AsyncIterator[pb.ReadRowsResponse]:
        async with aclosing(self._reading.read(rows_request(request))) as parts:
            async for part in parts:
                yield rows_response(part)


class AgreementServicer(sharing_pb2_grpc.AgreementServiceServicer):
    """What was agreed and handed over."""

    def __init__(self, world: World) -> None:
        self._records = Records(world)

    async def GetAgreement(self, request: pb.GetAgreementRequest, rpc: ServicerContext) -> pb.Agreement:
        return agreement_message(await self._records.agreement(request.name))

    async def ListAgreements(
        self, request: pb.ListAgreementsRequest, rpc: ServicerContext
    ) -> pb.ListAgreementsResponse:
        found, token = await self._records.agreements(request.page_size, request.page_token)
        return pb.ListAgreementsResponse(
            agreements=[agreement_message(agreement) for agreement in found], next_page_token=token
        )

    async def GetDelivery(self, request: pb.GetDeliveryRequest, rpc: ServicerContext) -> pb.Delivery:
        return delivery_message(await self._records.delivery(request.name))

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, rpc: ServicerContext
    ) -> pb.ListDeliveriesResponse:
        found, token = await self._records.deliveries(request.parent, request.page_size, request.page_token)
        return pb.ListDeliveriesResponse(
            deliveries=[delivery_message(delivery) for delivery in found], next_page_token=token
        )
