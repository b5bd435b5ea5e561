"""Keeping the books of one reading: the delivery that it is, or is a part of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat as uuid
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DepartmentId

from plaza_sharing.domain.agreements import Agreement
from plaza_sharing.domain.deliveries import MADE, Delivery, DeliveryId, made
from plaza_sharing.domain.page_tokens import Mark, bad_token
from plaza_sharing.domain.queries import Query
from plaza_sharing.storage import deliveries
from plaza_sharing.usecases.ports import World


@dataclass(frozen=True, slots=True)
class Ground:
    """On what a reading stands."""

    reader: DepartmentId
    principal: str
    agreement: Agreement | None
    """None: a department's own data."""
    purpose: str
    """As the caller gave it, for the delivery."""
    guarded: bool = False
    """Whether the dataset's gate is asked: of another department's data with rules that may stop a version."""


class Handover:
    """The delivery of one answer; does nothing for a department's own data."""

    def __init__(self, world: World, ground: Ground, delivery: Delivery | None, before: int) -> None:
        """`before`: rows of the query that went out with earlier pages."""
        self._world = world
        self._scope = Scope.department(ground.reader)
        self._ground = ground
        self._before = before
        self.delivery = delivery

    @classmethod
    async def begin(cls, world: World, ground: Ground, query: Query, start: Mark | None) -> Handover:
        """A new delivery, or the one that the page before belongs to. Raises BadPageToken."""
        before = start.before if start is not None else 0
        if ground.agreement is None:
            return cls(world, ground, None, before)
        async with world.database.transaction(Scope.department(ground.reader)) as connection:
            if start is not None:
                if start.delivery is None:
                    raise bad_token()
                found = await deliveries.find(connection, ground.agreement.id, start.delivery)
                if found is None:
                    raise bad_token()
                return cls(world, ground, found, before)
            delivery = Delivery(
                id=DeliveryId(uuid.uuid7()),
                agreement=ground.agreement.id,
                dataset=query.dataset,
                version=query.version,
                columns=query.columns,
                filter=query.filter_text,
                purpose=ground.purpose,
                principal=ground.principal,
                create_time=world.now(),
            )
            await deliveries.insert(connection, delivery)
        return cls(world, ground, delivery, before)

    @property
    def id(self) -> DeliveryId | None:
        return self.delivery.id if self.delivery is not None else None

    async def note(self, rows: int) -> None:
        """That so many rows of this answer were sent. Finishes also when the caller is being cancelled."""
        if self.delivery is not None:
            await _to_its_end(self._note(self.delivery, rows))

    async def complete(self, rows: int, content_sha256: str) -> None:
        """That this answer was the last of its query. The event tells of it once, whoever asks again."""
        if self.delivery is not None:
            await _to_its_end(self._complete(self.delivery, rows, content_sha256))
            self._world.outbox.wake()

    async def _note(self, delivery: Delivery, rows: int) -> None:
        async with self._world.database.transaction(self._scope) as connection:
            await deliveries.note_rows(connection, delivery.id, self._before + rows)

    async def _complete(self, delivery: Delivery, rows: int, content_sha256: str) -> None:
        total = self._before + rows
        async with self._world.database.transaction(self._scope) as connection:
            if await deliveries.complete(connection, delivery.id, total, content_sha256):
                data = made(delivery, total, content_sha256)
                await self._world.outbox.write(
                    connection, NewEvent(MADE, delivery.name, data, self._ground.principal)
                )


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.shield(asyncio.create_task(work))
