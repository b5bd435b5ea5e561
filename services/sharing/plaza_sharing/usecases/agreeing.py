"""Finding or making the agreement under which a department reads another's dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import uuid_utils.compat as uuid
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent
from plaza_kit.names import DatasetName, DepartmentId

from plaza_sharing.domain.agreements import SIGNED, Agreement, AgreementId, by_rule, signed
from plaza_sharing.storage import agreements
from plaza_sharing.usecases.ports import World

_SINKS: Final = ("security",)


async def agreement_by_rule(
    world: World, dataset: DatasetName, consumer: DepartmentId, principal: str
) -> Agreement:
    """The one agreement in force between a dataset and a department, made now if there is none.

    Security knows of it when this returns. Raises NotDeliveredYet when security is away.
    """
    async with world.database.transaction(Scope.department(consumer)) as connection:
        found = await agreements.in_force(connection, dataset, consumer)
        if found is None:
            made = by_rule(AgreementId(uuid.uuid7()), dataset, consumer, world.now())
            if await agreements.insert(connection, made):
                event = NewEvent(SIGNED, made.name, signed(made), principal)
                event_id = await world.outbox.write(connection, event)
                await agreements.remember_event(connection, made.id, event_id)
                found = replace(made, event_id=event_id)
            else:
                found = await agreements.in_force(connection, dataset, consumer)
    assert found is not None, "the insert failed because one is in force"
    # Also for an agreement that was found: it may be a moment old.
    await world.outbox.delivered(found.event_id, _SINKS)
    return found
