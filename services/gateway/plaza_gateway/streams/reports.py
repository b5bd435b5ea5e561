"""Health reports as files: `GET …/healthReports/{id}:download` → `HealthReportService.DownloadHealthReport`."""

from __future__ import annotations

from plaza.quality.v1 import reports_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.file_answers import AnswerKind
from plaza_gateway.transcode.endpoints import HandWritten


def file_name(request: reports_pb2.DownloadHealthReportRequest) -> str:
    """`health-ecology-5f0c11aa-zh.pdf`, of the city `health-city-…`."""
    _, department, _, id_ = request.name.split("/")
    whose = "city" if department == "-" else department
    return f"health-{whose}-{id_[-8:]}-{request.language or 'zh'}.{request.format or 'pdf'}"


def describe(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    success = {
        "description": "The report as a file",
        "content": {"application/pdf": {"schema": {}}, "text/html": {"schema": {}}},
    }
    return operation | {"responses": operation["responses"] | {"200": success}}


HEALTH_REPORT = AnswerKind(reports_pb2.DownloadHealthReportRequest, file_name)
ROUTE = HandWritten(
    rpc="plaza.quality.v1.HealthReportService.DownloadHealthReport",
    verb="GET",
    template="/api/v1/{name=departments/*/healthReports/*}:download",
    face="internal",
    endpoint=HEALTH_REPORT.endpoint,
    carries="rows",
)
