"""Messages to requests, records to messages."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza_kit.names import DatasetName

from plaza_sharing.domain.agreements import Agreement
from plaza_sharing.domain.deliveries import Delivery
from plaza_sharing.domain.gates import HeldBack
from plaza_sharing.domain.queries import Format
from plaza_sharing.usecases.reading import Header, Part, RowsRequest, Trailer

_FORMATS: Final = {
    pb.ROW_FORMAT_UNSPECIFIED: Format.JSON,
    pb.ROW_FORMAT_JSON: Format.JSON,
    pb.ROW_FORMAT_CSV: Format.CSV,
    pb.ROW_FORMAT_JSONL: Format.JSONL,
    pb.ROW_FORMAT_PARQUET: Format.PARQUET,
    pb.ROW_FORMAT_ARROW: Format.ARROW,
}


def rows_request(request: pb.ReadRowsRequest) -> RowsRequest:
    """Raises BadName."""
    return RowsRequest(
        dataset=DatasetName.parse(request.dataset),
        version=request.version,
        columns=tuple(request.columns),
        filter=request.filter,
        order_by=request.order_by,
        page_size=request.page_size,
        page_token=request.page_token,
        form=_FORMATS[request.format],
        purpose=request.purpose,
        reader=request.reader,
    )


def rows_response(part: Part) -> pb.ReadRowsResponse:
    match part:
        case Header():
            return pb.ReadRowsResponse(
                header=pb.RowsHeader(
                    content_type=part.content_type,
                    version=part.version,
                    agreement=part.agreement,
                    delivery=part.delivery,
                    file_name=part.file_name,
                    held_back=_held_back(part.held_back),
                )
            )
        case Trailer():
            return pb.ReadRowsResponse(
                trailer=pb.RowsTrailer(
                    rows=part.rows, content_sha256=part.content_sha256, body_sha256=part.body_sha256
                )
            )
        case bytes():
            return pb.ReadRowsResponse(chunk=part)


def _held_back(held: HeldBack | None) -> pb.HeldBack | None:
    if held is None:
        return None
    return pb.HeldBack(version=held.version, checking=held.checking, rules=held.rules)


def agreement_message(agreement: Agreement) -> pb.Agreement:
    return pb.Agreement(
        name=agreement.name,
        provider=f"departments/{agreement.provider}",
        consumer=f"departments/{agreement.consumer}",
        dataset=str(agreement.dataset),
        basis=pb.AgreementBasis.Value(f"AGREEMENT_BASIS_{agreement.basis.upper()}"),
        state=pb.AgreementState.Value(f"AGREEMENT_STATE_{agreement.state.upper()}"),
        clauses=agreement.clauses,
        purpose=agreement.purpose,
        content_sha256=agreement.content_sha256,
        create_time=_moment(agreement.create_time),
    )


def delivery_message(delivery: Delivery) -> pb.Delivery:
    return pb.Delivery(
        name=delivery.name,
        dataset=str(delivery.dataset),
        version=delivery.version,
        columns=delivery.columns,
        filter=delivery.filter,
        rows=delivery.rows,
        content_sha256=delivery.content_sha256,
        create_time=_moment(delivery.create_time),
        purpose=delivery.purpose,
    )


def _moment(value: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp
