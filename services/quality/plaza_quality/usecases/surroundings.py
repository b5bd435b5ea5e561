"""Finding what an assessment needs besides the rows, before they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from plaza_kit.names import DatasetName

from plaza_quality.domain.around import Around, CodeList, OtherVersion, Silence
from plaza_quality.domain.checks import AgreesWith, Check, Drift, InCodeList, Refers, RowCount
from plaza_quality.storage.openings import opened
from plaza_quality.usecases.ports import ListedCode, Registered, World


async def around(
    world: World,
    name: DatasetName,
    version: int,
    registered: Registered,
    checks: Sequence[Check],
    moment: datetime,
) -> Around:
    """What these checks of a version need. Raises AioRpcError, GrantRefused, LakeUnavailable."""
    day = moment.astimezone(world.zone).date()
    return Around(
        moment=moment,
        zone=world.zone,
        cycle=registered.cycle,
        before=await _before(world, name, version, checks),
        code_lists=await code_lists(world, checks, day),
        others={
            each: await _other(world, name, DatasetName.parse(each))
            for each in sorted({check.dataset for check in checks if isinstance(check, Refers | AgreesWith)})
        },
    )


async def _before(
    world: World, name: DatasetName, version: int, checks: Sequence[Check]
) -> OtherVersion | None:
    if version == 1 or not any(_asks_before(check) for check in checks):
        return None
    return await _opened(world, name, version - 1)


def _asks_before(check: Check) -> bool:
    match check:
        case Drift():
            return True
        case RowCount(_, _, growth, loss):
            return growth is not None or loss is not None
    return False


async def code_lists(world: World, checks: Sequence[Check], day: date) -> Mapping[tuple[str, bool], CodeList]:
    """The lists that checks name, as they are on a day. Raises AioRpcError."""
    wanted = {(check.code_list, check.current_only) for check in checks if isinstance(check, InCodeList)}
    found: dict[tuple[str, bool], CodeList] = {}
    for name in sorted({name for name, _ in wanted if name}):
        listed = await world.catalogue.codes(name)
        if listed is None:
            continue
        version, codes = listed
        for current in (False, True):
            if (name, current) in wanted:
                kept = tuple(each.code for each in codes if not current or _is_valid(each, day))
                found[name, current] = CodeList(version, kept)
    return found


def _is_valid(code: ListedCode, day: date) -> bool:
    """Bounds are written as a year, a month or a day; each holds to its end."""
    today = day.isoformat()
    return code.valid_from <= today[: len(code.valid_from)] and (
        not code.valid_to or today[: len(code.valid_to)] <= code.valid_to
    )


async def _other(world: World, mine: DatasetName, other: DatasetName) -> OtherVersion | Silence:
    """A department may hold its rows against its own datasets, and against those that every department may have
    without asking: the counts of a rule tell which values stand there."""
    if other.department != mine.department:
        found = await world.catalogue.grading(other)
        if found is None:
            return Silence.DATASET_MISSING
        if found.sharing_class != "unconditional" or found.city_level not in ("public", "internal"):
            return Silence.DATASET_NOT_SHARED
    return await _opened(world, other, 0) or Silence.DATASET_MISSING


async def _opened(world: World, name: DatasetName, version: int) -> OtherVersion | None:
    """A version (0: the newest) with a grant for exactly that one."""
    grant = await world.granting.assessing(name, version)
    found = await asyncio.to_thread(opened, world.lake, world.grants, grant)
    if found is None:
        return None
    number, rows = found
    if not version:
        grant = await world.granting.assessing(name, number)
    return OtherVersion(f"{name}/versions/{number}", grant, rows)
