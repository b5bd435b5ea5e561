"""The same over a real gRPC server on a Unix socket."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from plaza_gateway.transcode import Transcoder
from plaza_kit.errors import NotFound
from plaza_kit.rpc.status import to_status

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import INTERNAL, PACKAGE, descriptor_set, message, read

pytestmark = pytest.mark.integration
BOOK = "/api/v1/shelves/a/books/b"


class Library(grpc.GenericRpcHandler):
    """A service on raw bytes."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.cancelled = asyncio.Event()
        self.began = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method.rpartition("/")[2]
        if name == "WatchShelf":
            return grpc.unary_stream_rpc_method_handler(self.watch)
        if name in ("GetBook", "ListBooks", "DeleteBook"):
            return grpc.unary_unary_rpc_method_handler(getattr(self, name))
        return None

    async def GetBook(self, wire: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.metadata = dict(context.invocation_metadata() or ())
        name = read("GetBookRequest", wire)["name"]
        return message("Book", name=name, displayName="水经注", etag="e1").SerializeToString()

    async def ListBooks(self, wire: bytes, context: grpc.aio.ServicerContext) -> bytes:
        status = to_status(NotFound("there is no shelf a", remedy="Make one."))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.NOT_FOUND, status.message)
        raise AssertionError("abort raises")

    async def DeleteBook(self, wire: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.began.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def watch(self, wire: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        for sequence in range(3):
            yield message("ShelfEvent", sequence=str(sequence)).SerializeToString()


@pytest.fixture
async def library() -> AsyncIterator[tuple[Library, Transcoder]]:
    with tempfile.TemporaryDirectory() as folder:
        service, server = Library(), grpc.aio.server()
        server.add_generic_rpc_handlers((service,))
        address = f"unix:{folder}/library.sock"
        server.add_insecure_port(address)
        await server.start()
        async with grpc.aio.insecure_channel(address) as channel:
            yield service, Transcoder(descriptor_set(), {PACKAGE: channel}, face=INTERNAL, deadline_seconds=1)
        await server.stop(grace=None)


async def test_a_request_travels_and_comes_back(library: tuple[Library, Transcoder]) -> None:
    service, app = library
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plaza") as http:
        book = await http.get(BOOK, headers={"authorization": "Bearer t"})
        missing = await http.get("/api/v1/shelves/a/books")
        unknown = await http.get(BOOK + ":cover")
        events = await http.get("/api/v1/shelves/a:watch")
        late = await http.delete(BOOK)
    assert (book.status_code, book.json()["name"], book.headers["etag"]) == (200, "shelves/a/books/b", '"e1"')
    assert service.metadata["authorization"] == "Bearer t"
    assert (missing.status_code, missing.json()["remedy"]) == (404, "Make one.")
    assert unknown.status_code == 501
    assert len(events.text.splitlines()) == 3
    assert (late.status_code, late.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_a_caller_who_leaves_stops_the_work(library: tuple[Library, Transcoder]) -> None:
    service, app = library
    leave = asyncio.Event()
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        raise AssertionError(f"nobody is there to read {event}")

    scope = {"type": "http", "method": "DELETE", "path": BOOK, "headers": [], "query_string": b""}
    request = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(10):
        await service.began.wait()
        leave.set()
        await request
        await service.cancelled.wait()


async def test_a_dead_service_is_503(library: tuple[Library, Transcoder]) -> None:
    async with grpc.aio.insecure_channel("unix:/nonexistent/plaza.sock") as channel:
        app = Transcoder(descriptor_set(), {PACKAGE: channel}, face=INTERNAL)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plaza") as http:
            response = await http.get(BOOK)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "nonexistent" not in response.text
