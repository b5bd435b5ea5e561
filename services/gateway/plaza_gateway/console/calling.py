"""How the console calls a service: in the person's own name, within the time that a page waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypedDict, TypeVar

import grpc
from plaza_kit import telemetry

from plaza_gateway.transcode.problems import Problem

SECONDS = 10.0
"""How long a page waits for a service."""

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Carried(TypedDict):
    """What every call takes along."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]


def carried(token: str) -> Carried:
    """For a call with this access token."""
    return {
        "timeout": SECONDS,
        "metadata": (("authorization", f"Bearer {token}"), *telemetry.inject().items()),
    }


async def answer(call: Awaitable[Answer]) -> Answer:
    """What the service answers. Raises Problem for what it refuses."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise Problem.of_rpc(error) from error


async def every(
    method: Callable[..., Awaitable[Any]],
    request: Any,
    items: Callable[[Any], Iterable[Item]],
    carrying: Carried,
) -> list[Item]:
    """All that a list has, page by page (AIP-158). `items`: those of a page. Raises Problem."""
    found: list[Item] = []
    while True:
        page = await answer(method(request, **carrying))
        found.extend(items(page))
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
