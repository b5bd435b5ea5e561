"""What the service is made of."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from plaza.catalogue.v1 import catalogue_pb2_grpc, code_lists_pb2_grpc, source_systems_pb2_grpc
from plaza.common.v1 import events_pb2_grpc
from plaza_kit.db.inbox import EventSink
from plaza_kit.service import Parts, Runtime, ServiceSpec

from plaza_catalogue.rpc.code_lists import CodeListServicer
from plaza_catalogue.rpc.servicer import CatalogueServicer
from plaza_catalogue.rpc.source_systems import SourceSystemServicer
from plaza_catalogue.settings import CatalogueSettings
from plaza_catalogue.usecases.code_lists import CodeLists
from plaza_catalogue.usecases.ports import World
from plaza_catalogue.usecases.projections import HANDLERS

SPEC = ServiceSpec(
    name="catalogue", schema="catalogue", package="plaza_catalogue", routes={"security": ["*"]}
)


async def build(settings: CatalogueSettings, runtime: Runtime) -> Parts:
    """The directory, source systems, code lists (those that are shipped are put in place first) and the event sink."""
    world = World(runtime.database, runtime.policy, runtime.outbox, ZoneInfo(settings.time_zone))
    servicer = CatalogueServicer(world)
    systems = SourceSystemServicer(world)
    lists = CodeLists(world)
    await lists.ship()
    codes = CodeListServicer(lists)
    sink = EventSink(runtime.database, HANDLERS)
    return Parts(
        registrations=(
            lambda server: catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(servicer, server),
            lambda server: source_systems_pb2_grpc.add_SourceSystemServiceServicer_to_server(systems, server),
            lambda server: code_lists_pb2_grpc.add_CodeListServiceServicer_to_server(codes, server),
            lambda server: events_pb2_grpc.add_EventSinkServiceServicer_to_server(sink, server),
        ),
        service_names=(
            "plaza.catalogue.v1.CatalogueService",
            "plaza.catalogue.v1.SourceSystemService",
            "plaza.catalogue.v1.CodeListService",
            "plaza.common.v1.EventSinkService",
        ),
        background=(servicer.search.keep_warm,),
    )
