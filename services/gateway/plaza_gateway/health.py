"""What those in front and those who watch ask of the process."""

from __future__ import annotations

import asyncio
from typing import Any

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


def readyz(app: FastAPI, peers: Peers, names: tuple[str, ...]) -> Any:
    """The endpoint of `/readyz` for the services that this process calls."""

    async def answer() -> JSONResponse:
        """Whether every service that this process calls serves; no longer, when it was told to end."""
        if app.state.draining:
            return JSONResponse({"ready": False, "draining": True}, 503)
        states = dict(zip(names, await asyncio.gather(*(_serving(peers, n) for n in names)), strict=True))
        ready = all(states.values())
        body = {"ready": ready, "services": {n: "serving" if s else "not serving" for n, s in states.items()}}
        return JSONResponse(body, 200 if ready else 503)

    return answer


async def _serving(peers: Peers, service: str) -> bool:
    stub = health_pb2_grpc.HealthStub(peers.channel(service))  # type: ignore[no-untyped-call]
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=READY_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
