"""What the service is made of."""

from __future__ import annotations

from plaza.sharing.v1 import sharing_pb2_grpc
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_lake.tables import Lake

from plaza_sharing.domain.deliveries import MADE
from plaza_sharing.rpc.peers import CataloguePeer, QualityPeer, SecurityPeer
from plaza_sharing.rpc.servicer import AgreementServicer, RowsServicer
from plaza_sharing.settings import SharingSettings
from plaza_sharing.usecases.ports import World

SPEC = ServiceSpec(
    name="sharing",
    schema="sharing",
    package="plaza_sharing",
    routes={"security": ["*"], "ingestion": [MADE]},
)


async def build(settings: SharingSettings, runtime: Runtime) -> Parts:
    """The rows API and the records of what was agreed."""
    lake = Lake(settings.lake())
    world = World(
        database=runtime.database,
        policy=runtime.policy,
        outbox=runtime.outbox,
        lake=lake,
        grants=runtime.grants,
        catalogue=CataloguePeer(runtime.peers),
        security=SecurityPeer(runtime.peers),
        quality=QualityPeer(runtime.peers, runtime.tokens),
    )
    rows, agreements = RowsServicer(world), AgreementServicer(world)
    return Parts(
        registrations=(
            lambda server: sharing_pb2_grpc.add_RowsServiceServicer_to_server(rows, server),
            lambda server: sharing_pb2_grpc.add_AgreementServiceServicer_to_server(agreements, server),
        ),
        service_names=("plaza.sharing.v1.RowsService", "plaza.sharing.v1.AgreementService"),
        at_end=(lake.close,),
    )
