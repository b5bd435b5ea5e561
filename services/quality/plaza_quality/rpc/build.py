"""What the service is made of."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from plaza.common.v1 import events_pb2_grpc
from plaza.quality.v1 import (
    failing_rows_pb2_grpc,
    gates_pb2_grpc,
    quality_pb2_grpc,
    reconciliations_pb2_grpc,
    reports_pb2_grpc,
    scores_pb2_grpc,
    verdicts_pb2_grpc,
    work_orders_pb2_grpc,
)
from plaza_kit.db.inbox import EventSink
from plaza_kit.service import Parts, Runtime, ServiceSpec
from plaza_lake.tables import Lake

from plaza_quality.domain.scores import LightProfile
from plaza_quality.rpc import build_profiles
from plaza_quality.rpc.failing_rows import FailingRowsServicer
from plaza_quality.rpc.gates import GateServicer
from plaza_quality.rpc.peers import CataloguePeer, SecurityPeer
from plaza_quality.rpc.reconciliation_peers import SourcesPeer
from plaza_quality.rpc.reconciliations import ReconciliationServicer
from plaza_quality.rpc.reports import HealthReportServicer
from plaza_quality.rpc.scores import ScoreServicer
from plaza_quality.rpc.servicer import QualityServicer
from plaza_quality.rpc.verdicts import VerdictServicer
from plaza_quality.rpc.work_orders import WorkOrderServicer
from plaza_quality.settings import QualitySettings
from plaza_quality.storage.failing_rows import JudgedAgain
from plaza_quality.usecases import health_reports, reconciliations, reconciling
from plaza_quality.usecases.assessing import ASSESSED, JOB, MAX_ATTEMPTS, Assessing
from plaza_quality.usecases.events import handlers
from plaza_quality.usecases.health_reports import HealthReports
from plaza_quality.usecases.ordering import Ordering
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.profiles import with_profiles

SPEC = ServiceSpec(
    name="quality",
    schema="quality",
    package="plaza_quality",
    routes={"security": ["*"], "catalogue": [ASSESSED], "ingestion": [ASSESSED]},
)


async def build(settings: QualitySettings, runtime: Runtime) -> Parts:
    """Assessments, the job that makes them, and the sink of the events that ask for them."""
    lake = Lake(settings.lake())
    world = World(
        database=runtime.database,
        policy=runtime.policy,
        outbox=runtime.outbox,
        lake=lake,
        grants=runtime.grants,
        catalogue=CataloguePeer(runtime.peers, runtime.tokens),
        granting=SecurityPeer(runtime.peers, runtime.tokens),
        failing=JudgedAgain(lake, runtime.grants),
        profile=LightProfile(),
        principal=f"services/{settings.client_id}",
        zone=ZoneInfo(settings.time_zone),
        spark=settings.spark(),
    )
    runtime.jobs.register(JOB, Assessing(world).assess, max_attempts=MAX_ATTEMPTS)
    sources = SourcesPeer(runtime.peers, runtime.tokens)
    runtime.jobs.register(
        reconciliations.JOB,
        reconciling.Reconciling(world, sources).reconcile,
        max_attempts=reconciling.MAX_ATTEMPTS,
    )
    reconciliation_servicer = ReconciliationServicer(world, sources)
    reports = HealthReports(world)
    runtime.jobs.register(health_reports.JOB, reports.make, max_attempts=health_reports.MAX_ATTEMPTS)
    servicer = QualityServicer(world)
    orders = WorkOrderServicer(world)
    scores = ScoreServicer(world)
    verdicts = VerdictServicer(world)
    gates, rows = GateServicer(world), FailingRowsServicer(world)
    ordering = Ordering(world)
    sink = EventSink(runtime.database, with_profiles(handlers(ordering)))

    return Parts(
        registrations=(
            lambda server: quality_pb2_grpc.add_QualityServiceServicer_to_server(servicer, server),
            lambda server: scores_pb2_grpc.add_ScoreServiceServicer_to_server(scores, server),
            lambda server: verdicts_pb2_grpc.add_VerdictServiceServicer_to_server(verdicts, server),
            lambda server: work_orders_pb2_grpc.add_WorkOrderServiceServicer_to_server(orders, server),
            lambda server: gates_pb2_grpc.add_GateServiceServicer_to_server(gates, server),
            lambda server: failing_rows_pb2_grpc.add_FailingRowsServiceServicer_to_server(rows, server),
            *build_profiles.registrations(settings, runtime, world),
            lambda server: reconciliations_pb2_grpc.add_ReconciliationServiceServicer_to_server(
                reconciliation_servicer, server
            ),
            lambda server: reports_pb2_grpc.add_HealthReportServiceServicer_to_server(
                HealthReportServicer(reports), server
            ),
            lambda server: events_pb2_grpc.add_EventSinkServiceServicer_to_server(sink, server),
        ),
        service_names=(
            "plaza.quality.v1.QualityService",
            "plaza.quality.v1.ScoreService",
            "plaza.quality.v1.VerdictService",
            "plaza.quality.v1.WorkOrderService",
            "plaza.quality.v1.GateService",
            "plaza.quality.v1.FailingRowsService",
            *build_profiles.SERVICE_NAMES,
            "plaza.quality.v1.ReconciliationService",
            "plaza.quality.v1.HealthReportService",
            "plaza.common.v1.EventSinkService",
        ),
        background=(ordering.watch, reports.watch),
        at_end=(lake.close,),
    )
