"""A department's worker at a service's door: whose certificate opens it, and for whose token."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from plaza.ingestion.v1 import worker_pb2, worker_pb2_grpc
from plaza_kit.certificates import Authority, Holder
from plaza_kit.identity import TokenVerifier
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.server import Server
from plaza_kit.rpc.tls import CurrentIdentity, TlsFiles, worker_uri
from plaza_testing.callers import machine, person

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Verifier:
    """The token is the department whose machine calls, or the log-in name of a person of two departments."""

    async def verify(self, token: str) -> Any:
        return person("officer", "ecology", "transport") if token == "officer" else machine(token)


class Work(worker_pb2_grpc.WorkerServiceServicer):
    """There is none."""

    async def LeaseWork(self, request: Any, rpc: Any) -> worker_pb2.LeaseWorkResponse:
        return worker_pb2.LeaseWorkResponse()


class Door:
    """Of ingestion: it trusts the city's authority, and hears that of the workers."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.city, self.workers = Authority.new("city", NOW, DAY), Authority.new("workers", NOW, DAY)
        self.files = replace(
            self.issued(self.city, Holder("ingestion", ("localhost",))), workers=folder / "workers.crt"
        )

    def hear_workers(self) -> None:
        """The file of their authority comes to be."""
        (self.folder / "workers.crt").write_bytes(self.workers.pem()[0])

    def issued(self, authority: Authority, holder: Holder) -> TlsFiles:
        """Files of somebody who trusts the city's authority alone."""
        data = authority.issue(holder, NOW, DAY)
        place = self.folder / holder.name
        place.mkdir()
        files = TlsFiles(place / "tls.crt", place / "tls.key", place / "ca.crt")
        files.certificate.write_bytes(data["tls.crt"])
        files.key.write_bytes(data["tls.key"])
        files.authority.write_bytes(self.city.pem()[0])
        return files

    async def lease(self, files: TlsFiles, token: str) -> grpc.StatusCode:
        """How a call ends."""
        peers = Peers({"ingestion": f"dns:///localhost:{self.port}"}, CurrentIdentity(files))
        stub = worker_pb2_grpc.WorkerServiceStub(peers.channel("ingestion"))
        request = worker_pb2.LeaseWorkRequest(department="departments/ecology")
        try:
            await stub.LeaseWork(request, timeout=5, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            await peers.close()
        return grpc.StatusCode.OK


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    door = Door(tmp_path, port)
    server = Server(
        f"localhost:{port}",
        cast(TokenVerifier, Verifier()),
        [lambda one: worker_pb2_grpc.add_WorkerServiceServicer_to_server(Work(), one)],
        [],
        CurrentIdentity(door.files, look_seconds=0),
    )
    await server.start()
    yield door
    await server.stop()


async def test_a_worker_is_let_in_once_its_authority_is_known(door: Door) -> None:
    ecology = door.issued(door.workers, Holder("ecology", uri=worker_uri("ecology")))
    assert await door.lease(ecology, "ecology") is grpc.StatusCode.UNAVAILABLE
    door.hear_workers()
    assert await door.lease(ecology, "ecology") is grpc.StatusCode.OK


async def test_on_a_workers_connection_only_its_own_departments_token_counts(door: Door) -> None:
    door.hear_workers()
    transport = door.issued(door.workers, Holder("transport", uri=worker_uri("transport")))
    for stolen in ("ecology", "officer"):
        assert await door.lease(transport, stolen) is grpc.StatusCode.PERMISSION_DENIED
    gateway = door.issued(door.city, Holder("gateway", ("gateway",)))
    assert await door.lease(gateway, "officer") is grpc.StatusCode.OK


async def test_nobody_takes_a_worker_for_a_service(door: Door) -> None:
    """Even with a host's name in its certificate: callers do not trust its authority."""
    door.hear_workers()
    pretender = door.issued(door.workers, Holder("pretender", ("localhost",)))
    for source, target in zip(
        (pretender.certificate, pretender.key), (door.files.certificate, door.files.key), strict=True
    ):
        target.write_bytes(source.read_bytes())
    gateway = door.issued(door.city, Holder("gateway", ("gateway",)))
    assert await door.lease(gateway, "ecology") is grpc.StatusCode.UNAVAILABLE
