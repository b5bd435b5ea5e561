"""Files sent by client streams, so that the server's own answer is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # compiled, without stubs


class AnsweredEarly(Exception):
    """The server has ended the call; its answer tells why."""


async def send(call: Any, wire: bytes) -> None:
    """Send one serialised message. Raises AnsweredEarly, and AioRpcError when the call could not begin.

    `call.write` would do, but for one thing: when the server ends the call while a message is on its way, it
    puts INTERNAL ("Internal error from Core") in the place of the status that is about to arrive; one in three
    hundred refusals became a fault of ours. So the message goes the way that `write` takes, without that.
    """
    await call.wait_for_connection()
    if call.done():
        raise AnsweredEarly
    try:
        await call._cython_call.send_serialized_message(wire)
    except cygrpc.InternalError as error:
        raise AnsweredEarly from error


async def file_messages(
    kind: Callable[..., Message], header: Message, pieces: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """A file as the contract's client streams want it: header, chunks, and the end that makes it whole.

    `kind`: the stream's message type, with the parts `header`, `chunk` and `end`.
    """
    size = 0
    yield kind(header=header).SerializeToString()
    async for piece in pieces:
        size += len(piece)
        yield kind(chunk=piece).SerializeToString()
    yield kind(end={"size_bytes": size}).SerializeToString()


async def answer_to(
    call: Any,
    messages: AsyncIterator[bytes],
    watching: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Any:
    """The answer of a call without a request iterator to these messages; a refusal is heard at once, not after the
    last byte. What is cut off is cancelled without its end.

    `watching` is entered when everything was sent and the answer is waited for. Raises AioRpcError, and what
    reading the messages raises.
    """
    answer = asyncio.ensure_future(_answer_of(call))
    feeding = asyncio.create_task(_feed(call, messages))
    try:
        await asyncio.wait({answer, feeding}, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()
        else:
            feeding.cancel()
        if answer.done():
            return answer.result()
        async with watching():
            return await answer
    finally:
        feeding.cancel()
        call.cancel()
        answer.cancel()


async def _answer_of(call: Any) -> Any:
    return await call


async def _feed(call: Any, messages: AsyncIterator[bytes]) -> None:
    """Send everything, close the way in. A call that ended by itself is no error here, its answer tells why."""
    try:
        async for wire in messages:
            await send(call, wire)
        await call.done_writing()
    except (AnsweredEarly, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return
