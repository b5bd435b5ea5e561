"""The rows of a work order as a file to correct: `GET …:correctionFile` → `CorrectionService.ExportCorrectionFile`."""

from __future__ import annotations

from plaza.ingestion.v1 import corrections_pb2

from plaza_gateway.streams.file_answers import AnswerKind
from plaza_gateway.transcode.endpoints import HandWritten

CORRECTION_FILE = AnswerKind(
    corrections_pb2.ExportCorrectionFileRequest,
    lambda request: f"correction-{request.work_order[-12:]}.csv",
)
ROUTE = HandWritten(
    rpc="plaza.ingestion.v1.CorrectionService.ExportCorrectionFile",
    verb="GET",
    template="/api/v1/{work_order=departments/*/workOrders/*}:correctionFile",
    face="internal",
    endpoint=CORRECTION_FILE.endpoint,
    carries="rows",
)
