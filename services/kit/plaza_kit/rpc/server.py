"""The one way to run a gRPC server: guard, health, reflection, keepalive, graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from plaza_kit import telemetry
from plaza_kit.identity import Principal, TokenVerifier
from plaza_kit.rpc.guard import Guard
from plaza_kit.rpc.tls import CurrentIdentity, server_credentials

_log = telemetry.log("server")

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    # Connections are closed now and then, so that round_robin clients find new replicas.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)
DRAIN_SECONDS = 10

ServicerContext = grpc.aio.ServicerContext[Any, Any]
"""What a servicer's method gets beside its request."""

Registration = Callable[[Any], None]
"""Adds one servicer to a server: `lambda server: add_XServicer_to_server(X(...), server)`."""


class _ByName:
    """A server as generated code registers with it, that finds methods by name only.

    grpc.aio 1.85 waits for each "registered method" with a future of its own and looks at all of them for each call:
    20 methods cost a call a tenth of a millisecond. Handlers are the same either way.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Passed on."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Left out: the generic handlers hold the same."""


class Server:
    """A gRPC server of one service."""

    def __init__(
        self,
        listen: str,
        verifier: TokenVerifier,
        registrations: Sequence[Registration],
        service_names: Sequence[str],
        tls: CurrentIdentity | None = None,
        still_in: Callable[[Principal], None] | None = None,
    ) -> None:
        """`listen`: `unix:/path` (made 0600) or `host:port`; `service_names`: full proto names, for health; `tls`: on a
        `host:port` only callers with a certificate of the same authority are heard; `still_in`: as in `Guard`."""
        self.listen = listen
        self._tls = tls
        self._server = grpc.aio.server(interceptors=[Guard(verifier, still_in)], options=list(SERVER_OPTIONS))
        self._health = HealthServicer()
        self._names = ["", *service_names]
        by_name = _ByName(self._server)
        for register in registrations:
            register(by_name)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, by_name)  # type: ignore[no-untyped-call]
        names = (*service_names, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, by_name)  # type: ignore[no-untyped-call]

    async def start(self) -> None:
        """Listen and report SERVING. Raises RuntimeError when the address is taken."""
        _forget_socket(self.listen)
        if self._tls is None or self.listen.startswith("unix:"):
            self._server.add_insecure_port(self.listen)
        else:
            self._server.add_secure_port(self.listen, server_credentials(self._tls))
        await self._server.start()
        _own_socket(self.listen)
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("listening", address=self.listen)

    async def stop(self) -> None:
        """Say NOT_SERVING, then let calls under way end, for at most DRAIN_SECONDS."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace=DRAIN_SECONDS)


def _forget_socket(listen: str) -> None:
    """A killed process leaves its socket file behind; nobody else may own this path."""
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).unlink(missing_ok=True)


def _own_socket(listen: str) -> None:
    """Only this user may connect."""
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).chmod(0o600)


async def run_until_stopped() -> None:
    """Wait for SIGTERM or SIGINT (grpc.aio handles neither)."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
