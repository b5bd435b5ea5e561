"""What the service is made of."""

from __future__ import annotations

from collections.abc import Callable

from plaza.ingestion.v1 import ingestion_pb2_grpc, worker_pb2_grpc
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_lake.tables import Lake

from plaza_ingestion.domain.events import VERSION_COMMITTED
from plaza_ingestion.domain.load_step import LoadStep
from plaza_ingestion.rpc.ingestion import IngestionServicer
from plaza_ingestion.rpc.peers import CataloguePeer, SecurityPeer
from plaza_ingestion.rpc.worker import WorkerServicer
from plaza_ingestion.settings import IngestionSettings
from plaza_ingestion.storage.staging import Staging
from plaza_ingestion.usecases.commit import MAX_JOB_ATTEMPTS, Commit
from plaza_ingestion.usecases.leases import COMMIT_JOB, Leases
from plaza_ingestion.usecases.ports import World

SPEC = ServiceSpec(
    name="ingestion",
    schema="ingestion",
    package="plaza_ingestion",
    routes={"security": ["*"], "catalogue": [VERSION_COMMITTED], "quality": [VERSION_COMMITTED]},
)


async def build(
    settings: IngestionSettings, runtime: Runtime, *, on_step: Callable[[LoadStep], None] = lambda _: None
) -> Parts:
    """Both services, the commit job and the look for lost workers. `on_step` hears from the commit job how far
    a load is; tests end the process there."""
    world = World(
        database=runtime.database,
        policy=runtime.policy,
        outbox=runtime.outbox,
        grants=runtime.grants,
        lake=Lake(settings.lake(writes=True)),
        staging=Staging(settings.staging),
        catalogue=CataloguePeer(runtime.peers),
        security=SecurityPeer(runtime.peers),
        lease_seconds=settings.lease_seconds,
        upload_limit_bytes=settings.upload_limit_bytes,
        on_step=on_step,
    )
    leases = Leases(world)
    runtime.jobs.register(COMMIT_JOB, Commit(world).run, max_attempts=MAX_JOB_ATTEMPTS)
    ingestion, worker = IngestionServicer(world), WorkerServicer(leases)
    return Parts(
        registrations=(
            lambda server: ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(ingestion, server),
            lambda server: worker_pb2_grpc.add_WorkerServiceServicer_to_server(worker, server),
        ),
        service_names=("plaza.ingestion.v1.IngestionService", "plaza.ingestion.v1.WorkerService"),
        background=(leases.sweep,),
    )
