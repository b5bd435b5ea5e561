"""Reading assessments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from plaza.quality.v1 import quality_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.errors import NotFound
from plaza_kit.names import DatasetName, parse_version
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.storage import assessments, versions
from plaza_quality.storage.versions import UNGRADED
from plaza_quality.usecases.ports import World

_NEWEST: Final = (2**31 - 1,)
"""Behind every number, so that the first page starts with the newest."""


class UnknownVersion(NotFound):
    """Ingestion has not told of a committed version of this number."""


class NotAssessedYet(NotFound):
    """The version is committed; its assessment is being made."""


class Reading:
    """Use cases that read."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: pb.GetAssessmentRequest) -> pb.Assessment:
        """Raises UnknownVersion, NotAssessedYet."""
        name, version = parse_version(request.name.removesuffix("/assessment"))
        async with self._reading(name) as connection:
            found = await assessments.find(connection, name, version)
            if found is not None:
                return found
            if await versions.is_committed(connection, name, version):
                raise NotAssessedYet(
                    f"{name}/versions/{version} is committed and not assessed yet",
                    remedy="ask again in some seconds",
                    facts={"version": str(version)},
                )
        raise never_committed(name, version)

    async def list(self, request: pb.ListAssessmentsRequest) -> pb.ListAssessmentsResponse:
        """Empty for a dataset without any. Raises BadPageToken."""
        name = DatasetName.parse(request.parent)
        page = Page.of("assessments", (request.parent,), request.page_size, request.page_token, _NEWEST)
        async with self._reading(name) as connection:
            items, more = await assessments.page(connection, name, int(page.start[0]), page.size)
        token = page.token((items[-1].version,)) if more else ""
        return pb.ListAssessmentsResponse(assessments=items, next_page_token=token)

    @asynccontextmanager
    async def _reading(self, name: DatasetName) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees the named department, for a caller who may see this dataset's assessments."""
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            grading = await versions.grading(connection, name) or UNGRADED
            resource = Resource.of_dataset(
                str(name), city_level=grading.city_level, sharing_class=grading.sharing_class
            )
            self._world.policy.authorize("assessment.read", resource)
            yield connection


def never_committed(name: DatasetName, version: int) -> UnknownVersion:
    """As an error to raise."""
    return UnknownVersion(
        f"{name}/versions/{version} was never committed",
        remedy="list the versions of the dataset",
        facts={"version": str(version)},
    )
