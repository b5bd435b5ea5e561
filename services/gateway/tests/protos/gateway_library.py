"""The test contract, compiled, and a channel without sockets that answers for its services.

Imported by the tests of the transcoder and of the OpenAPI generator.
"""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import google.rpc
import grpc
import httpx
from google.protobuf import any_pb2, json_format, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc
from plaza_gateway.transcode import Contract, Transcoder
from plaza_kit.errors import PlazaError
from plaza_kit.rpc.status import to_status

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[3] / "protos"
PACKAGE = "gatewaytest.v1"
SERVICE = f"/{PACKAGE}.LibraryService/"
INTERNAL = frozenset({"public", "internal"})


def _validate_descriptors() -> bytes:
    spec = importlib.util.spec_from_file_location("plaza_build_protos", PROTOS / "build_protos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._validate_descriptors()


def compile_protos(root: Path, *sources: str) -> bytes:
    """A descriptor set with imports and comments; protoc's messages are on stderr."""
    includes = [
        root,
        PROTOS,
        resources.files("grpc_tools") / "_proto",
        Path(google.rpc.__path__[0]).parent.parent,
    ]
    with tempfile.TemporaryDirectory() as folder:
        known, out = Path(folder, "validate.binpb"), Path(folder, "out.binpb")
        known.write_bytes(_validate_descriptors())
        arguments = ["protoc", *(f"-I{each}" for each in includes), f"--descriptor_set_in={known}"]
        arguments += ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}", *sources]
        assert protoc.main(arguments) == 0
        return out.read_bytes()


@cache
def descriptor_set() -> bytes:
    """The compiled library contract."""
    return compile_protos(HERE, "gatewaytest/v1/library.proto")


@cache
def contract() -> Contract:
    """The parsed library contract."""
    return Contract(descriptor_set())


def message(name: str, /, **members: Any) -> Message:
    """A message of the library, from ProtoJSON members."""
    kind = message_factory.GetMessageClass(contract().message(f"{PACKAGE}.{name}"))
    return json_format.ParseDict(members, kind(), descriptor_pool=contract().pool)


def read(name: str, wire: bytes) -> dict[str, Any]:
    """What a service received, as plain ProtoJSON without defaults."""
    kind = message_factory.GetMessageClass(contract().message(f"{PACKAGE}.{name}"))
    return json_format.MessageToDict(kind.FromString(wire), descriptor_pool=contract().pool)


def refusal(error: PlazaError | status_pb2.Status) -> grpc.aio.AioRpcError:
    """A failed call as a service of ours makes it."""
    status = to_status(error) if isinstance(error, PlazaError) else error
    code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=status.message)


def retry_later(seconds: int) -> status_pb2.Status:
    """UNAVAILABLE with a RetryInfo."""
    packed = any_pb2.Any()
    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = seconds
    packed.Pack(info)
    return status_pb2.Status(code=14, message="the ledger is busy", details=[packed])


@dataclass
class Call:
    """A call under way on the fake channel."""

    answers: list[Any]
    hang: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self) -> bool:
        self.cancelled.set()
        return True

    def __await__(self) -> Any:
        return self._unary().__await__()

    async def _unary(self) -> bytes:
        if self.hang:
            await self.cancelled.wait()
            raise asyncio.CancelledError
        return self._next()

    async def read(self) -> Any:
        if not self.answers:
            return grpc.aio.EOF
        return self._next()

    def _next(self) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer.SerializeToString() if isinstance(answer, Message) else answer


@dataclass
class Channel:
    """Answers by RPC name; remembers what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    hang: bool = False
    requests: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def unary_unary(self, path: str) -> Callable[..., Call]:
        return self._multicallable(path)

    unary_stream = unary_unary

    def _multicallable(self, path: str) -> Callable[..., Call]:
        name = path.removeprefix(SERVICE)

        def call(wire: bytes, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Call:
            assert timeout > 0
            self.requests.append((name, wire, dict(metadata)))
            answer = self.answers.get(name, b"")
            self.calls.append(Call(list(answer) if isinstance(answer, list) else [answer], self.hang))
            return self.calls[-1]

        return call

    def last(self, name: str) -> dict[str, Any]:
        """The last request, which must be of this message type."""
        return read(name, self.requests[-1][1])


def client(channel: Any, *, face: frozenset[str] = INTERNAL, **options: Any) -> httpx.AsyncClient:
    """An HTTP client wired straight into a transcoder."""
    app = Transcoder(descriptor_set(), {PACKAGE: channel}, face=face, **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://plaza")
