"""Code lists: shown to everybody who reads the directory, added to by city administrators, some of them shipped."""

from __future__ import annotations

import asyncio

from plaza.catalogue.v1 import code_lists_pb2 as pb
from plaza.common.v1 import contract_pb2
from plaza_kit import telemetry
from plaza_kit.db import Reader, Scope, within
from plaza_kit.db.outbox import NewEvent
from plaza_kit.db.requests import is_first
from plaza_kit.errors import AlreadyExists, NotFound
from plaza_kit.identity import Principal
from plaza_kit.paging import Page
from plaza_kit.policy import Resource
from plaza_kit.search_words import normalise
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_catalogue.domain.code_lists import Code, CodeListName, named_lists, parse_csv, unknown_lists
from plaza_catalogue.domain.shipped_lists import Shipped, shipped
from plaza_catalogue.domain.updates import part
from plaza_catalogue.storage import code_lists
from plaza_catalogue.storage.code_lists import Filter, Making
from plaza_catalogue.usecases.ports import NEWEST, World

_log = telemetry.log("code lists")

PUBLISHED = "city.plaza.catalogue.code_list.published.v1"
_FACTS = (
    "display_name",
    "display_name_en",
    "standard",
    "edition",
    "description",
    "source",
    "licence",
)
"""What is said about a version; the rest is found out."""
_SHIPPER = "services/plaza-catalogue"


class UnknownList(NotFound):
    """There is no code list, or no version of it, with this name."""


class CodeListVersionExists(AlreadyExists):
    """The list has a version of this id, and versions never change."""


class CodeLists:
    """Use cases around code lists."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def ship(self) -> None:
        """Puts the lists that come with Plaza where they are not yet. Any replica may do it, at any time."""
        scope = Scope.everything()
        there = await code_lists.known(self._world.database.reader(scope))
        for each in shipped():
            if each.name not in there:
                await self._ship(each)

    async def _ship(self, each: Shipped) -> None:
        codes = await asyncio.to_thread(each.codes)
        making = Making(_SHIPPER, "", self._world.now(), shipped=True)
        async with self._world.database.transaction(Scope.everything()) as connection:
            if await code_lists.insert(connection, each.name, each.facts, codes, making):
                _log.info("code list shipped", version=str(each.name), codes=len(codes))

    async def page(self, request: pb.ListCodeListsRequest) -> pb.ListCodeListsResponse:
        """Raises BadPageToken."""
        page = Page.of("code_lists", (), request.page_size, request.page_token, ("",))
        found = await code_lists.lists(self._reader(), str(page.start[0]), page.size + 1)
        items, more = page.cut(found)
        token = page.token((CodeListName.parse(items[-1].name).code_list,)) if more else ""
        return pb.ListCodeListsResponse(code_lists=items, next_page_token=token)

    async def get(self, request: pb.GetCodeListRequest) -> pb.CodeList:
        """Raises UnknownList."""
        reader = self._reader()
        name = CodeListName.parse(request.name)
        latest = await _found(reader, name)
        count = await code_lists.version_count(reader, name.code_list)
        return pb.CodeList(name=request.name, latest_version=latest, version_count=count)

    async def version(self, request: pb.GetCodeListVersionRequest) -> pb.CodeListVersion:
        """Raises UnknownList."""
        return await _found(self._reader(), CodeListName.parse(request.name))

    async def versions(self, request: pb.ListCodeListVersionsRequest) -> pb.ListCodeListVersionsResponse:
        """Raises UnknownList, BadPageToken."""
        name = CodeListName.parse(request.parent)
        first = (0, *NEWEST)
        page = Page.of("code_list", (request.parent,), request.page_size, request.page_token, first)
        reader = self._reader()
        after = (int(page.start[0]), int(page.start[1]))
        found = await code_lists.versions(reader, name.code_list, after, page.size + 1)
        if not found:
            await _found(reader, name)
        items, more = page.cut(found)
        token = page.token(items[-1][1]) if more else ""
        return pb.ListCodeListVersionsResponse(versions=[each for each, _ in items], next_page_token=token)

    async def codes(self, request: pb.ListCodesRequest) -> pb.ListCodesResponse:
        """Raises UnknownList, BadPageToken."""
        reader = self._reader()
        # The version is part of what a page token is bound to: pages never mix two versions.
        version = (await _found(reader, CodeListName.parse(request.parent))).name
        filters = (
            version,
            request.code_prefix,
            request.parent_code,
            request.query,
            str(request.current_only),
        )
        page = Page.of("codes", filters, request.page_size, request.page_token, (0,))
        today = self._world.now().astimezone(self._world.zone).date().isoformat()
        wanted = Filter(
            prefix=request.code_prefix,
            parent=request.parent_code,
            words=normalise(request.query).split(),
            day=today if request.current_only else "",
        )
        name = CodeListName.parse(version)
        found = await code_lists.codes(reader, name, wanted, int(page.start[0]), page.size + 1)
        items, more = page.cut(found)
        token = page.token((items[-1][0],)) if more else ""
        return pb.ListCodesResponse(codes=[code for _, code in items], next_page_token=token, version=version)

    async def create(self, request: pb.CreateCodeListVersionRequest) -> pb.CodeListVersion:
        """Raises BadCodeList, CodeListVersionExists, RequestIdReused, NotPermitted."""
        principal = self._world.policy.authorize("code-list.manage", Resource.system())
        name = CodeListName.parse(f"{request.parent}/versions/{request.version_id}")
        codes = await asyncio.to_thread(parse_csv, request.document)
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            # No department's: the request is kept under the city's own, empty id.
            if await is_first(connection, principal, request.request_id, request, ("", str(name))):
                await self._insert(connection, principal, name, request.version, codes)
            made = await _found(within(connection), name)
        self._world.outbox.wake()
        return made

    async def _insert(
        self,
        connection: AsyncConnection,
        principal: Principal,
        name: CodeListName,
        given: pb.CodeListVersion,
        codes: tuple[Code, ...],
    ) -> None:
        making = Making(principal.name, principal.display_name, self._world.now())
        if not await code_lists.insert(connection, name, part(given, _FACTS), codes, making):
            raise CodeListVersionExists(
                f"{name} exists already, and versions never change", remedy="choose another version_id"
            )
        made = await _found(within(connection), name)
        data: dict[str, object] = {
            "code_list": f"codeLists/{name.code_list}",
            "version": name.version,
            "codes": made.code_count,
            "sha256": made.sha256,
        }
        await self._world.outbox.write(connection, NewEvent(PUBLISHED, str(name), data, principal.name))

    def _reader(self) -> Reader:
        principal = self._world.policy.authorize("directory.read", Resource.system())
        return self._world.database.reader(Scope.of(principal))


async def check_code_lists(reader: Reader, contract: contract_pb2.Contract, prefix: str = "contract") -> None:
    """That the code lists which fields of a contract name are there. Raises UnknownCodeList, which says what is."""
    named = named_lists(contract)
    if not named:
        return
    missing = await code_lists.missing(reader, [CodeListName.parse(name) for name in named])
    if missing:
        there = sorted({name.code_list for name in await code_lists.known(reader)})
        raise unknown_lists(named, [str(name) for name in missing], there, prefix)


async def _found(reader: Reader, name: CodeListName) -> pb.CodeListVersion:
    found = await code_lists.version(reader, name)
    if found is None:
        raise UnknownList(f"there is no {name}", remedy="list the code lists, or the versions of this one")
    return found
