"""A message that cannot be sent any more: the server's answer is awaited, never replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from grpc._cython import cygrpc
from plaza_gateway.streams.sending import AnsweredEarly, send


class Call:
    """A call as grpc.aio has it, which the server ends when it likes."""

    def __init__(self, *, ended: bool = False, ends_meanwhile: bool = False) -> None:
        self.sent: list[bytes] = []
        self._ended = ended
        self._ends_meanwhile = ends_meanwhile
        self._cython_call = SimpleNamespace(send_serialized_message=self._send)

    async def wait_for_connection(self) -> None:
        pass

    def done(self) -> bool:
        return self._ended

    async def _send(self, wire: bytes) -> None:
        if self._ends_meanwhile:
            raise cygrpc.InternalError("Failed execute_batch")
        self.sent.append(wire)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} would put a status of its own in the place of the server's")


async def test_what_can_be_sent_is_sent() -> None:
    call = Call()
    await send(call, b"x")
    assert call.sent == [b"x"]


@pytest.mark.parametrize("call", [Call(ended=True), Call(ends_meanwhile=True)], ids=["before", "meanwhile"])
async def test_a_call_that_has_ended_has_an_answer(call: Call) -> None:
    with pytest.raises(AnsweredEarly):
        await send(call, b"x")
    assert not call.sent
