"""The one server interceptor: trace, verify the caller, validate the request, map errors, measure.

Every service verifies every caller itself; a gateway or a peer is not trusted to have done so.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import grpc
import protovalidate
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.rpc import status_pb2
from opentelemetry import context as otel_context
from opentelemetry import trace
from plaza.common.v1 import annotations_pb2

from plaza_kit import telemetry
from plaza_kit.errors import FieldViolation, InvalidArgument, PermissionDenied, PlazaError
from plaza_kit.identity import Principal, TokenVerifier
from plaza_kit.rpc import context
from plaza_kit.rpc.status import DETAILS_KEY, code_of, internal, status_of, to_status
from plaza_kit.rpc.tls import department_of

_log = telemetry.log("rpc")
_validator = protovalidate.Validator()


class InvalidRequest(InvalidArgument):
    """The request breaks a rule that the contract declares; each violation names its field."""


class AnothersToken(PermissionDenied):
    """The certificate names a department's worker, and the token is not of that department."""


def validate(request: Message) -> None:
    """Check a request against the `buf.validate` rules of its proto, and that no text holds U+0000, which
    PostgreSQL cannot store. Raises InvalidRequest with every violation."""
    found = ((_path(v.proto.field), v.proto) for v in _validator.collect_violations(request))
    violations = tuple(
        FieldViolation(path, violation.message or violation.rule_id or "is not valid")
        for path, violation in found
        if _matters(request, path)
    )
    if not violations and b"\x00" in request.SerializeToString():
        violations = tuple(_nul_characters(request, ""))
    if not violations:
        return
    first = violations[0]
    raise InvalidRequest(
        f"{first.field}: {first.description}",
        remedy="correct the named fields; the API documentation gives their rules",
        violations=violations,
    )


def _nul_characters(message: Message, place: str) -> Iterator[FieldViolation]:
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            where = f"{place}{field.name}"
            if isinstance(item, Message):
                yield from _nul_characters(item, f"{where}.")
            elif isinstance(item, str) and "\x00" in item:
                yield FieldViolation(where, "holds the character U+0000")


def _matters(request: Any, path: str) -> bool:
    """In an update only the fields that the mask names must be right (AIP-134): the others are not written."""
    mask = getattr(request, "update_mask", None)
    if mask is None or not mask.paths:
        return True
    _resource, _, rest = path.partition(".")
    field = rest.partition(".")[0].partition("[")[0]
    return not field or any(named.partition(".")[0] == field for named in mask.paths)


def _path(field: Any) -> str:
    """`dataset.contract.fields[2].name`, as a caller would write it."""
    parts: list[str] = []
    for element in field.elements if field is not None else ():
        subscript = element.subscript
        index = f"[{subscript.value}]" if subscript is not None else ""
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts)


@functools.cache
def is_anonymous(method: str) -> bool:
    """Whether a method (`/package.Service/Method`) answers without a caller: health, reflection, declared ones."""
    service, _, name = method.lstrip("/").partition("/")
    if service.startswith("grpc."):
        return True
    try:
        found = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name)
    except KeyError:
        return False
    return bool(found.GetOptions().Extensions[annotations_pb2.anonymous])


class Guard(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server."""

    def __init__(self, verifier: TokenVerifier, still_in: Callable[[Principal], None] | None = None) -> None:
        """`still_in` raises for callers whose accounts were closed after their tokens were made: asked before each call
        and before each answer of a stream."""
        self._verifier = verifier
        self._still_in = still_in
        self._guarded: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        """By method; only methods that exist, so it has a bound."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = handler_call_details.method
        if (known := self._guarded.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith("/grpc."):
            return handler
        guarded = self._guarded[method] = self._guard(method, handler)
        return guarded

    def _guard(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        # Streaming requests are validated message by message by their use case: the first one decides.
        if handler.unary_unary is not None:
            return _replace(handler, unary_unary=self._unary(method, handler.unary_unary))
        if handler.unary_stream is not None:
            return _replace(handler, unary_stream=self._stream(method, handler.unary_stream))
        if handler.stream_unary is not None:
            return _replace(handler, stream_unary=self._unary(method, handler.stream_unary))
        return _replace(handler, stream_stream=self._stream(method, handler.stream_stream))

    def _unary(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, rpc: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with _Call(method, rpc) as measured:
                await self._admit(method, request, measured.metadata, rpc)
                response = await behaviour(request, rpc)
                measured.code = grpc.StatusCode.OK
                return response

        return call

    def _stream(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, rpc: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with _Call(method, rpc) as measured:
                await self._admit(method, request, measured.metadata, rpc)
                principal = context.found()
                async for response in behaviour(request, rpc):
                    if principal is not None and self._still_in is not None:
                        self._still_in(principal)
                    yield response
                measured.code = grpc.StatusCode.OK

        return call

    async def _admit(
        self,
        method: str,
        request: Any,
        metadata: Mapping[str, str],
        rpc: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        principal = await self._verifier.verify(token.strip()) if scheme.lower() == "bearer" else None
        if (department := department_of(rpc.auth_context())) is not None:
            _same_department(principal, department)
        if principal is not None and self._still_in is not None:
            self._still_in(principal)
        context.set_caller(principal)
        if principal is None and not is_anonymous(method):
            context.caller()
        if isinstance(request, Message):
            validate(request)


def _same_department(principal: Principal | None, department: str) -> None:
    """A token that somebody took from elsewhere is of no use on a worker's connection."""
    if principal is None or principal.departments != {department}:
        raise AnothersToken(
            f"the connection is that of the worker of {department}, the token is not",
            remedy="A worker calls with the token of its own department's client.",
            facts={"department": department},
        )


class _Call:
    """One call: its trace, its time, and the translation of whatever goes wrong."""

    def __init__(self, method: str, rpc: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._method = method
        self._rpc = rpc
        self.code = grpc.StatusCode.CANCELLED
        self.metadata = {k: v for k, v in rpc.invocation_metadata() or () if isinstance(v, str)}

    async def __aenter__(self) -> _Call:
        self._started = time.perf_counter()
        received = telemetry.extract(self.metadata)
        self._span = telemetry.tracer().start_span(self._method.lstrip("/"), received)
        # Without an exporter the span records nothing, and the caller's trace goes on as it came.
        current = trace.set_span_in_context(self._span, received) if self._span.is_recording() else received
        self._token = otel_context.attach(current)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: Any) -> None:
        try:
            if isinstance(error, Exception):
                await self._abort(error)
        finally:
            self._span.end()
            telemetry.RPC_SECONDS.labels(self._method, self.code.name).observe(
                time.perf_counter() - self._started
            )
            try:
                otel_context.detach(self._token)
            except ValueError:
                # A stream that is closed from another task ends in a context that is not ours to restore.
                _log.debug("trace context not detached", method=self._method)

    async def _abort(self, error: Exception) -> None:
        status = self._status(error)
        self.code = code_of(status)
        await self._rpc.abort(
            self.code, status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
        )

    def _status(self, error: Exception) -> status_pb2.Status:
        if isinstance(error, PlazaError):
            return to_status(error)
        if isinstance(error, grpc.aio.AioRpcError):
            # A peer's refusal is our refusal: its words, reason and remedy travel on unchanged.
            return status_of(error)
        _log.error("unexpected error", method=self._method, exc_info=error)
        return internal(telemetry.current_trace_id())


def _replace(handler: grpc.RpcMethodHandler[Any, Any], **behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return handler._replace(**behaviour)  # type: ignore[attr-defined,no-any-return]  # a namedtuple in fact
