"""Who sees which agreements and deliveries."""

from __future__ import annotations

from typing import Any, cast

import pytest
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.paging import BadPageToken, Page
from plaza_sharing.domain.names import UnknownAgreement, UnknownDelivery
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Sharing = Any
"""The fixture's class lives in conftest, which tests do not import."""
Rows = list[dict[str, Any]]


async def get(sharing: Sharing, name: str) -> pb.Agreement:
    return await sharing.agreements.GetAgreement(pb.GetAgreementRequest(name=name), RPC)


async def listed(sharing: Sharing, size: int = 0) -> list[str]:
    names: list[str] = []
    request = pb.ListAgreementsRequest(page_size=size)
    while True:
        answer = await sharing.agreements.ListAgreements(request, RPC)
        names += [agreement.name for agreement in answer.agreements]
        if not answer.next_page_token:
            return names
        assert len(answer.agreements) == size
        request.page_token = answer.next_page_token


async def test_both_sides_and_auditors_see_an_agreement(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    provider = dataset.split("/")[1]
    consumer = f"{provider}-reader"
    sharing.be("reader", consumer)
    answers = [await sharing.read(dataset) for _ in range(3)]
    agreement, delivery = answers[0].header.agreement, answers[0].header.delivery
    under = pb.ListDeliveriesRequest(parent=agreement, page_size=2)
    for role, departments in (("reader", [consumer]), ("reader", [provider]), ("auditor", [])):
        sharing.be(role, *departments)
        assert (await get(sharing, agreement)).dataset == dataset
        assert agreement in await listed(sharing, 1 if departments else 1000)
        found = await sharing.agreements.GetDelivery(pb.GetDeliveryRequest(name=delivery), RPC)
        assert (found.name, found.rows, found.version) == (delivery, 9, 1)
        page = await sharing.agreements.ListDeliveries(under, RPC)
        rest = await sharing.agreements.ListDeliveries(
            pb.ListDeliveriesRequest(parent=agreement, page_size=2, page_token=page.next_page_token), RPC
        )
        names = [found.name for found in [*page.deliveries, *rest.deliveries]]
        assert names == [answer.header.delivery for answer in reversed(answers)]
    # A city administrator is no auditor.
    for role in ("data-officer", "city-administrator"):
        sharing.be(role, "elsewhere")
        assert agreement not in await listed(sharing)
        with pytest.raises(UnknownAgreement):
            await get(sharing, agreement)
        with pytest.raises(UnknownDelivery):
            await sharing.agreements.GetDelivery(pb.GetDeliveryRequest(name=delivery), RPC)
        with pytest.raises(UnknownAgreement):
            await sharing.agreements.ListDeliveries(under, RPC)


async def test_agreements_come_newest_first(sharing: Sharing, measured: Rows) -> None:
    sharing.be("reader", "archive")
    made = [(await sharing.read(sharing.load(measured))).header.agreement for _ in range(3)]
    assert await listed(sharing, 2) == made[::-1]


async def test_the_database_itself_keeps_the_sides_apart(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    agreement = (await sharing.read(dataset)).header.agreement.removeprefix("agreements/")
    database = sharing.world.database

    async def count(scope: Scope, table: str) -> int:
        async with database.transaction(scope) as connection:
            found = await connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE agreement = CAST(:a AS uuid)"), {"a": agreement}
            )
            return int(found.scalar_one())

    for table in ("agreements", "deliveries"):
        assert await count(Scope.department("transport"), table) == 1
        assert await count(Scope.department(dataset.split("/")[1]), table) == 1
        assert await count(Scope.department("elsewhere"), table) == 0
        assert await count(Scope(frozenset()), table) == 0
    # The provider cannot make an agreement for somebody else.
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.transaction(Scope.department("elsewhere")) as connection:
            await connection.execute(
                text(
                    "INSERT INTO agreements SELECT gen_random_uuid(), 'x', 'elsewhere', 'transport', 'rule',"
                    " 'in_force', '{}', '', '', '', now()"
                )
            )


async def test_a_made_up_page_token_is_refused(sharing: Sharing) -> None:
    sharing.be("reader", "transport")
    made_up = Page.of("agreements", (), 0, "", ("",)).token(("no uuid",))
    with pytest.raises(BadPageToken):
        await sharing.agreements.ListAgreements(pb.ListAgreementsRequest(page_token=made_up), RPC)
