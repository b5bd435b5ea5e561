"""The rows that a work order is about, shown to whoever may read them and found for correction files."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from google.protobuf.struct_pb2 import NULL_VALUE, Value
from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import failing_rows_pb2 as pb
from plaza_kit.db import Scope
from plaza_kit.names import DatasetName, parse_department
from plaza_kit.paging import BadPageToken, Page
from plaza_kit.policy import Resource
from plaza_kit.streams import in_thread

from plaza_quality.domain.checks import Scope as CheckScope
from plaza_quality.domain.checks import kind_of
from plaza_quality.domain.fitting import looked_at
from plaza_quality.domain.rules import Rule, rule_of
from plaza_quality.storage import assessments, work_orders
from plaza_quality.storage.failing_rows import Asked, FailingRow
from plaza_quality.usecases.ports import World
from plaza_quality.usecases.surroundings import around
from plaza_quality.usecases.work_orders import READ, UnknownWorkOrder

_USUAL: Final = 10
_PLACES_AT_ONCE: Final = 5000
_LARGEST_WHOLE: Final = 2**53
"""JSON's numbers are doubles for most readers; greater ones are told as texts."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be looked for."""

    dataset: DatasetName
    version: int
    messages: tuple[contract_pb2.QualityRule, ...]
    """Rules of the order's dimension that failed single rows, in the contract's order."""
    rules: tuple[Rule, ...]
    moment: datetime
    """Of the assessment: it is looked for what was found then."""


class FailingRows:
    """Use cases that read."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def list(self, request: pb.ListFailingRowsRequest) -> pb.ListFailingRowsResponse:
        """Raises UnknownWorkOrder, BadPageToken, NotPermitted, and what security refuses."""
        page = Page.of(
            "failing_rows", (request.parent,), request.page_size or _USUAL, request.page_token, (0,)
        )
        first = int(page.start[0])
        if first < 0:
            raise BadPageToken("page_token: was not given out for this request", remedy="leave it empty")
        order = await self._order(request.parent)
        grant = await self._world.granting.own(order.dataset, order.version)
        last = first + page.size
        names = await asyncio.to_thread(self._world.failing.columns, grant)
        found: list[FailingRow] = []
        async with aclosing(self._found(order, grant, columns=True, limit=last + 1)) as rows:
            async for some in rows:
                found += some
        return pb.ListFailingRowsResponse(
            version=order.version,
            columns=names,
            rows=[
                pb.FailingRow(
                    values=map(_value, row.values), rules=[order.messages[number].id for number in row.rules]
                )
                for row in found[first:last]
            ],
            next_page_token=page.token((last,)) if len(found) > last else "",
        )

    async def find(self, request: pb.FindFailingRowsRequest) -> AsyncIterator[pb.FindFailingRowsResponse]:
        """Raises UnknownWorkOrder, NotPermitted, and what security refuses, before the first piece."""
        order = await self._order(request.work_order)
        grant = await self._world.granting.own(order.dataset, order.version)
        files = await asyncio.to_thread(self._world.failing.files, grant)
        yield pb.FindFailingRowsResponse(
            head=pb.FailingRowsHead(
                dataset=str(order.dataset),
                version=order.version,
                rules=[
                    pb.RuleOfOrder(
                        id=message.id, title=message.title, fields=[n for n, _ in looked_at(rule.check)]
                    )
                    for message, rule in zip(order.messages, order.rules, strict=True)
                ],
                files=files,
            )
        )
        async with aclosing(self._found(order, grant)) as rows:
            async for some in rows:
                yield pb.FindFailingRowsResponse(
                    places=[pb.FailingPlace(file=row.file, row=row.row, rules=row.rules) for row in some]
                )

    async def _order(self, name: str) -> _Order:
        department = parse_department("/".join(name.split("/")[:2]))
        principal = self._world.policy.authorize(READ, Resource.of_department(department))
        async with self._world.database.transaction(Scope.of(principal)) as connection:
            order = await work_orders.find(
                connection, department, name.rpartition("/")[2], self._world.today()
            )
            if order is None:
                raise UnknownWorkOrder(f"there is no {name}", remedy="list the department's work orders")
            dataset = DatasetName.parse(order.dataset)
            made = await assessments.find(connection, dataset, order.judged_version)
        assert made is not None, "the version was judged"
        messages = tuple(
            result.rule
            for result in made.rules
            if result.rule.dimension == order.dimension and result.failed and _judges_rows(result.rule)
        )
        return _Order(
            dataset=dataset,
            version=order.judged_version,
            messages=messages,
            rules=tuple(rule_of(message) for message in messages),
            moment=made.create_time.ToDatetime(tzinfo=UTC),
        )

    async def _found(
        self, order: _Order, grant: str, *, columns: bool = False, limit: int | None = None
    ) -> AsyncGenerator[Sequence[FailingRow], None]:
        registered = await self._world.catalogue.dataset(order.dataset)
        rules = [rule_of(message, registered.code_lists) for message in order.messages]
        checks = [rule.check for rule in rules]
        near = await around(self._world, order.dataset, order.version, registered, checks, order.moment)
        asked = Asked(grant, checks, columns, limit)
        async with aclosing(in_thread(lambda: _pieces(self._world.failing.find(asked, near)))) as pieces:
            async for piece in pieces:
                yield piece


def _judges_rows(rule: contract_pb2.QualityRule) -> bool:
    return kind_of(rule_of(rule).check).scope is not CheckScope.TABLE


def _pieces(rows: Iterator[FailingRow]) -> Iterator[Sequence[FailingRow]]:
    while piece := list(islice(rows, _PLACES_AT_ONCE)):
        yield piece


def _value(value: object) -> Value:
    """As the rows API writes it, but what JSON has no number for as text."""
    match value:
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case int() if abs(value) > _LARGEST_WHOLE:
            return Value(string_value=str(value))
        case float() if not math.isfinite(value):
            return Value(string_value=str(value))
        case int() | float():
            return Value(number_value=value)
        case datetime():
            return Value(string_value=value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
        case date():
            return Value(string_value=value.isoformat())
    return Value(string_value=str(value))
