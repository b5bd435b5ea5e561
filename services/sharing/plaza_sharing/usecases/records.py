"""Agreements and deliveries, shown to their two sides and to auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from plaza_kit.db import Scope
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.paging import BadPageToken, Page
from plaza_kit.policy import Resource
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_sharing.domain.agreements import Agreement
from plaza_sharing.domain.deliveries import Delivery
from plaza_sharing.domain.names import (
    exact_uuid,
    parse_agreement,
    parse_delivery,
    unknown_agreement,
    unknown_delivery,
)
from plaza_sharing.storage import agreements, deliveries
from plaza_sharing.usecases.ports import World

AUDITOR: Final = "auditor"
_NEWEST: Final = (str(UUID(int=2**128 - 1)),)
"""Behind every id, so that the first page starts with the newest."""


class Records:
    """Use cases that show what was agreed and handed over."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def agreement(self, name: str) -> Agreement:
        """Raises UnknownAgreement."""
        async with self._reading() as connection:
            found = await agreements.find(connection, parse_agreement(name))
        if found is None:
            raise unknown_agreement(name)
        return found

    async def agreements(self, size: int, token: str) -> tuple[list[Agreement], str]:
        """A page and the token of the next. Raises BadPageToken."""
        page = Page.of("agreements", (), size, token, _NEWEST)
        async with self._reading() as connection:
            found = await agreements.page(connection, _before(page), page.size + 1)
        items, more = page.cut(found)
        return items, page.token((str(items[-1].id),)) if more else ""

    async def delivery(self, name: str) -> Delivery:
        """Raises UnknownDelivery."""
        async with self._reading() as connection:
            found = await deliveries.find(connection, *parse_delivery(name))
        if found is None:
            raise unknown_delivery(name)
        return found

    async def deliveries(self, parent: str, size: int, token: str) -> tuple[list[Delivery], str]:
        """A page and the token of the next. Raises UnknownAgreement, BadPageToken."""
        page = Page.of("deliveries", (parent,), size, token, _NEWEST)
        async with self._reading() as connection:
            agreement = await agreements.find(connection, parse_agreement(parent))
            if agreement is None:
                raise unknown_agreement(parent)
            found = await deliveries.page(connection, agreement.id, _before(page), page.size + 1)
        items, more = page.cut(found)
        return items, page.token((str(items[-1].id),)) if more else ""

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        principal = self._world.policy.authorize("agreement.read", Resource.system())
        async with self._world.database.transaction(_scope(principal)) as connection:
            yield connection


def _scope(principal: Principal) -> Scope:
    """Auditors see all; everybody else, city administrators too, what their departments are a side of."""
    if principal.kind is PrincipalKind.PERSON and AUDITOR in principal.roles:
        return Scope.everything()
    return Scope(principal.departments)


def _before(page: Page) -> UUID:
    found = exact_uuid(str(page.start[0]))
    if found is None:
        raise BadPageToken(
            "page_token: was not given out for this request",
            remedy="take next_page_token from the answer before",
            facts={"field": "page_token"},
        )
    return found
