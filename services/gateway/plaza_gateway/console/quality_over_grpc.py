"""The desk's quality at the service itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from plaza.quality.v1 import quality_pb2 as qu
from plaza.quality.v1 import reports_pb2 as rep
from plaza.quality.v1 import scores_pb2 as sc
from plaza.quality.v1 import work_orders_pb2 as wo
from plaza.quality.v1.quality_pb2_grpc import QualityServiceStub
from plaza.quality.v1.reports_pb2_grpc import HealthReportServiceStub
from plaza.quality.v1.scores_pb2_grpc import ScoreServiceStub
from plaza.quality.v1.work_orders_pb2_grpc import WorkOrderServiceStub
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.calling import answer, carried, every
from plaza_gateway.transcode.problems import Problem

_LARGEST = 1000
REPORTS = 50
"""Reports on a page: four years of months."""
FILE_SECONDS = 60.0


class QualityOverGrpc:
    """A `QualityDesk` at quality."""

    def __init__(self, peers: Peers, token: str) -> None:
        self._token = token
        channel = peers.channel("quality")
        self._quality = QualityServiceStub(channel)
        self._scores = ScoreServiceStub(channel)
        self._orders = WorkOrderServiceStub(channel)
        self._reports = HealthReportServiceStub(channel)

    async def assessment(self, dataset: str, version: int) -> qu.Assessment | None:
        """None while it is being made, and of a version that there is not."""
        request = qu.GetAssessmentRequest(name=f"{dataset}/versions/{version}/assessment")
        try:
            return await answer(self._quality.GetAssessment(request, **carried(self._token)))
        except Problem as problem:
            if problem.status != 404:
                raise
            return None

    async def scores(self) -> sc.ListScoresResponse:
        """Of the city and of each department that has one."""
        return await answer(self._scores.ListScores(sc.ListScoresRequest(), **carried(self._token)))

    async def days(self, parent: str) -> list[sc.ScoreDay]:
        """The last thirty."""
        request = sc.ListScoreHistoryRequest(parent=parent)
        found = await answer(self._scores.ListScoreHistory(request, **carried(self._token)))
        return list(found.days)

    async def orders(self, parent: str, dataset: str = "", *, closed: bool = False) -> list[wo.WorkOrder]:
        """The one that is due first, first."""
        request = wo.ListWorkOrdersRequest(
            parent=parent, dataset=dataset, show_closed=closed, page_size=_LARGEST
        )
        return await every(
            self._orders.ListWorkOrders, request, lambda page: page.work_orders, carried(self._token)
        )

    async def order(self, name: str) -> wo.WorkOrder:
        """With its history."""
        return await answer(
            self._orders.GetWorkOrder(wo.GetWorkOrderRequest(name=name), **carried(self._token))
        )

    async def accept(self, name: str, etag: str) -> wo.WorkOrder:
        """The caller sees to it."""
        request = wo.AcceptWorkOrderRequest(name=name, etag=etag)
        return await answer(self._orders.AcceptWorkOrder(request, **carried(self._token)))

    async def answer(self, name: str, text: str, etag: str) -> wo.WorkOrder:
        """It is done; the next version shows."""
        request = wo.AnswerWorkOrderRequest(name=name, text=text, etag=etag)
        return await answer(self._orders.AnswerWorkOrder(request, **carried(self._token)))

    async def comment(self, name: str, text: str, request_id: str) -> wo.WorkOrder:
        """A remark."""
        request = wo.CommentWorkOrderRequest(name=name, text=text, request_id=request_id)
        return await answer(self._orders.CommentWorkOrder(request, **carried(self._token)))

    async def reports(self, parent: str) -> list[rep.HealthReport]:
        """The newest."""
        request = rep.ListHealthReportsRequest(parent=parent, page_size=REPORTS)
        found = await answer(self._reports.ListHealthReports(request, **carried(self._token)))
        return list(found.health_reports)

    async def make_report(self, parent: str, month: str, request_id: str) -> rep.HealthReport:
        """Now."""
        request = rep.CreateHealthReportRequest(
            parent=parent, health_report=rep.HealthReport(month=month), request_id=request_id
        )
        return await answer(self._reports.CreateHealthReport(request, **carried(self._token)))

    async def report_file(self, name: str, format_: str, language: str) -> AsyncIterator[bytes]:
        """As it comes."""
        request = rep.DownloadHealthReportRequest(name=name, format=format_, language=language)
        call = self._reports.DownloadHealthReport(
            request, timeout=FILE_SECONDS, metadata=carried(self._token)["metadata"]
        )
        try:
            async for piece in call:
                yield piece.data
        except grpc.aio.AioRpcError as error:
            raise Problem.of_rpc(error) from error
        finally:
            call.cancel()
