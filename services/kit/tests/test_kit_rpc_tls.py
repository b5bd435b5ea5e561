"""Mutual TLS between a real server and a real channel: who is let in, and how certificates are renewed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plaza_kit.identity import TokenVerifier
from plaza_kit.rpc.client import Peers
from plaza_kit.rpc.server import Server
from plaza_kit.rpc.tls import CurrentIdentity, TlsFiles, UnusableCertificate
from plaza_testing.certificates import Authority

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def city() -> Authority:
    return Authority.named("city")


@pytest.fixture
async def port(tmp_path: Path, city: Authority) -> AsyncIterator[int]:
    """Of a server that shows the certificate in `server/`."""
    files = city.issue(tmp_path / "server", "catalogue")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = int(found.getsockname()[1])
    async with httpx.AsyncClient() as http:
        verifier = TokenVerifier("https://issuer.example", "plaza", http=http)
        server = Server(f"localhost:{number}", verifier, [], [], CurrentIdentity(files, look_seconds=0))
        await server.start()
        yield number
        await server.stop()


@contextlib.asynccontextmanager
async def connected(port: int, files: TlsFiles | None) -> AsyncIterator[grpc.aio.Channel]:
    peers = Peers(
        {"catalogue": f"dns:///localhost:{port}"}, CurrentIdentity(files, look_seconds=0) if files else None
    )
    yield peers.channel("catalogue")
    await peers.close()


async def serves(channel: grpc.aio.Channel) -> bool:
    stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_peer_with_a_certificate_of_the_authority_is_served(
    port: int, tmp_path: Path, city: Authority
) -> None:
    async with connected(port, city.issue(tmp_path / "client", "gateway")) as channel:
        assert await serves(channel)


async def test_nobody_else_is(port: int, tmp_path: Path, city: Authority) -> None:
    strangers = Authority.named("strangers").issue(tmp_path / "stranger", "gateway")
    shutil.copy(tmp_path / "server" / "ca.crt", strangers.authority)  # trusts us; we do not trust it
    for files in (strangers, None):
        async with connected(port, files) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await serves(channel)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_of_another_authority_or_name_is_not_called(
    tmp_path: Path, city: Authority, port: int
) -> None:
    mine = Authority.named("strangers").issue(tmp_path / "client", "gateway")
    async with connected(port, mine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serves(channel)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.details())

    city.issue(tmp_path / "server", "catalogue", host="catalogue")
    async with connected(port, city.issue(tmp_path / "client", "gateway")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serves(channel)
    assert "Hostname Verification Check failed" in str(caught.value.details())


async def test_only_tls_1_3_is_spoken(port: int, tmp_path: Path, city: Authority) -> None:
    files = city.issue(tmp_path / "client", "gateway")
    assert (await asyncio.to_thread(handshake, port, files))[0] == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(handshake, port, files, ssl.TLSVersion.TLSv1_2)


async def test_renewed_certificates_are_shown_without_a_restart(
    port: int, tmp_path: Path, city: Authority
) -> None:
    files = city.issue(tmp_path / "client", "gateway")
    async with connected(port, files) as channel:
        assert await serves(channel)
        _, before = await asyncio.to_thread(handshake, port, files)

        other = Authority.named("city, next year")
        other.issue(tmp_path / "server", "catalogue")
        with pytest.raises(grpc.aio.AioRpcError):  # a new connection of the old authority is refused
            async with connected(port, files) as old:
                await serves(old)
        other.issue(tmp_path / "client", "gateway")

        assert await serves(channel)
        _, after = await asyncio.to_thread(handshake, port, files)
    assert after != before


async def test_a_spoilt_renewal_leaves_the_certificate_in_use(
    port: int, tmp_path: Path, city: Authority
) -> None:
    files = city.issue(tmp_path / "client", "gateway")
    async with connected(port, files) as channel:
        assert await serves(channel)
        (tmp_path / "server" / "tls.key").write_text("half a k")
        (tmp_path / "client" / "tls.crt").write_bytes((tmp_path / "server" / "tls.crt").read_bytes())
        assert await serves(channel)
    with pytest.raises(UnusableCertificate, match="is not that of the certificate"):
        CurrentIdentity(files)


def handshake(
    port: int, files: TlsFiles, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[str | None, int]:
    """(version, serial number of the server's certificate)."""
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(files.certificate, files.key)
    context.maximum_version = newest
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
        assert shown is not None
        return secured.version(), x509.load_der_x509_certificate(shown).serial_number
