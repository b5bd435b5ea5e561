"""Refused records out, byte for byte: `GET …/quarantine:export` → `IngestionService.ExportQuarantine`."""

from __future__ import annotations

from plaza.ingestion.v1 import ingestion_pb2

from plaza_gateway.streams.file_answers import AnswerKind
from plaza_gateway.transcode.endpoints import HandWritten

REFUSED_RECORDS = AnswerKind(
    ingestion_pb2.ExportQuarantineRequest,
    lambda request: f"{request.parent.rpartition('/')[2]}-quarantine.csv",
)
ROUTE = HandWritten(
    rpc="plaza.ingestion.v1.IngestionService.ExportQuarantine",
    verb="GET",
    template="/api/v1/{parent=departments/*/datasets/*}/quarantine:export",
    face="internal",
    endpoint=REFUSED_RECORDS.endpoint,
    carries="rows",
)
