"""A read grant that is renewed for as long as rows are read under it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, TypeVar

from plaza_kit import telemetry
from plaza_kit.errors import Unavailable
from plaza_kit.grants import ReadGrant
from plaza_kit.streams import in_thread
from plaza_lake.read import RowQuery, RowStream, read_rows

from plaza_sharing.usecases.ports import ReadRight, World

_log = telemetry.log("leases")

T = TypeVar("T")
_RETRY: Final = timedelta(seconds=2)
_SHORTEST_WAIT: Final = 0.05


class Lease:
    """Use it as an async context manager. Half-way through its life the grant is renewed, in the background
    (a sort may take longer than a grant lives) and before each item of `read`. A refusal ends the reading
    with security's words; while security is away the grant is used up to its end."""

    def __init__(self, world: World, right: ReadRight) -> None:
        self._world = world
        self._right = right
        self._streams: list[RowStream] = []
        self._renewing = asyncio.Lock()
        self._failure: Exception | None = None
        self._token = ""
        self._renew_at: datetime = world.now()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lease:
        self.grant = await self._issue()
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None, "the lease was entered"
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def open(self, query: RowQuery) -> RowStream:
        """Rows under the grant as it is now and will be. Called in the thread that reads."""
        token = self._token
        stream = read_rows(self._world.lake, self._world.grants, token, query)
        self._streams.append(stream)
        if self._token != token:
            # Renewed while the stream was being opened, before it could be told.
            stream.renew(self._token)
        return stream

    async def read(self, make: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """What a blocking iterator yields, read in a thread while the grant is kept alive. Leaving early ends
        the query: use it with `contextlib.aclosing`."""
        async with aclosing(in_thread(make)) as items:
            while True:
                await self._refresh()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                yield item

    async def call(self, work: Callable[[], T]) -> T:
        """What a short blocking reading answers, done in a thread while the grant is kept alive."""
        await self._refresh()
        answer = await asyncio.get_running_loop().run_in_executor(self._world.pages, work)
        await self._refresh()  # a refusal in the meantime ends this reading too
        return answer

    async def _issue(self) -> ReadGrant:
        token = await self._world.security.read_grant(self._right)
        grant = self._world.grants.read(token)
        # Before the streams: one that is being opened just now finds it here or is found there.
        self._token = token
        for stream in self._streams:
            stream.renew(token)
        self._renew_at = grant.issued_at + (grant.expires_at - grant.issued_at) / 2
        return grant

    async def _refresh(self) -> None:
        async with self._renewing:
            if self._failure is not None:
                raise self._failure
            if self._world.now() < self._renew_at:
                return
            try:
                self.grant = await self._issue()
            except Unavailable as error:
                if self._world.now() >= self.grant.expires_at - _RETRY:
                    raise
                self._renew_at = self._world.now() + _RETRY
                _log.warning(
                    "read grant not renewed yet", dataset=str(self._right.dataset), error=error.message
                )

    async def _keep(self) -> None:
        while True:
            wait = (self._renew_at - self._world.now()).total_seconds()
            await asyncio.sleep(max(_SHORTEST_WAIT, wait))
            try:
                await self._refresh()
            except Exception as error:
                self._failure = error  # raised where the rows are read
                return
