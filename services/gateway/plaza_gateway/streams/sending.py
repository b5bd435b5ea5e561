"""Messages of a client stream, sent so that the server's own answer is heard."""

from __future__ import annotations

from typing import Any

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
