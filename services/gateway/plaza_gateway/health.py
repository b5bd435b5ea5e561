"""What those in front and those who watch ask of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import grpc
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plaza_kit.rpc.client import Peers
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

READY_SECONDS = 2.0


async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


async def metrics() -> Response:
    """Prometheus' text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Readiness:
    """The endpoint of `/readyz`."""

    def __init__(self, app: FastAPI, peers: Peers, names: Sequence[str], essential: Collection[str]) -> None:
        """`names`: the services that this process calls; `essential`: those that nearly every request needs."""
        self._app, self._peers, self._names = app, peers, names
        self._missing = set(essential)

    async def answer(self) -> JSONResponse:
        """Whether the gateway can serve, and how each service is; no longer, when it was told to end.

        From the moment when each essential service has served: a gateway that finds none, for its addresses or
        certificates are wrong, shall replace none that does. Later no service that is away takes it out: all gateways
        would go at once, and what needs others, and the words why not, with them.
        """
        if self._app.state.draining:
            return JSONResponse({"ready": False, "draining": True}, 503)
        answers = await asyncio.gather(*(_serving(self._peers, name) for name in self._names))
        serve = dict(zip(self._names, answers, strict=True))
        self._missing -= {name for name, serves in serve.items() if serves}
        ready = not self._missing
        states = {name: "serving" if serves else "not serving" for name, serves in serve.items()}
        return JSONResponse({"ready": ready, "services": states}, 200 if ready else 503)


async def _serving(peers: Peers, service: str) -> bool:
    stub = health_pb2_grpc.HealthStub(peers.channel(service))  # type: ignore[no-untyped-call]
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=READY_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
