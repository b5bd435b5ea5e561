"""Drawing a profile and what it suggests: one scan for the profile, one for what it says about rows together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza.quality.v1 import profiles_pb2 as pb
from plaza_kit.names import DatasetName

from plaza_quality.domain.around import Around
from plaza_quality.domain.check_messages import check_of
from plaza_quality.domain.checks import Check, Monotone, Unique
from plaza_quality.domain.counting import Counts
from plaza_quality.domain.suggestions import told
from plaza_quality.domain.suggestions_tables import Seen, drafts, time_field
from plaza_quality.kernels.relations import Relations, Rising
from plaza_quality.storage.profiles import MadeProfile
from plaza_quality.storage.profiling import Scanned, scanned
from plaza_quality.storage.rows import judged
from plaza_quality.usecases.ports import Registered
from plaza_quality.usecases.profile_ports import ProfileWorld
from plaza_quality.usecases.surroundings import around

_MOST_CODES: Final = 20_000
_MOST_LISTS: Final = 100
_MOST_VALUES: Final = 5_000
"""Different values of a column that is held against code lists."""
_KEY_ROWS: Final = 10_000_000
"""Rows times combinations that are counted for keys and dependencies; beyond it one stays of the sample."""
_LISTS_LAST: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Listed:
    name: str
    codes: frozenset[str]


class Drawing:
    """In the service's own name."""

    def __init__(self, world: ProfileWorld) -> None:
        self._world = world
        self._lists: tuple[_Listed, ...] = ()
        self._lists_time: datetime | None = None

    async def draw(self, name: DatasetName, version: int, history: Sequence[int]) -> MadeProfile:
        """`history`: rows of the versions before, oldest first. Raises AioRpcError, GrantRefused, LakeUnavailable, and
        as `plaza_lake.scan.open_scan`."""
        world = self._world.world
        moment = world.now()
        registered = await world.catalogue.dataset(name)
        grant = await world.granting.assessing(name, version)
        plain = Around(moment, world.zone, registered.cycle)
        found = await asyncio.to_thread(scanned, world.lake, world.grants, grant, plain)
        await self._match_code_lists(found)
        seen, relations = await asyncio.to_thread(_seen, found, registered, history)
        made = drafts(seen)
        checks = [check_of(each.rule, {}) for each in made]
        more = _key_checks(relations, found.profile.rows)
        needed = await around(world, name, version, registered, checks, moment)
        counts = await self._counts(name, version, [*checks, *more], needed)
        _put_relations(found.profile, relations, dict(zip(more, counts[len(checks) :], strict=True)))
        found.profile.create_time.FromDatetime(moment)
        return MadeProfile(found.profile, told(made, counts[: len(made)], version), time=moment)

    async def _counts(
        self, name: DatasetName, version: int, checks: Sequence[Check], needed: Around
    ) -> list[Counts]:
        """Of each check. What looks at rows in an order is asked apart: it would take the quick way from all others."""
        world = self._world.world
        slow = [number for number, check in enumerate(checks) if isinstance(check, Monotone)]
        quick = [number for number in range(len(checks)) if number not in slow]
        found: dict[int, Counts] = {}
        for numbers in (quick, slow):
            if numbers:
                # One for each: a count of many rows outlives a grant.
                grant = await world.granting.assessing(name, version)
                asked = [checks[number] for number in numbers]
                answer = await asyncio.to_thread(judged, world.lake, world.grants, grant, asked, needed)
                counted = (each.counts for each in answer.counted.findings)
                found |= dict(zip(numbers, counted, strict=True))
        return [found[number] for number in range(len(checks))]

    async def _match_code_lists(self, found: Scanned) -> None:
        """Lists that hold nearly all values of a column: at least ten different ones, or a third of the list, so that 1
        and 2 are no sex."""
        columns = {
            each.field: each
            for each in found.profile.columns
            if each.type == contract_pb2.FIELD_TYPE_STRING
            and each.field in found.values
            and 2 <= each.distinct <= _MOST_VALUES
        }
        for listed in await self._code_lists() if columns else ():
            for name, column in columns.items():
                values = [(str(value), rows) for value, rows in found.values[name] if value != ""]
                matching = [(value, rows) for value, rows in values if value in listed.codes]
                total = sum(rows for _, rows in values)
                if not total or len(matching) < min(10, max(2, len(listed.codes) / 3)):
                    continue
                share = sum(rows for _, rows in matching) / total
                if share >= 0.95:
                    column.code_lists.add(code_list=listed.name, matching_values=len(matching), share=share)

    async def _code_lists(self) -> tuple[_Listed, ...]:
        """Those of the catalogue that are not larger than a column may be; asked for anew every few minutes."""
        world = self._world.world
        if self._lists_time is None or world.now() - self._lists_time > _LISTS_LAST:
            found = []
            for name in (await self._world.contracts.code_lists())[:_MOST_LISTS]:
                listed = await world.catalogue.codes(name)
                if listed is not None and 2 <= len(listed[1]) <= _MOST_CODES:
                    found.append(_Listed(listed[0], frozenset(each.code for each in listed[1])))
            self._lists, self._lists_time = tuple(found), world.now()
        return self._lists


def _seen(found: Scanned, registered: Registered, history: Sequence[int]) -> tuple[Seen, Relations]:
    relations = found.relations()
    columns = {each.field: each for each in found.profile.columns}
    mappings = {
        (one, other): found.sample.mapping(one, other)
        for one, other in relations.dependencies
        if columns[one].distinct <= 20 and columns[other].type != contract_pb2.FIELD_TYPE_NUMBER
    }
    contract = registered.contract
    time = time_field(contract, found.profile)
    series = tuple(name for name in contract.key if name != time and name in columns)
    rising: list[Rising] = list(found.sample.rising(time, series)) if time else []
    seen = Seen(
        profile=found.profile,
        contract=contract,
        keys=relations.keys,
        ordered=[(each.lower, each.upper) for each in relations.ordered],
        present=[(each.category, each.values, each.field) for each in relations.present],
        mappings=mappings,
        rising=[(each.field, each.time, each.series) for each in rising[:2]],
        cycle=registered.cycle,
        history=[*history, found.profile.rows],
    )
    return seen, relations


def _key_checks(relations: Relations, rows: int) -> list[Unique]:
    """What must be counted to know keys and dependencies: one column determines another when both together have as many
    different values as it has alone."""
    budget = _KEY_ROWS // max(rows, 1)
    checks = [Unique(fields) for fields in relations.keys]
    for one, other in relations.dependencies:
        more = [each for each in (Unique((one,)), Unique((one, other))) if each not in checks]
        if len(checks) + len(more) > budget:
            break
        checks += more
    return list(dict.fromkeys(checks))


def _put_relations(profile: pb.Profile, relations: Relations, counts: Mapping[Unique, Counts]) -> None:
    for fields in relations.keys:
        repeated = counts[Unique(fields)].failed
        if repeated <= profile.rows // 1000:
            profile.keys.add(fields=fields, repeated_rows=repeated)
    for one, other in relations.dependencies:
        alone, together = counts.get(Unique((one,))), counts.get(Unique((one, other)))
        exact = alone is not None and together is not None
        if alone is None or together is None or alone.failed == together.failed:
            whole = profile.sampled_rows == profile.rows
            profile.dependencies.add(determinant=one, dependent=other, exact=exact or whole)
