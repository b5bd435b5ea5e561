"""What the service is made of."""

from __future__ import annotations

from collections.abc import Callable

from plaza.common.v1 import events_pb2_grpc
from plaza.ingestion.v1 import corrections_pb2_grpc, ingestion_pb2_grpc, sources_pb2_grpc, worker_pb2_grpc
from plaza_kit.db.inbox import EventSink
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_lake.tables import Lake

from plaza_ingestion.domain.events import VERSION_COMMITTED, VERSION_EXPIRED
from plaza_ingestion.domain.load_step import LoadStep, PullStep
from plaza_ingestion.rpc.corrections import CorrectionServicer
from plaza_ingestion.rpc.ingestion import IngestionServicer
from plaza_ingestion.rpc.peers import CataloguePeer, QualityPeer, SecurityPeer
from plaza_ingestion.rpc.sources import SourceServicer
from plaza_ingestion.rpc.worker import WorkerServicer
from plaza_ingestion.settings import IngestionSettings
from plaza_ingestion.storage.staging_area import staging_at
from plaza_ingestion.usecases.bringing import Bringing
from plaza_ingestion.usecases.commit import MAX_JOB_ATTEMPTS, Commit
from plaza_ingestion.usecases.leases import COMMIT_JOB, Leases
from plaza_ingestion.usecases.maintenance import MAINTENANCE_JOB, Maintenance
from plaza_ingestion.usecases.pinning import handlers
from plaza_ingestion.usecases.ports import World
from plaza_ingestion.usecases.upload_retention import UploadRetention

SPEC = ServiceSpec(
    name="ingestion",
    schema="ingestion",
    package="plaza_ingestion",
    routes={
        "security": ["*"],
        "catalogue": [VERSION_COMMITTED, VERSION_EXPIRED],
        "quality": [VERSION_COMMITTED],
    },
)


async def build(
    settings: IngestionSettings,
    runtime: Runtime,
    *,
    on_step: Callable[[LoadStep], None] = lambda _: None,
    on_pull_step: Callable[[PullStep], None] = lambda _: None,
) -> Parts:
    """All services, the commit job and the look for lost workers. `on_step` hears from the commit job how far
    a load is, `on_pull_step` how far a pulled file is; tests end the process there."""
    lake = Lake(settings.lake(writes=True))
    world = World(
        database=runtime.database,
        policy=runtime.policy,
        outbox=runtime.outbox,
        grants=runtime.grants,
        lake=lake,
        staging=staging_at(settings.staging, lake.files, settings.lake_warehouse),
        catalogue=CataloguePeer(runtime.peers),
        security=SecurityPeer(runtime.peers),
        quality=QualityPeer(runtime.peers),
        lease_seconds=settings.lease_seconds,
        upload_limit_bytes=settings.upload_limit_bytes,
        on_step=on_step,
        on_pull_step=on_pull_step,
    )
    leases = Leases(world)
    runtime.jobs.register(COMMIT_JOB, Commit(world).run, max_attempts=MAX_JOB_ATTEMPTS)
    maintenance = Maintenance(world, settings.upkeep(), f"services/{settings.client_id}")
    runtime.jobs.register(MAINTENANCE_JOB, maintenance.job)
    retention = UploadRetention(world, settings.uploads_for, f"services/{settings.client_id}")
    sink = EventSink(runtime.database, handlers(settings.delivered_for))
    ingestion, source = IngestionServicer(world), SourceServicer(world)
    corrections = CorrectionServicer(world)
    worker = WorkerServicer(leases, Bringing(world))
    return Parts(
        registrations=(
            lambda server: ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(ingestion, server),
            lambda server: sources_pb2_grpc.add_SourceServiceServicer_to_server(source, server),
            lambda server: corrections_pb2_grpc.add_CorrectionServiceServicer_to_server(corrections, server),
            lambda server: worker_pb2_grpc.add_WorkerServiceServicer_to_server(worker, server),
            lambda server: events_pb2_grpc.add_EventSinkServiceServicer_to_server(sink, server),
        ),
        service_names=(
            "plaza.ingestion.v1.IngestionService",
            "plaza.ingestion.v1.SourceService",
            "plaza.ingestion.v1.CorrectionService",
            "plaza.ingestion.v1.WorkerService",
            "plaza.common.v1.EventSinkService",
        ),
        background=(leases.sweep, maintenance.watch, retention.watch),
    )
