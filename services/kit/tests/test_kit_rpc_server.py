"""The guard around a real server: each call verified and traced by itself, whatever calls came before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plaza.catalogue.v1 import catalogue_pb2, catalogue_pb2_grpc
from plaza_kit import telemetry
from plaza_kit.errors import NotFound
from plaza_kit.identity import BadToken, Principal, PrincipalKind, TokenVerifier
from plaza_kit.rpc.context import caller
from plaza_kit.rpc.server import Server

pytestmark = pytest.mark.integration

TRACE = "0af7651916cd43dd8448eb211c80319c"


class NoSuchDepartment(NotFound):
    """A domain word."""


class Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Answers who called, in which trace."""

    async def GetDepartment(
        self, request: catalogue_pb2.GetDepartmentRequest, context: Any
    ) -> catalogue_pb2.Department:
        if request.name == "departments/none":
            raise NoSuchDepartment("there is none")
        return catalogue_pb2.Department(name=caller().username, display_name=telemetry.current_trace_id())


class Names(TokenVerifier):
    """Takes `li` and `wang` for tokens, and counts."""

    def __init__(self) -> None:
        super().__init__("https://issuer.example", "plaza", http=httpx.AsyncClient())
        self.asked: list[str] = []

    async def verify(self, token: str) -> Principal:
        self.asked.append(token)
        if token not in ("li", "wang"):
            raise BadToken("malformed", "This is not a token.")
        return _person(token)


def _person(name: str) -> Principal:
    return Principal(
        name, name, name, PrincipalKind.PERSON, frozenset(), frozenset(), "cli", name, datetime.now(UTC)
    )


@pytest.fixture
def verifier() -> Names:
    return Names()


@pytest.fixture
async def call(tmp_path: Path, verifier: Names) -> AsyncIterator[Any]:
    address = f"unix:{tmp_path}/s.sock"
    service = "plaza.catalogue.v1.CatalogueService"
    server = Server(
        address,
        verifier,
        [lambda to: catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(Catalogue(), to)],
        [service],
    )
    await server.start()
    async with grpc.aio.insecure_channel(address, options=[("grpc.default_authority", "plaza")]) as channel:
        stub = catalogue_pb2_grpc.CatalogueServiceStub(channel)

        async def get(token: str = "", name: str = "departments/d", **more: str) -> catalogue_pb2.Department:
            metadata = [*more.items(), *([("authorization", f"Bearer {token}")] if token else [])]
            answer: catalogue_pb2.Department = await stub.GetDepartment(
                catalogue_pb2.GetDepartmentRequest(name=name), metadata=metadata, timeout=5
            )
            return answer

        yield get
    await server.stop()


async def refusal(call: Any, *arguments: str) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(*arguments)
    return caught.value.code()


async def test_each_call_is_verified_and_belongs_to_its_own_caller(call: Any, verifier: Names) -> None:
    for name in ("li", "wang", "li"):
        assert (await call(name)).name == name
    assert await refusal(call) is grpc.StatusCode.UNAUTHENTICATED
    assert await refusal(call, "forged") is grpc.StatusCode.UNAUTHENTICATED
    assert (await call("li")).name == "li"
    assert verifier.asked == ["li", "wang", "li", "forged", "li"]


async def test_each_call_is_validated_and_its_errors_told(call: Any) -> None:
    await call("li")
    assert await refusal(call, "li", "Not A Name") is grpc.StatusCode.INVALID_ARGUMENT
    assert await refusal(call, "li", "departments/none") is grpc.StatusCode.NOT_FOUND


async def test_the_callers_trace_goes_on_and_ends_with_the_call(call: Any) -> None:
    assert (await call("li", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")).display_name == TRACE
    assert (await call("li")).display_name == ""


async def test_with_an_exporter_each_call_is_a_span_of_the_callers_trace(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(telemetry, "tracer", lambda: provider.get_tracer("plaza"))
    assert (await call("li", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")).display_name == TRACE
    assert await refusal(call, "forged") is grpc.StatusCode.UNAUTHENTICATED
    mine, alone = kept.get_finished_spans()
    assert mine.name == alone.name == "plaza.catalogue.v1.CatalogueService/GetDepartment"
    assert mine.parent is not None
    assert f"{mine.parent.span_id:016x}" == "b7ad6b7169203331"
    assert alone.parent is None
    provider.shutdown()
