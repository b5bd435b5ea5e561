"""Profiles: asked for, made by the job `profile`, shown under the caller's own read grant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import grpc
from plaza.common.v1 import events_pb2
from plaza.quality.v1 import profiles_pb2 as pb
from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.inbox import Handler
from plaza_kit.db.jobs import defer_in
from plaza_kit.errors import NotFound
from plaza_kit.names import DatasetName, parse_version
from plaza_lake.access import ColumnNotGranted, MasksNotSupported
from plaza_lake.engine import MergeOnRead
from plaza_lake.scan import RowFilterNotSupported
from plaza_lake.tables import TableNotFound
from plaza_lake.versions import VersionExpired, VersionNotFound
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.profiles import Sight
from plaza_quality.storage import profiles, versions
from plaza_quality.storage.openings import opened
from plaza_quality.usecases.drawing import Drawing
from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.reading import never_committed

_log = telemetry.log("profiles")

JOB: Final = "profile"
MAX_ATTEMPTS: Final = 40
COMMITTED: Final = "city.plaza.ingestion.version.committed.v1"
_AFTER_ASSESSMENTS: Final = -1
_HOPELESS: Final = (
    TableNotFound,
    VersionNotFound,
    VersionExpired,
    MergeOnRead,
    MasksNotSupported,
    ColumnNotGranted,
    RowFilterNotSupported,
)
"""What trying again does not change."""


class NotProfiled(NotFound):
    """Nobody asked for a profile of this version yet."""


async def sight(world: ProfileWorld, name: DatasetName, version: int = 0) -> Sight:
    """What the caller may see of a version's figures: what security grants them to read for their own department.
    Raises AioRpcError with its refusal, GrantRefused."""
    return Sight.of(world.world.grants.read(await world.world.granting.own(name, version)))


class Profiles:
    """Use cases of people."""

    def __init__(self, world: ProfileWorld) -> None:
        self._world = world

    async def create(self, request: pb.CreateProfileRequest) -> pb.Profile:
        """Raises UnknownVersion, and as `sight`."""
        name, version = parse_version(request.parent)
        seen = await sight(self._world, name, version)
        async with self._world.world.database.transaction(Scope.department(name.department)) as connection:
            if not await versions.is_committed(connection, name, version):
                raise never_committed(name, version)
            if await profiles.request(connection, name, version, self._world.world.now()):
                await _defer(connection, name, version, asked=True)
            found = await profiles.find(connection, name, version)
        assert found is not None, "it was noted"
        return seen.of_profile(found)

    async def get(self, request: pb.GetProfileRequest) -> pb.Profile:
        """Raises NotProfiled, UnknownVersion, and as `sight`."""
        name, version = parse_version(request.name.removesuffix("/profile"))
        seen = await sight(self._world, name, version)
        async with self._world.world.database.transaction(Scope.department(name.department)) as connection:
            found = await profiles.find(connection, name, version)
            if found is None and not await versions.is_committed(connection, name, version):
                raise never_committed(name, version)
        if found is None:
            raise NotProfiled(
                f"{name}/versions/{version} has no profile yet",
                remedy=f"ask for it: POST /api/v1/{name}/versions/{version}/profile",
                facts={"version": str(version)},
            )
        return seen.of_profile(found)


class Profiling:
    """The job, in the service's own name."""

    def __init__(self, world: ProfileWorld) -> None:
        self._world = world
        self._drawing = Drawing(world)

    async def make(self, dataset: str, version: int, asked: bool) -> None:
        """Makes the profile of a version that has none. One that nobody asked for is left out when a newer version is
        there, or the table is large. Cut off at any point, it may run again from the start.

        Raises AioRpcError, GrantRefused, LakeUnavailable; the job is then tried again.
        """
        name = DatasetName.parse(dataset)
        world = self._world.world
        scope = Scope.department(name.department)
        async with world.database.transaction(scope) as connection:
            if await profiles.is_made(connection, name, version):
                return
            if not asked and version < await profiles.newest_committed(connection, name):
                return
            history = await profiles.history(connection, name, 30)
        try:
            if not asked and not await self._is_small(name, version):
                return
            made = await self._drawing.draw(
                name, version, [each.rows for each in history if each.version < version]
            )
        except _HOPELESS as error:
            async with world.database.transaction(scope) as connection:
                await profiles.fail(connection, name, version, error.message, world.now())
            return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            async with world.database.transaction(scope) as connection:
                await profiles.fail(connection, name, version, error.details() or "", world.now())
            return
        async with world.database.transaction(scope) as connection:
            await profiles.put(connection, name, version, made)
        _log.info(
            "version profiled", dataset=dataset, version=version, rows=made.profile.rows,
            suggestions=len(made.suggestions),
        )  # fmt: skip

    async def _is_small(self, name: DatasetName, version: int) -> bool:
        world = self._world.world
        if not self._world.rows_by_itself:
            return False
        grant = await world.granting.assessing(name, version)
        found = await asyncio.to_thread(opened, world.lake, world.grants, grant)
        return found is not None and found[1] <= self._world.rows_by_itself


def with_profiles(handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    """The same, and a committed version is profiled after it is assessed."""
    first = handlers[COMMITTED]

    async def committed(connection: AsyncConnection, event: events_pb2.Event, data: dict[str, Any]) -> None:
        await first(connection, event, data)
        await _defer(connection, DatasetName.parse(str(data["dataset"])), data["version"], asked=False)

    return {**handlers, COMMITTED: committed}


async def _defer(connection: AsyncConnection, name: DatasetName, version: int, *, asked: bool) -> None:
    arguments = {"dataset": str(name), "version": version, "asked": asked}
    await defer_in(connection, JOB, arguments, lock=f"{name}/profile", priority=_AFTER_ASSESSMENTS)
