"""Assessing a version again, when somebody asks; and what it was assessed as before."""

from __future__ import annotations

import asyncio
from typing import Final

from plaza.quality.v1 import quality_pb2, verdicts_pb2
from plaza_kit.db import Scope
from plaza_kit.db.jobs import defer_in
from plaza_kit.db.requests import is_first
from plaza_kit.names import DatasetName, parse_version
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_lake import verdict_files
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_quality.domain.rules import rule_of
from plaza_quality.storage import assessments, versions
from plaza_quality.storage.versions import UNGRADED
from plaza_quality.usecases.assessing import JOB
from plaza_quality.usecases.ports import Registered, World
from plaza_quality.usecases.reading import never_committed
from plaza_quality.usecases.surroundings import code_lists

RUN: Final = "assessment.run"
READ: Final = "assessment.read"
_PAGE: Final = 10
_NEWEST: Final = (2**31 - 1,)
_LISTS: Final = "codeLists/"


class AssessingAgain:
    """Use cases of people."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def assess(self, request: verdicts_pb2.AssessVersionRequest) -> verdicts_pb2.AssessVersionResponse:
        """Raises UnknownVersion, RequestIdReused, NotPermitted, AioRpcError."""
        name, version = parse_version(request.name)
        scope = Scope.department(name.department)
        async with self._world.database.transaction(scope) as connection:
            principal = self._world.policy.authorize(RUN, await _resource(connection, name))
            await _check_committed(connection, name, version)
            current = await assessments.find(connection, name, version)
        registered = await self._world.catalogue.dataset(name)
        if current is not None and await self._is_current(name, current, registered):
            return verdicts_pb2.AssessVersionResponse(queued=False, number=current.number)
        number = 1 if current is None else current.number + 1
        async with self._world.database.transaction(scope) as connection:
            place = (name.department, request.name)
            if await is_first(connection, principal, request.request_id, request, place):
                arguments = {"dataset": str(name), "version": version, "number": number}
                await defer_in(connection, JOB, arguments, lock=str(name))
        return verdicts_pb2.AssessVersionResponse(queued=True, number=number)

    async def past(
        self, request: verdicts_pb2.ListPastAssessmentsRequest
    ) -> verdicts_pb2.ListPastAssessmentsResponse:
        """Raises UnknownVersion, BadPageToken, NotPermitted."""
        name, version = parse_version(request.parent)
        asked = request.page_size or _PAGE
        page = Page.of("past_assessments", (request.parent,), asked, request.page_token, _NEWEST)
        async with self._world.database.transaction(Scope.department(name.department)) as connection:
            self._world.policy.authorize(READ, await _resource(connection, name))
            await _check_committed(connection, name, version)
            items, more = await assessments.past(connection, name, version, int(page.start[0]), page.size)
        token = page.token((items[-1].number,)) if more else ""
        return verdicts_pb2.ListPastAssessmentsResponse(assessments=items, next_page_token=token)

    async def _is_current(
        self, name: DatasetName, made: quality_pb2.Assessment, registered: Registered
    ) -> bool:
        """Whether it is by the rule set in force, code lists included, with a verdict for every row."""
        if made.contract_version != registered.contract_version:
            return False
        rules = [rule_of(rule, registered.code_lists) for rule in registered.rules]
        day = self._world.now().astimezone(self._world.zone).date()
        lists = await code_lists(self._world, [rule.check for rule in rules], day)
        then = {each for rule in made.rules for each in rule.compared_with if each.startswith(_LISTS)}
        if then != {each.name for each in lists.values()}:
            return False
        kept = await asyncio.to_thread(verdict_files.find, self._world.lake, str(name), made.version)
        return kept is not None and kept.number == made.number


async def _resource(connection: AsyncConnection, name: DatasetName) -> Resource:
    grading = await versions.grading(connection, name) or UNGRADED
    return Resource.of_dataset(str(name), city_level=grading.city_level, sharing_class=grading.sharing_class)


async def _check_committed(connection: AsyncConnection, name: DatasetName, version: int) -> None:
    if not await versions.is_committed(connection, name, version):
        raise never_committed(name, version)
