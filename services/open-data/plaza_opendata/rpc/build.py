"""What the service is made of."""

from __future__ import annotations

from plaza.opendata.v1 import opendata_pb2_grpc
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_lake.tables import Lake

from plaza_opendata.rpc.peers import PeerFacts, PeerSecurity
from plaza_opendata.rpc.servicers import PortalServicer, ReleaseServicer
from plaza_opendata.settings import OpenDataSettings
from plaza_opendata.storage.files_s3 import release_store_at
from plaza_opendata.usecases.building import KEEPER, Building
from plaza_opendata.usecases.ports import APPROVED, PUBLISHED, WITHDRAWN, World
from plaza_opendata.usecases.releases import BUILD

SPEC = ServiceSpec(
    name="open-data",
    schema="open_data",
    package="plaza_opendata",
    routes={
        "security": ["*"],
        "catalogue": [PUBLISHED, WITHDRAWN],
        KEEPER: [APPROVED, PUBLISHED],
    },
)

_ALWAYS = 1_000_000
"""The job itself knows when to give up, and must write it down."""


async def build(settings: OpenDataSettings, runtime: Runtime) -> Parts:
    """Releases, the portal, and the job that builds."""
    lake = Lake(settings.lake())
    store = release_store_at(settings.release_store, settings.s3())
    world = World(
        database=runtime.database,
        policy=runtime.policy,
        outbox=runtime.outbox,
        facts=PeerFacts(runtime.peers),
        security=PeerSecurity(runtime.peers, runtime.tokens),
        lake=lake,
        verifier=runtime.grants,
        store=store,
    )
    runtime.jobs.register(BUILD, Building(world).build, max_attempts=_ALWAYS)
    releases, portal = ReleaseServicer(world), PortalServicer(world)
    return Parts(
        registrations=(
            lambda server: opendata_pb2_grpc.add_ReleaseServiceServicer_to_server(releases, server),
            lambda server: opendata_pb2_grpc.add_PortalServiceServicer_to_server(portal, server),
        ),
        service_names=("plaza.opendata.v1.ReleaseService", "plaza.opendata.v1.PortalService"),
        at_end=(lake.close, store.close),
    )
