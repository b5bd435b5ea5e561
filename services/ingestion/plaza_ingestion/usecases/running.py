"""Looking at runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.names import parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource

from plaza_ingestion.storage import runs
from plaza_ingestion.usecases.ports import World, unknown_run

POLL_SECONDS: Final = 0.3
_NEWEST: Final = ("g",)
"""Behind every UUID."""


class Running:
    """Use cases that read runs."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetRunRequest) -> pb.Run:
        """Raises UnknownRun, NotPermitted."""
        return (await self._read(request.name)).pb

    async def list(self, request: pb.ListRunsRequest) -> pb.ListRunsResponse:
        """Raises NotPermitted, BadPageToken."""
        department = parse_department(request.parent)
        filters = (request.parent, request.dataset)
        page = Page.of("runs", filters, request.page_size, request.page_token, _NEWEST)
        principal = self._world.policy.authorize("run.read", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await runs.page(
                connection, department, request.dataset, str(page.start[0]), page.size + 1
            )
        items, more = page.cut(found)
        token = page.token((items[-1].run,)) if more else ""
        return pb.ListRunsResponse(runs=[item.pb for item in items], next_page_token=token)

    async def watch(self, request: pb.WatchRunRequest) -> AsyncIterator[pb.Run]:
        """At once, then at each change, until it has ended. The right is asked for again each time, so that a
        person who lost it sees no more. Raises UnknownRun, NotPermitted."""
        seen = 0
        while True:
            found = await self._read(request.name)
            if found.revision != seen:
                seen = found.revision
                yield found.pb
            if found.ended:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _read(self, name: str) -> runs.StoredRun:
        _, department, _, run = name.split("/")
        principal = self._world.policy.authorize("run.read", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            found = await runs.find(connection, department, run)
        if found is None:
            raise unknown_run(name)
        return found
