"""The servicers behind the guard, over gRPC: refusals keep their words, a cancelled call ends its query."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza.sharing.v1 import sharing_pb2_grpc
from plaza_kit.identity import TokenVerifier
from plaza_kit.rpc.guard import Guard
from plaza_sharing.rpc.build import build
from plaza_sharing.rpc.servicer import AgreementServicer, RowsServicer
from plaza_sharing.settings import SharingSettings
from plaza_testing.callers import person

Sharing = Any
"""The fixture's class lives in conftest, which tests do not import."""
Rows = list[dict[str, Any]]
TOKEN = (("authorization", "Bearer x"),)


class Verifier:
    """Everybody is a reader of transport."""

    async def verify(self, token: str) -> Any:
        return person("reader", "transport")


@pytest_asyncio.fixture
async def channel(sharing: Sharing, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[Guard(cast(TokenVerifier, Verifier()))])
    sharing_pb2_grpc.add_RowsServiceServicer_to_server(sharing.rows, server)
    address = f"unix:{tmp_path}/s"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened
    await server.stop(grace=None)


async def test_every_method_is_served(tmp_path: Path) -> None:
    settings = SharingSettings(
        listen=f"unix:{tmp_path}/s",
        database_url="postgresql://sharing@/plaza",
        issuer="https://id.city.example/realms/plaza",
        client_id="plaza-sharing",
        client_secret="-",
        trust_file=tmp_path / "trust.json",
        security_address="unix:/nowhere",
        catalogue_address="unix:/nowhere",
        ingestion_address="unix:/nowhere",
        quality_address="unix:/nowhere",
        lake_warehouse=str(tmp_path),
    )
    runtime = SimpleNamespace(database=None, policy=None, outbox=None, grants=None, peers=None, tokens=None)
    parts = await build(settings, cast(Any, runtime))
    assert sorted(parts.service_names) == sorted(
        service.full_name for service in pb.DESCRIPTOR.services_by_name.values()
    )
    server = grpc.aio.server()
    for register in parts.registrations:
        register(server)
    servicers = {"RowsService": RowsServicer, "AgreementService": AgreementServicer}
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            assert method.name in vars(servicers[service.name])


@pytest.mark.integration
async def test_rows_over_the_wire(sharing: Sharing, channel: grpc.aio.Channel, measured: Rows) -> None:
    stub = sharing_pb2_grpc.RowsServiceStub(channel)
    dataset = sharing.load(measured)
    call = stub.ReadRows(pb.ReadRowsRequest(dataset=dataset, format=pb.ROW_FORMAT_CSV), metadata=TOKEN)
    parts = [part async for part in call]
    assert parts[0].header.agreement
    assert parts[-1].trailer.rows == 9
    sharing.directory.graded[dataset] = ("internal", "conditional")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        [part async for part in stub.ReadRows(pb.ReadRowsRequest(dataset=dataset), metadata=TOKEN)]
    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
    details = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(cast(bytes, details))
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.reason == "SHARED_ON_CONDITION"


@pytest.mark.integration
async def test_a_cancelled_call_ends_its_query(
    sharing: Sharing, channel: grpc.aio.Channel, many: Rows
) -> None:
    stub = sharing_pb2_grpc.RowsServiceStub(channel)
    call = stub.ReadRows(
        pb.ReadRowsRequest(dataset=sharing.load(many * 4), format=pb.ROW_FORMAT_JSONL), metadata=TOKEN
    )
    header = await call.read()
    await call.read()
    assert reading()
    call.cancel()
    for _ in range(250):
        if not reading():
            break
        await asyncio.sleep(0.02)
    assert not reading()
    sharing.be("reader", "transport")
    for _ in range(50):
        found = await sharing.agreements.GetDelivery(
            pb.GetDeliveryRequest(name=header.header.delivery), cast(Any, None)
        )
        if found.rows:
            break
        await asyncio.sleep(0.02)
    assert 0 < found.rows < 280_000
    assert found.content_sha256 == ""


def reading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stream")]
