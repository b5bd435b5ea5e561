"""Health on a port of its own: what an orchestrator's probes ask before, while and after the service serves.

They carry no certificate and no token, and they ask while the service still waits for its schema: the service's
own server is no answer to either.
"""

from __future__ import annotations

from types import TracebackType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

LIVE = "live"
"""The name under which the process says that it runs (`grpc.health.v1`); the empty name says that it serves."""


class HealthPort:
    """`async with`: listens from the beginning to the end of the block. Without an address it does nothing."""

    def __init__(self, listen: str) -> None:
        """`listen`: `host:port`, or empty."""
        self._listen = listen
        self._servicer = HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> HealthPort:
        """Live, and not yet serving. Raises RuntimeError when the address is taken."""
        await self._servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self.serving(False)
        if self._listen:
            self._server = grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
            self._server.add_insecure_port(self._listen)
            await self._server.start()
        return self

    async def serving(self, yes: bool) -> None:
        """What is answered to those who ask whether the service takes calls."""
        states = health_pb2.HealthCheckResponse
        await self._servicer.set("", states.SERVING if yes else states.NOT_SERVING)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            await self._server.stop(grace=0)
