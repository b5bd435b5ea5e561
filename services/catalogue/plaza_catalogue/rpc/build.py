"""What the service is made of."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from plaza.catalogue.v1 import catalogue_pb2_grpc
from plaza.common.v1 import events_pb2_grpc
from plaza_kit.db.inbox import EventSink
from plaza_kit.service import Parts, Runtime, ServiceSpec

from plaza_catalogue.rpc.servicer import CatalogueServicer
from plaza_catalogue.settings import CatalogueSettings
from plaza_catalogue.usecases.ports import World
from plaza_catalogue.usecases.projections import HANDLERS

SPEC = ServiceSpec(
    name="catalogue", schema="catalogue", package="plaza_catalogue", routes={"security": ["*"]}
)


async def build(settings: CatalogueSettings, runtime: Runtime) -> Parts:
    """The directory and its event sink."""
    world = World(runtime.database, runtime.policy, runtime.outbox, ZoneInfo(settings.time_zone))
    servicer = CatalogueServicer(world)
    sink = EventSink(runtime.database, HANDLERS)
    return Parts(
        registrations=(
            lambda server: catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(servicer, server),
            lambda server: events_pb2_grpc.add_EventSinkServiceServicer_to_server(sink, server),
        ),
        service_names=("plaza.catalogue.v1.CatalogueService", "plaza.common.v1.EventSinkService"),
    )
