"""What a reconciliation found, as a file: `GET …/differences:export` → `ReconciliationService.ExportDifferences`."""

from __future__ import annotations

from plaza.quality.v1 import reconciliations_pb2

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.streams.directory import XLSX
from plaza_gateway.streams.file_answers import AnswerKind
from plaza_gateway.transcode.endpoints import HandWritten


def _name(request: reconciliations_pb2.ExportDifferencesRequest) -> str:
    _, department, _, reconciliation, _, run = request.parent.split("/")
    return f"{department}-{reconciliation[:8]}-run-{run}-differences.{request.format or 'csv'}"


DIFFERENCES_FILE = AnswerKind(reconciliations_pb2.ExportDifferencesRequest, _name)


def describe(operation: Schema, _schemas: Schemas) -> Schema:
    """Makes the generated operation true."""
    success = {
        "description": "The differences as a file",
        "content": {"text/csv": {"schema": {}}, XLSX: {"schema": {}}},
    }
    return operation | {"responses": operation["responses"] | {"200": success}}


ROUTE = HandWritten(
    rpc="plaza.quality.v1.ReconciliationService.ExportDifferences",
    verb="GET",
    template="/api/v1/{parent=departments/*/reconciliations/*/runs/*}/differences:export",
    face="internal",
    endpoint=DIFFERENCES_FILE.endpoint,
    carries="rows",
)
