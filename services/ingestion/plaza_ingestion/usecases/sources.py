"""Registering sources and looking at them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.db.requests import is_first
from plaza_kit.names import parse_department
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.rpc.guard import validate
from plaza_lake.overwrite import LoadMode, UpsertWithoutKey
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain import sources as rules
from plaza_ingestion.domain.schedules import next_time
from plaza_ingestion.domain.sources import SourceId, SourceName, SourceState
from plaza_ingestion.storage import runs, sources
from plaza_ingestion.storage.sources import StoredSource
from plaza_ingestion.usecases import source_words as words
from plaza_ingestion.usecases.ports import SystemState, World

_FIRST: Final = ("",)


class Sources:
    """Use cases of those who keep sources."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: pb.CreateSourceRequest) -> pb.Source:
        """Raises BadSource, BadSchedule, SourceExists, UnknownSourceSystem, UpsertWithoutKey, TimesAmbiguous,
        NotPermitted, RequestIdReused, and what the catalogue refuses."""
        name = SourceName(parse_department(request.parent), SourceId(request.source_id))
        principal = self._world.policy.authorize("source.manage", Resource.of_department(name.department))
        given, now = rules.definition(request.source), self._world.now()
        rules.check_source(name.department, given, now)
        await self._check_dataset(given)
        await self._check_system(given)
        new = sources.NewSource(name, given, principal.name, now, _next(given, now))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            place = (name.department, str(name))
            if not await is_first(connection, principal, request.request_id, request, place):
                return (await found(connection, name)).pb
            if not await sources.insert(connection, new):
                raise words.SourceExists(f"{name} exists already", remedy="choose another source_id")
            created = (await found(connection, name)).pb
            await self._world.outbox.write(connection, words.source_event(words.CREATED, created, principal))
        self._world.outbox.wake()
        return created

    async def get(self, request: pb.GetSourceRequest) -> pb.Source:
        """Raises UnknownSource, NotPermitted."""
        name = SourceName.parse(request.name)
        principal = self._world.policy.authorize("source.read", Resource.of_department(name.department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            return (await found(connection, name)).pb

    async def list(self, request: pb.ListSourcesRequest) -> pb.ListSourcesResponse:
        """Raises NotPermitted, BadPageToken."""
        department = parse_department(request.parent)
        filters = (request.parent, request.dataset)
        page = Page.of("sources", filters, request.page_size, request.page_token, _FIRST)
        principal = self._world.policy.authorize("source.read", Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            some = await sources.page(
                connection, department, request.dataset, str(page.start[0]), page.size + 1
            )
        items, more = page.cut(some)
        token = page.token((items[-1].name.source,)) if more else ""
        return pb.ListSourcesResponse(sources=[item.pb for item in items], next_page_token=token)

    async def update(self, request: pb.UpdateSourceRequest) -> pb.Source:
        """Raises UnknownSource, EtagMismatch, SourceBusy, NotUpdatable, NotPermitted, and as `create`."""
        name = _named(request.source.name)
        principal = self._world.policy.authorize("source.manage", Resource.of_department(name.department))
        paths, now = rules.update_paths(request.update_mask, request.source), self._world.now()
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            before = await found(connection, name)
        after = rules.merged(before.definition, request.source, paths)
        validate(_as_new(name, after))
        rules.check_source(name.department, after, now)
        if rules.changes_what(before.definition, after):
            await self._check_dataset(after)
        if after.source_system != before.definition.source_system:
            await self._check_system(after)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            current = await found(connection, name, lock=True)
            if request.source.etag not in ("", current.pb.etag) or current.revision != before.revision:
                raise words.etag_mismatch(name)
            if after == current.definition:
                return current.pb
            if rules.changes_what(current.definition, after):
                await _check_idle(connection, name)
            await _save_definition(connection, current, after, now)
            updated = (await found(connection, name)).pb
            await self._world.outbox.write(connection, words.source_event(words.UPDATED, updated, principal))
        self._world.outbox.wake()
        return updated

    async def pause(self, request: pb.PauseSourceRequest) -> pb.Source:
        """Raises UnknownSource, EtagMismatch, NotPermitted."""
        return await self._turn(request.name, request.etag, SourceState.PAUSED)

    async def resume(self, request: pb.ResumeSourceRequest) -> pb.Source:
        """Raises UnknownSource, EtagMismatch, NotPermitted."""
        return await self._turn(request.name, request.etag, SourceState.ACTIVE)

    async def _turn(self, name_text: str, etag: str, state: SourceState) -> pb.Source:
        name = SourceName.parse(name_text)
        principal = self._world.policy.authorize("source.manage", Resource.of_department(name.department))
        now = self._world.now()
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            current = await found(connection, name, lock=True)
            if current.state is state:
                return current.pb
            if etag not in ("", current.pb.etag):
                raise words.etag_mismatch(name)
            paused = state is SourceState.PAUSED
            await sources.save(
                connection,
                name,
                state=state.value,
                failures=0,
                next_pull_time=None if paused else _next(current.definition, now),
                revision=current.revision + 1,
                update_time=now,
            )
            turned = (await found(connection, name)).pb
            event = words.source_event(words.PAUSED if paused else words.RESUMED, turned, principal)
            await self._world.outbox.write(connection, event)
        self._world.outbox.wake()
        return turned

    async def _check_dataset(self, source: pb.Source) -> None:
        """That the dataset is there and can be filled in this mode, as far as that is known now."""
        force = await self._world.catalogue.contract(source.dataset)
        if rules.MODES[source.mode] is LoadMode.UPSERT and not force.contract.key:
            raise UpsertWithoutKey(source.dataset)
        rules.pulled_contract(source, force.contract)

    async def _check_system(self, source: pb.Source) -> None:
        """That the source system is there and gives data. Raises UnknownSourceSystem."""
        if not source.source_system:
            return
        state = await self._world.catalogue.source_system(source.source_system)
        if state is not SystemState.ACTIVE:
            raise words.UnknownSourceSystem(source.source_system, state is SystemState.RETIRED)


async def found(connection: AsyncConnection, name: SourceName, *, lock: bool = False) -> StoredSource:
    """Raises UnknownSource."""
    source = await sources.find(connection, name, lock=lock)
    if source is None:
        raise words.unknown_source(name)
    return source


async def _check_idle(connection: AsyncConnection, name: SourceName) -> None:
    under_way = await runs.open_pull(connection, name.department, name.source)
    if under_way is not None:
        raise words.SourceBusy(
            f"{name} is being pulled by {under_way.name}",
            remedy="wait until that run has ended, or cancel it",
            facts={"run": under_way.name},
        )


async def _save_definition(
    connection: AsyncConnection, current: StoredSource, after: pb.Source, now: datetime
) -> None:
    moved = {}
    if after.schedule != current.definition.schedule and current.state is not SourceState.PAUSED:
        moved["next_pull_time"] = _next(after, now)
    await sources.save(
        connection,
        current.name,
        definition=after,
        dataset=after.dataset,
        cursor=rules.cursor_after_update(current.definition, after, current.cursor),
        revision=current.revision + 1,
        update_time=now,
        **moved,
    )


def _next(source: pb.Source, now: datetime) -> datetime | None:
    return next_time(source.schedule, now) if source.HasField("schedule") else None


def _as_new(name: SourceName, source: pb.Source) -> pb.CreateSourceRequest:
    """The rules of the message, on the whole source as it would be."""
    return pb.CreateSourceRequest(
        parent=f"departments/{name.department}", source_id=name.source, source=source
    )


def _named(name: str) -> SourceName:
    """Of a message whose rules are not held against a change. Raises InvalidRequest."""
    validate(pb.GetSourceRequest(name=name))
    return SourceName.parse(name)
