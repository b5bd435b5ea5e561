"""`plaza.quality.v1.HealthReportService`: messages in, use cases, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from google.api import httpbody_pb2
from plaza.quality.v1 import reports_pb2 as pb
from plaza.quality.v1 import reports_pb2_grpc
from plaza_kit.rpc.server import ServicerContext

from plaza_quality.usecases.health_reports import HealthReports

_PIECE: Final = 256 * 1024


class HealthReportServicer(reports_pb2_grpc.HealthReportServiceServicer):
    """All methods; errors are turned into statuses by the guard."""

    def __init__(self, reports: HealthReports) -> None:
        self._reports = reports

    async def CreateHealthReport(
        self, request: pb.CreateHealthReportRequest, rpc: ServicerContext
    ) -> pb.HealthReport:
        return await self._reports.create(request)

    async def GetHealthReport(
        self, request: pb.GetHealthReportRequest, rpc: ServicerContext
    ) -> pb.HealthReport:
        return await self._reports.get(request.name)

    async def ListHealthReports(
        self, request: pb.ListHealthReportsRequest, rpc: ServicerContext
    ) -> pb.ListHealthReportsResponse:
        return await self._reports.list(request)

    async def DownloadHealthReport(
        self, request: pb.DownloadHealthReportRequest, rpc: ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        media_type, data = await self._reports.file(request)
        for start in range(0, len(data), _PIECE):
            yield httpbody_pb2.HttpBody(content_type=media_type, data=data[start : start + _PIECE])
